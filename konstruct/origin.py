"""Which pages may open a socket: those of the very host they open it on (PROTOCOL.md, Handshake)."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

_DEFAULT_PORTS = {"http": "80", "https": "443"}


class SameOrigin:
    """ASGI middleware for sockets. Where an Origin is given, it must be an allowed host and the
    request's own; where none is (not a browser), the token alone decides. Refused with 403."""

    def __init__(self, application: Callable[..., Awaitable[None]]) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        # Nothing but what is passed on may be held here, for as long as the socket is open.
        if may_connect(scope["headers"]):
            await self.application(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close", "code": 1008})


def may_connect(raw: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request with these headers may open a socket."""
    headers = dict(raw)
    host = headers.get(b"host", b"").decode("latin1")
    origin = headers.get(b"origin")
    return is_allowed_host(host) and (origin is None or is_same_origin(origin.decode("latin1"), host))


def is_allowed_host(host: str) -> bool:
    """Whether the Host header names this server (Django's own rule)."""
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def is_same_origin(origin: str, host: str) -> bool:
    """Whether a page of `origin` (RFC 6454) is one of `host`; a scheme's usual port need not be named."""
    try:
        parts = urlsplit(origin)
        default = _DEFAULT_PORTS[parts.scheme]
        origin_port = str(parts.port or default)
    except (ValueError, KeyError):
        return False
    origin_domain, _ = split_domain_port(parts.netloc)
    domain, port = split_domain_port(host)
    return bool(origin_domain) and (origin_domain, origin_port) == (domain, port or default)
