"""daphne, with what it lacks: back-pressure, all close codes of PROTOCOL.md, and a way to end.

Importing this makes asyncio the reactor of the process (twisted), so only `manage.py serve` does.
"""

import asyncio
from typing import Any

from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server as DaphneServer
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import reactor

# Seconds; a peer that does not answer a ping in time is gone (PROTOCOL.md leaves the figures open).
PING_EVERY, PING_WITHIN = 20, 30


class _Congestion:
    """Told by the transport when its buffer is full (64 KiB) and when it is empty again."""

    def __init__(self, protocol: "SocketProtocol") -> None:
        self._protocol = protocol

    def pauseProducing(self) -> None:
        if self._protocol.writable is None:
            self._protocol.writable = asyncio.get_event_loop().create_future()

    def resumeProducing(self) -> None:
        writable, self._protocol.writable = self._protocol.writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    # The connection is gone: nobody may wait for it.
    stopProducing = resumeProducing


class SocketProtocol(WebSocketProtocol):
    """One socket. `writable`: None, or what completes when its peer has read enough again."""

    writable: asyncio.Future[None] | None = None

    def onOpen(self) -> None:
        # Until the upgrade the transport's producer was the HTTP channel.
        self.transport.unregisterProducer()
        self._congestion = _Congestion(self)
        self.transport.registerProducer(self._congestion, True)
        super().onOpen()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self.writable is not None:
            self._congestion.stopProducing()
        super().onClose(wasClean, code, reason)

    def serverClose(self, code: int | None = None) -> None:
        # autobahn lets an application close with 1000 and 3000-4999 only; RFC 6455, 7.4.1 gives servers
        # 1009 (too big) and IANA's registry 1012 (restart) as well.
        if code is None or code == 1000 or code >= 3000:
            super().serverClose(code)
        else:
            self.sendCloseFrame(code=code, isReply=False)


class Server(DaphneServer):
    """Listens on one address, or on the listening socket `inherited`; `on_started` is called on the loop
    once it does."""

    def __init__(
        self, application: Any, *, host: str, port: int, on_started: Any, inherited: int | None = None
    ) -> None:
        where = {"host": host, "port": port} if inherited is None else {"file_descriptor": inherited}
        super().__init__(
            application=application,
            endpoints=list(build_endpoint_description_strings(**where)),
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
        # allowNullOrigin, which this call would turn off again: konstruct.origin refuses it, with 403.
        self.ws_factory.setProtocolOptions(failByDrop=False, allowNullOrigin=True)
        self._on_started()

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """As daphne's, but `send` waits while the peer does not read: a slow reader holds one buffer of
        64 KiB here and not all that was ever meant for it."""
        await super().handle_reply(protocol, message)
        writable = getattr(protocol, "writable", None)
        if writable is not None and message["type"] == "websocket.send":
            await writable

    def listen_success(self, port: Any) -> Any:
        """Hand the port on, which daphne drops here, to `close_door`."""
        super().listen_success(port)
        return port

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
