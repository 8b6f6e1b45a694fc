"""The socket of a conversation: parse, dispatch, forward (PROTOCOL.md). Thin: no ORM, no litellm."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

from chat import lookups, protocol
from chat.desk import Asked
from chat.handshake import PortalConsumer, Refusal
from chat.hub import Beginning, Ending, Room
from chat.inbound import InboundMessage, Sender
from chat.lookups import OpenConversation
from chat.protocol import Close, Code, Error, ProtocolError
from konstruct.tenancy.door import in_workspace
from konstruct.tenancy.sockets import Identity

logger = logging.getLogger(__name__)


class ChatConsumer(PortalConsumer):
    """One socket of one conversation: that of the URL."""

    room: Room | None = None
    opened: OpenConversation | None = None

    async def _find(self, identity: Identity) -> OpenConversation:
        """The conversation of the URL, if this user has it."""
        opened = None
        try:
            conversation_id = UUID(self.scope["url_route"]["kwargs"]["conversation_id"])
        except ValueError:
            conversation_id = None
        if conversation_id is not None:
            opened = await in_workspace(
                identity.workspace,
                lookups.open_conversation,
                conversation_id=conversation_id,
                user_id=identity.user_id,
            )
        if opened is None:
            raise _no_conversation()
        return opened

    def _enter(
        self,
        identity: Identity,
        found: OpenConversation,
        begun: list[Beginning | Ending],
        ref: str | None,
    ) -> None:
        room = Room(identity.workspace.schema_name, found.id)
        if Ending(room) in begun:
            raise _no_conversation()
        active, last = found.active, found.last_message_id
        if (turn := self.process.turns.begun(room)) is not None:
            active, last = protocol.Active(turn.reply_id, turn.reply_to), turn.reply_id
        self.opened, self.room = found, room
        self.outbox.resumes = active.message_id if active else None
        self.outbox.push(
            protocol.Ready(
                conversation_id=found.id, agent=found.agent, last_message_id=last, active=active, ref=ref
            )
        )
        self.process.hub.join(
            room,
            self.outbox,
            workspace=identity.workspace,
            user_id=identity.user_id,
            dismiss=self._dismiss,
        )
        for one in begun:
            if isinstance(one, Ending):
                continue
            if one.room == room and one.reply_id not in (active and active.message_id, last):
                self.process.join_in(room, one.reply_id, tell_message=one.is_new)
        logger.info("Socket of user %s in %s", identity.user_id, identity.workspace.slug)

    def _leave(self) -> None:
        if self.room is not None:
            self.process.hub.leave(self.room, self.outbox)

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

    _handlers: ClassVar[dict[type, Any]] = {
        protocol.Auth: _on_auth,
        protocol.SendMessage: _on_message,
        protocol.Edit: _on_edit,
        protocol.Regenerate: _on_regenerate,
        protocol.Stop: _on_stop,
        protocol.Resume: _on_resume,
        protocol.GiveFeedback: _on_feedback,
        protocol.Ack: _on_ack,
        protocol.Ping: PortalConsumer._on_ping,
    }

    @property
    def _room(self) -> Room:
        assert self.room is not None
        return self.room


def _no_conversation() -> Refusal:
    return Refusal(Close.NO_CONVERSATION, Code.NOT_FOUND, "There is no such conversation.")
