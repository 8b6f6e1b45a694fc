"""One WebSocket of daphne's: what it costs to send over it, to hold it open, and to see that it is dead.

daphne speaks through autobahn, whose way out is made for every use there is: five calls, log lines that
are put together and thrown away, and two system calls around each write of Twisted's. A text frame of a
server is two to ten bytes and the text, so it is written here. An idle socket keeps nothing of its handshake.
"""

import asyncio
from time import monotonic
from types import SimpleNamespace
from typing import Any

from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import tcp

# First byte of a frame (RFC 6455, 5.2): final, and what it is.
_TEXT, _PING = b"\x81", b"\x89\x00"

# What only the handshake needs.
_OF_THE_HANDSHAKE = (
    "http_request_data",
    "http_status_line",
    "http_headers",
    "http_request_uri",
    "http_request_path",
    "http_request_params",
    "http_request_host",
    "http_response_data",
    "websocket_protocols",
    "websocket_origin",
    "websocket_extensions",
    "_wskey",
    "_raw_query_string",
    "_transport_details",
    "application_deferred",
)
# What autobahn sets on each connection and what stays so on nearly all: attributes of the class instead.
_AT_REST: dict[str, Any] = {
    **dict.fromkeys(
        (
            "triggered",
            "wasMaxFramePayloadSizeExceeded",
            "wasMaxMessagePayloadSizeExceeded",
            "closedByMe",
            "failedByMe",
            "droppedByMe",
            "wasClean",
            "wasServerConnectionDropTimeout",
            "wasOpenHandshakeTimeout",
            "wasCloseHandshakeTimeout",
            "wasServingFlashSocketPolicyFile",
            "inside_message",
        ),
        False,
    ),
    **dict.fromkeys(
        (
            "_perMessageCompress",
            "trackedTimings",
            "wasNotCleanReason",
            "localCloseCode",
            "localCloseReason",
            "remoteCloseCode",
            "remoteCloseReason",
            "openHandshakeTimeoutCall",
            "closeHandshakeTimeoutCall",
            "autoPingTimeoutCall",
            "autoPingPending",
            "autoPingPendingCall",
            "autoPingPendingSent",
            "protocol_to_accept",
            "websocket_protocol_in_use",
            "current_frame",
        ),
        None,
    ),
}


class Inbox:
    """The messages to a connection's application, for one reader. A fraction of asyncio.Queue's 3 KB."""

    __slots__ = ("_messages", "_waiter")

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._waiter: asyncio.Future[None] | None = None

    def put_nowait(self, message: dict[str, Any]) -> None:
        self._messages.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> dict[str, Any]:
        while not self._messages:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._messages.pop(0)


class _Queue(list[Any]):
    """autobahn's queue of delayed writes, which nothing here ever delays: empty, it is a tenth of a deque."""

    def popleft(self) -> Any:
        return self.pop(0)


class _Congestion:
    """Told by the transport when its buffer is full (64 KiB) and when it is empty again."""

    __slots__ = ("_protocol",)

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
    """One socket. `writable`: None, or what completes when its peer has read enough again.

    ping_every, ping_within: seconds; who is silent for so long is asked, and gone without an answer.
    """

    ping_every: float
    ping_within: float
    request: Any
    send_queue: Any
    writable: asyncio.Future[None] | None = None
    _heard_at = 0.0
    _pinged_at = 0.0

    @classmethod
    def configure(cls, factory: Any, *, ping_every: float, ping_within: float) -> None:
        """Take the factory's options once for all connections, not each time for each of them."""
        for name in cls.CONFIG_ATTRS:
            option = getattr(factory, name)
            setattr(cls, name, staticmethod(option) if callable(option) else option)
        cls.CONFIG_ATTRS = []
        cls.ping_every, cls.ping_within = ping_every, ping_within

    # --- sending ------------------------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        """One text frame, if the socket is open: one that closes takes no more."""
        if self.state != self.STATE_OPEN:
            return
        payload = text.encode()
        size = len(payload)
        if size < 126:
            self._write(_TEXT + size.to_bytes(1) + payload)
        elif size < 65536:
            self._write(_TEXT + b"\x7e" + size.to_bytes(2) + payload)
        else:
            self._write(_TEXT + b"\x7f" + size.to_bytes(8) + payload)

    def _write(self, data: bytes) -> None:
        """Straight to the operating system, where nothing waits before it; the transport has the rest."""
        transport = self.transport
        if (
            isinstance(transport, tcp.Connection)
            and not transport.TLS
            and not transport.dataBuffer
            and not transport._tempDataBuffer
            and transport.connected
            and not transport.disconnecting
        ):
            try:
                sent = transport.socket.send(data)
            except OSError:
                # Full, or gone: the transport finds out which, and does what is to be done.
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
        transport.write(data)

    # --- its life -----------------------------------------------------------------------------------

    def onOpen(self) -> None:
        # Until the upgrade the transport's producer was the HTTP channel.
        self.transport.unregisterProducer()
        self._congestion = _Congestion(self)
        self.transport.registerProducer(self._congestion, True)
        self._heard_at = monotonic()
        self._slim()
        super().onOpen()

    def _slim(self) -> None:
        # daphne names the path in what it tells its log of actions.
        self.request = SimpleNamespace(path=self.request.path)
        self.send_queue = _Queue(self.send_queue)
        for name in _OF_THE_HANDSHAKE:
            self.__dict__.pop(name, None)
        for name, value in _AT_REST.items():
            if self.__dict__.get(name) is value:
                self.__dict__.pop(name, None)
        # A dict does not shrink by itself.
        self.__dict__ = dict(self.__dict__)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self._heard_at = monotonic()
        super().onMessage(payload, isBinary)

    def onPong(self, payload: bytes) -> None:
        self._heard_at = monotonic()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        if self.writable is not None:
            self._congestion.stopProducing()
        super().onClose(wasClean, code, reason)

    def check_timeouts(self) -> None:
        """Called now and then: ask who is silent, and let go of who does not answer."""
        if self.state != self.STATE_OPEN:
            super().check_timeouts()
            return
        now = monotonic()
        if self._heard_at < self._pinged_at:
            if now - self._pinged_at > self.ping_within:
                self.wasNotCleanReason = "ping timeout"
                self.dropConnection(abort=True)
        elif now - self._heard_at > self.ping_every:
            self._pinged_at = now
            self._write(_PING)

    def serverClose(self, code: int | None = None) -> None:
        # autobahn lets an application close with 1000 and 3000-4999 only; RFC 6455, 7.4.1 gives servers
        # 1009 (too big) and IANA's registry 1012 (restart) as well.
        if code is None or code == 1000 or code >= 3000:
            super().serverClose(code)
        else:
            self.sendCloseFrame(code=code, isReply=False)


for _name, _value in _AT_REST.items():
    setattr(SocketProtocol, _name, _value)
