"""The portal's socket: handshake, parse, dispatch, forward (PROTOCOL.md). Thin: no ORM, no litellm."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

from channels.generic.websocket import AsyncWebsocketConsumer

from chat import lookups, protocol
from chat.desk import Asked
from chat.hub import Beginning, Room
from chat.inbound import InboundMessage, Sender
from chat.limits import RateLimit
from chat.lookups import OpenConversation
from chat.outbox import Outbox
from chat.presence import concerns
from chat.process import the_process
from chat.protocol import AUTH_SECONDS, MAX_FRAME_BYTES, Close, Code, Error, ProtocolError
from konstruct.tenancy.door import in_shared, in_workspace
from konstruct.tenancy.sockets import Identity, NotAuthenticated, identify

logger = logging.getLogger(__name__)

# Frames a minute that may be wrong before the socket is closed with 4029.
VIOLATIONS_PER_MINUTE = 30


class ChatConsumer(AsyncWebsocketConsumer):
    """One socket. `identity` is None until the handshake is done."""

    identity: Identity | None = None
    # Sockets hear of their conversation through the hub; a channel each would cost a task each.
    channel_layer_alias = "none"

    async def connect(self) -> None:
        self.process = the_process()
        self.outbox = Outbox(self._send_text)
        self.room: Room | None = None
        self.opened: OpenConversation | None = None
        self.violations = RateLimit(VIOLATIONS_PER_MINUTE)
        self.closing: asyncio.Task[None] | None = None
        await self.process.start()
        await self.accept()
        self.auth_timer = asyncio.get_running_loop().call_later(AUTH_SECONDS, self._auth_overdue)

    async def disconnect(self, code: int) -> None:
        self.auth_timer.cancel()
        self.process.presence.leave(self)
        if self.room is not None:
            self.process.hub.leave(self.room, self.outbox)
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
                await self._handlers[type(frame)](self, frame)
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
            opened = await self._find_conversation(identity)
        # No await from here to `_join`'s end: what was withdrawn or began until now is known, what is
        # withdrawn or begins from now on reaches this socket.
        if self.closing is not None:
            return
        if opened is None:
            await self._refuse(
                Close.NO_CONVERSATION, Code.NOT_FOUND, "There is no such conversation.", frame.ref
            )
        elif any(concerns(notice, identity) for notice in withdrawn):
            await self._refuse(Close.ACCESS_WITHDRAWN, Code.FORBIDDEN, "Your access has ended.", frame.ref)
        elif self.process.stopping:
            await self._refuse(Close.RESTART, Code.INTERNAL, "The server restarts.", frame.ref)
        elif not self.process.presence.enter(self, identity, self._dismiss):
            sentence = "You have too many connections open."
            await self._refuse(Close.TOO_MANY, Code.RATE_LIMITED, sentence, frame.ref)
        else:
            self._join(identity, opened, begun, frame.ref)

    async def _find_conversation(self, identity: Identity) -> OpenConversation | None:
        """The conversation of the URL; None: this user has no such conversation."""
        try:
            conversation_id = UUID(self.scope["url_route"]["kwargs"]["conversation_id"])
        except ValueError:
            return None
        return await in_workspace(
            identity.workspace,
            lookups.open_conversation,
            conversation_id=conversation_id,
            user_id=identity.user_id,
        )

    def _join(
        self, identity: Identity, opened: OpenConversation, begun: list[Beginning], ref: str | None
    ) -> None:
        """Say `ready`, and hear of the conversation from now on, and of what has `begun` meanwhile."""
        room = Room(identity.workspace.schema_name, opened.id)
        active, last = opened.active, opened.last_message_id
        if (turn := self.process.turns.begun(room)) is not None:
            active, last = protocol.Active(turn.reply_id, turn.reply_to), turn.reply_id
        self.identity, self.opened, self.room = identity, opened, room
        self.outbox.resumes = active.message_id if active else None
        self.outbox.push(
            protocol.Ready(
                conversation_id=opened.id, agent=opened.agent, last_message_id=last, active=active, ref=ref
            )
        )
        self.process.hub.join(room, self.outbox, workspace=identity.workspace, user_id=identity.user_id)
        for one in begun:
            if one.room == room and one.reply_id not in (active and active.message_id, last):
                self.process.join_in(room, one.reply_id, tell_message=one.is_new)
        self.auth_timer.cancel()
        logger.info("Socket of user %s in %s", identity.user_id, identity.workspace.slug)

    # --- what a client says -------------------------------------------------------------------------

    async def _on_auth(self, frame: protocol.Auth) -> None:
        await self._wrong(ProtocolError(Code.BAD_FRAME, "This socket is authenticated already.", frame.ref))

    async def _on_message(self, frame: protocol.SendMessage) -> None:
        if frame.conversation_id not in (None, self._room.conversation_id):
            await self._wrong(
                ProtocolError(
                    Code.BAD_FRAME, "`conversationId` is not this socket's conversation.", frame.ref
                )
            )
            return
        await self._turn(
            self.process.desk.say, frame, text=frame.text, agent_id=frame.agent_id, client_id=frame.message_id
        )

    async def _on_edit(self, frame: protocol.Edit) -> None:
        await self._turn(self.process.desk.edit, frame, text=frame.text, reply_to=frame.message_id)

    async def _on_regenerate(self, frame: protocol.Regenerate) -> None:
        await self._turn(
            self.process.desk.regenerate, frame, text="", agent_id=frame.agent_id, reply_to=frame.message_id
        )

    async def _turn(self, begin: Callable[[Asked], None], frame: protocol.ClientFrame, **said: Any) -> None:
        """Hand what was said over to the desk, if the user's rate allows."""
        identity = self._identity
        wait = self.process.messages.wait(identity.user_id)
        if wait:
            sentence = f"You are sending too fast. Try again in {round(wait) or 1} seconds."
            self.outbox.push(
                Error(message=sentence, code=Code.RATE_LIMITED, retry_after=round(wait, 1), ref=frame.ref)
            )
            return
        # The user's own name, not what the frame's `displayName` claims.
        inbound = InboundMessage(
            id=uuid4(),
            tenant_id=identity.workspace.id,
            channel="web",
            sender=Sender(identity.user_id, identity.name, identity.session),
            timestamp=datetime.now(UTC),
            thread_id=self._room.conversation_id,
            **said,
        )
        default = self.opened.agent if self.opened else None
        begin(
            Asked(
                workspace=identity.workspace,
                inbound=inbound,
                agent_id=inbound.agent_id or (default.id if default else None),
                asker=self.outbox,
                ref=frame.ref,
            )
        )

    async def _on_stop(self, frame: protocol.Stop) -> None:
        stopped = await self.process.desk.stop(
            workspace=self._identity.workspace,
            room=self._room,
            user_id=self._identity.user_id,
            message_id=frame.message_id,
        )
        if not stopped:
            sentence = "There is no such running answer."
            self.outbox.push(
                Error(message=sentence, code=Code.NOT_FOUND, message_id=frame.message_id, ref=frame.ref)
            )

    async def _on_resume(self, frame: protocol.Resume) -> None:
        await self.process.following.resume(
            workspace=self._identity.workspace,
            room=self._room,
            user_id=self._identity.user_id,
            message_id=frame.message_id,
            offset=frame.offset,
            outbox=self.outbox,
            ref=frame.ref,
        )

    async def _on_feedback(self, frame: protocol.GiveFeedback) -> None:
        noted = await in_workspace(
            self._identity.workspace,
            lookups.set_feedback,
            conversation_id=self._room.conversation_id,
            user_id=self._identity.user_id,
            message_id=frame.message_id,
            value=frame.value,
            comment=frame.comment,
        )
        if noted:
            self.outbox.push(
                protocol.Feedback(
                    message_id=frame.message_id, value=frame.value, comment=frame.comment, ref=frame.ref
                )
            )
        else:
            sentence = "There is no such answer in this conversation."
            self.outbox.push(
                Error(message=sentence, code=Code.NOT_FOUND, message_id=frame.message_id, ref=frame.ref)
            )

    async def _on_ack(self, frame: protocol.Ack) -> None:
        """How far the client has drawn: nothing waits for it yet."""

    async def _on_ping(self, frame: protocol.Ping) -> None:
        self.outbox.push(protocol.Pong(ref=frame.ref))

    _handlers: ClassVar[dict[type, Any]] = {
        protocol.Auth: _on_auth,
        protocol.SendMessage: _on_message,
        protocol.Edit: _on_edit,
        protocol.Regenerate: _on_regenerate,
        protocol.Stop: _on_stop,
        protocol.Resume: _on_resume,
        protocol.GiveFeedback: _on_feedback,
        protocol.Ack: _on_ack,
        protocol.Ping: _on_ping,
    }

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

    @property
    def _room(self) -> Room:
        assert self.room is not None
        return self.room


def _too_big(text: str | None) -> bool:
    """Whether the frame has more than MAX_FRAME_BYTES in UTF-8."""
    if text is None or len(text) * 4 <= MAX_FRAME_BYTES:
        return False
    return len(text) > MAX_FRAME_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_FRAME_BYTES


def _header(scope: Any, name: bytes) -> str:
    return next((value.decode("latin1") for key, value in scope["headers"] if key == name), "")
