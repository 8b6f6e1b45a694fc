"""daphne, told what it does not let one say: all close codes of PROTOCOL.md, and how it ends.

Importing this makes asyncio the reactor of the process (twisted), so only `manage.py serve` does.
"""

from typing import Any

from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server as DaphneServer
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import reactor

# Seconds; a peer that does not answer a ping in time is gone (PROTOCOL.md leaves the figures open).
PING_EVERY, PING_WITHIN = 20, 30


class SocketProtocol(WebSocketProtocol):
    """autobahn lets an application close with 1000 and 3000-4999 only; RFC 6455, 7.4.1 gives servers
    1009 (too big) and IANA's registry 1012 (restart) as well."""

    def serverClose(self, code: int | None = None) -> None:
        if code is None or code == 1000 or code >= 3000:
            super().serverClose(code)
        else:
            self.sendCloseFrame(code=code, isReply=False)


class Server(DaphneServer):
    """Listens on one address; `on_started` is called on the loop once it does."""

    def __init__(self, application: Any, *, host: str, port: int, on_started: Any) -> None:
        super().__init__(
            application=application,
            endpoints=list(build_endpoint_description_strings(host=host, port=port)),
            signal_handlers=False,
            ping_interval=PING_EVERY,
            ping_timeout=PING_WITHIN,
            ready_callable=self._ready,
            server_name="konstruct",
        )
        self._on_started = on_started
        self.failed_to_listen = False

    def _ready(self) -> None:
        self.ws_factory.protocol = SocketProtocol
        # A frame beyond daphne's own limit (1 MiB) gets its close frame, not a cut connection.
        self.ws_factory.setProtocolOptions(failByDrop=False)
        self._on_started()

    def listen_error(self, failure: Any) -> None:
        self.failed_to_listen = True
        super().listen_error(failure)

    def close_door(self) -> None:
        """Accept no new connections; those there are stay."""
        for listener in self.listeners:
            listener.addCallback(lambda port: port.stopListening())

    def end(self) -> None:
        """Leave `run`."""
        if reactor.running:
            reactor.stop()  # type: ignore[misc]
