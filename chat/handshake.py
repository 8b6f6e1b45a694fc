"""What every socket of the portal has in common: the handshake, access, limits, and how it closes
(PROTOCOL.md, Handshake). Thin: no ORM, no litellm.
"""

import asyncio
import logging
from typing import Any, ClassVar

from chat import protocol
from chat.hub import Beginning, Ending
from chat.limits import RateLimit
from chat.outbox import Outbox
from chat.presence import concerns
from chat.process import the_process
from chat.protocol import AUTH_SECONDS, MAX_FRAME_BYTES, Close, Code, Error, ProtocolError
from chat.socket import Socket
from konstruct.tenancy.door import in_shared
from konstruct.tenancy.sockets import Identity, NotAuthenticated, identify

logger = logging.getLogger(__name__)

# Frames a minute that may be wrong before the socket is closed with 4029.
VIOLATIONS_PER_MINUTE = 30


class Refusal(Exception):
    """The handshake ends here, with an `error` and this close code."""

    def __init__(self, close: int, code: Code, sentence: str) -> None:
        super().__init__(sentence)
        self.close = close
        self.code = code
        self.sentence = sentence


class PortalConsumer(Socket):
    """One socket. `identity` is None until the handshake is done."""

    identity: Identity | None = None
    # What a client may say once it is in, and the methods that do it.
    _handlers: ClassVar[dict[type, Any]] = {}

    async def connect(self) -> None:
        self.process = the_process()
        self.outbox = Outbox(self._send_text)
        self.violations = RateLimit(VIOLATIONS_PER_MINUTE)
        self.closing: asyncio.Task[None] | None = None
        await self.process.start()
        await self.accept()
        self.auth_timer = asyncio.get_running_loop().call_later(AUTH_SECONDS, self._auth_overdue)

    async def disconnect(self, code: int) -> None:
        self.auth_timer.cancel()
        self.process.presence.leave(self)
        self._leave()
        await self.outbox.close()
        if self.closing is not None and self.closing is not asyncio.current_task():
            await asyncio.wait({self.closing})

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.closing is not None:
            return
        if len(bytes_data or b"") > MAX_FRAME_BYTES or _too_big(text_data):
            await self._finish(Close.TOO_BIG)
            return
        try:
            if text_data is None:
                raise ProtocolError(Code.BAD_FRAME, "Frames are JSON text; this one was binary.")
            frame = protocol.parse(text_data)
        except ProtocolError as error:
            await self._wrong(error)
            return
        try:
            if self.identity is None:
                await self._authenticate(frame)
            else:
                handler = self._handlers.get(type(frame))
                if handler is None:
                    sentence = "This socket takes no such frame."
                    await self._wrong(ProtocolError(Code.BAD_FRAME, sentence, frame.ref))
                    return
                await handler(self, frame)
        except Exception:
            # The database is away, say. The sender learns of it; who is not in yet may try again.
            logger.exception("A %s frame could not be handled", type(frame).__name__)
            sentence = "That did not work on our side. Please try again."
            self.outbox.push(Error(message=sentence, code=Code.INTERNAL, ref=frame.ref))
            if self.identity is None:
                await self._finish(Close.RESTART)

    # --- the handshake ------------------------------------------------------------------------------

    async def _authenticate(self, frame: protocol.ClientFrame) -> None:
        if not isinstance(frame, protocol.Auth):
            await self._reject("The first frame must be `auth`.", frame.ref)
            return
        with self.process.presence.watching() as withdrawn, self.process.hub.watching() as begun:
            try:
                identity = await in_shared(
                    identify,
                    token=frame.token,
                    user_id=frame.user_id,
                    role=frame.role,
                    workspace_id=frame.tenant_id,
                    host=_header(self.scope, b"host"),
                )
            except NotAuthenticated as error:
                logger.warning("Socket refused: %s (user %s)", error, frame.user_id)
                await self._reject("These credentials are not valid (any more).", frame.ref)
                return
            try:
                found = await self._find(identity)
            except Refusal as refusal:
                if self.closing is None:
                    await self._refuse(refusal.close, refusal.code, refusal.sentence, frame.ref)
                return
        # No await from here to `_enter`'s end: what was withdrawn or began until now is known, what is
        # withdrawn or begins from now on reaches this socket.
        if self.closing is not None:
            return
        if any(concerns(notice, identity) for notice in withdrawn):
            await self._refuse(Close.ACCESS_WITHDRAWN, Code.FORBIDDEN, "Your access has ended.", frame.ref)
        elif self.process.stopping:
            await self._refuse(Close.RESTART, Code.INTERNAL, "The server restarts.", frame.ref)
        elif not self.process.presence.enter(self, identity, self._dismiss):
            sentence = "You have too many connections open."
            await self._refuse(Close.TOO_MANY, Code.RATE_LIMITED, sentence, frame.ref)
        else:
            try:
                self._enter(identity, found, begun, frame.ref)
            except Refusal as refusal:
                self.process.presence.leave(self)
                await self._refuse(refusal.close, refusal.code, refusal.sentence, frame.ref)
                return
            self.identity = identity
            self.auth_timer.cancel()
            self.forget_request()

    async def _find(self, identity: Identity) -> Any:
        """What the socket is about, read for this user. Raises Refusal."""
        raise NotImplementedError

    def _enter(
        self, identity: Identity, found: Any, begun: list[Beginning | Ending], ref: str | None
    ) -> None:
        """Say `ready`, and hear from now on; of what has `begun` meanwhile too. Raises Refusal."""
        raise NotImplementedError

    def _leave(self) -> None:
        """Hear no more, if it ever did."""
        raise NotImplementedError

    async def _on_ping(self, frame: protocol.Ping) -> None:
        self.outbox.push(protocol.Pong(ref=frame.ref))

    # --- ends and errors ----------------------------------------------------------------------------

    async def _wrong(self, error: ProtocolError) -> None:
        if self.identity is None:
            await self._reject(error.sentence, error.ref)
            return
        if self.violations.wait("frames"):
            self.outbox.push(
                Error(message="Too many frames were wrong.", code=Code.RATE_LIMITED, ref=error.ref)
            )
            await self._finish(Close.TOO_MANY)
            return
        self.outbox.push(Error(message=error.sentence, code=error.code, ref=error.ref))

    async def _reject(self, sentence: str, ref: str | None) -> None:
        await self._refuse(Close.NOT_AUTHENTICATED, Code.NOT_AUTHENTICATED, sentence, ref)

    async def _refuse(self, close: int, code: Code, sentence: str, ref: str | None) -> None:
        """The handshake ends here."""
        self.outbox.push(Error(message=sentence, code=code, ref=ref))
        await self._finish(close)

    def _auth_overdue(self) -> None:
        sentence = f"No `auth` frame came within {AUTH_SECONDS:.0f} seconds."
        self.outbox.push(Error(message=sentence, code=Code.NOT_AUTHENTICATED))
        self._dismiss(Close.NOT_AUTHENTICATED)

    def _dismiss(self, code: int) -> None:
        """Close from outside of a handler, once."""
        if self.closing is None:
            self.closing = asyncio.get_running_loop().create_task(self._finish(code), name="closing")

    async def _finish(self, code: int) -> None:
        """Let what was pushed go out, then close."""
        if self.closing is None:
            self.closing = asyncio.current_task()
        self.auth_timer.cancel()
        await self.outbox.flush()
        await self.outbox.close()
        await self.close(code=code)

    async def _send_text(self, text: str) -> None:
        await self.base_send({"type": "websocket.send", "text": text})

    @property
    def _identity(self) -> Identity:
        assert self.identity is not None
        return self.identity


def _too_big(text: str | None) -> bool:
    """Whether the frame has more than MAX_FRAME_BYTES in UTF-8."""
    if text is None or len(text) * 4 <= MAX_FRAME_BYTES:
        return False
    return len(text) > MAX_FRAME_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_FRAME_BYTES


def _header(scope: Any, name: bytes) -> str:
    return next((value.decode("latin1") for key, value in scope["headers"] if key == name), "")
