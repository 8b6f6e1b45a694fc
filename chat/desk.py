"""Where turns begin and are stopped, and answers are followed: what every door into chat calls."""

import asyncio
import logging
import uuid
from uuid import UUID

from django.conf import settings

from chat import answers, records, settlement
from chat.generation import Deadlines, Halt
from chat.hub import Hub, Room
from chat.inbound import InboundMessage
from chat.outbox import Outbox
from chat.protocol import Code, Error, Typing, with_ref
from chat.relay import Relay
from chat.turns import Begin, Turn
from konstruct.tenancy.door import WorkspaceRef, in_workspace

logger = logging.getLogger(__name__)


class Desk:
    """The turns of this process. Used on the event loop only."""

    def __init__(self, hub: Hub, relay: Relay | None) -> None:
        self.hub = hub
        self._relay = relay
        self._tasks: dict[asyncio.Task[None], Turn] = {}
        self._closing = False
        self._hurried = False

    def say(
        self,
        *,
        workspace: WorkspaceRef,
        inbound: InboundMessage,
        agent_id: UUID | None,
        asker: Outbox,
        ref: str | None,
    ) -> None:
        """A user's message. `agent_id`: who will most likely answer, for `typing`.

        The ids follow from the client's own id, where it gave one: so `typing` can go out before the
        database is asked and still names, for a message sent twice, the ids of the first time.
        """
        room_id, client_id = inbound.thread_id, inbound.client_id
        message_id = uuid.uuid5(room_id, f"{client_id}/message") if client_id else uuid.uuid4()
        reply_id = uuid.uuid5(room_id, f"{client_id}/reply") if client_id else uuid.uuid4()
        self._start(
            workspace, inbound, records.begin_message, message_id, reply_id, message_id, agent_id, asker, ref
        )

    def edit(
        self,
        *,
        workspace: WorkspaceRef,
        inbound: InboundMessage,
        agent_id: UUID | None,
        asker: Outbox,
        ref: str | None,
    ) -> None:
        """Another form of the user's message `inbound.reply_to`, and an answer to it."""
        message_id = uuid.uuid4()
        self._start(
            workspace, inbound, records.begin_edit, message_id, uuid.uuid4(), message_id, agent_id, asker, ref
        )

    def regenerate(
        self,
        *,
        workspace: WorkspaceRef,
        inbound: InboundMessage,
        agent_id: UUID | None,
        asker: Outbox,
        ref: str | None,
    ) -> None:
        """Another answer beside the answer `inbound.reply_to`."""
        self._start(
            workspace,
            inbound,
            records.begin_regenerate,
            uuid.uuid4(),
            uuid.uuid4(),
            None,
            agent_id,
            asker,
            ref,
        )

    async def stop(
        self, *, workspace: WorkspaceRef, room: Room, user_id: UUID, message_id: UUID | None
    ) -> bool:
        """End the conversation's running answer, here or elsewhere. False: none runs, or not that one."""
        if self.halt(room, message_id):
            return True
        return await in_workspace(
            workspace,
            answers.request_stop,
            conversation_id=room.conversation_id,
            user_id=user_id,
            message_id=message_id,
        )

    def halt(self, room: Room, message_id: UUID | None) -> bool:
        """End the answer if it is written here. False: it is not."""
        turn = self.hub.turn(room)
        if turn is None or message_id not in (None, turn.reply_id):
            return False
        turn.halt(Halt.STOPPED)
        return True

    async def drain(self, grace: float) -> None:
        """Take nothing new; give running answers `grace` seconds, then interrupt them and wait."""
        self._closing = True
        deadline = asyncio.get_running_loop().time() + grace
        while self._tasks and not self._hurried and asyncio.get_running_loop().time() < deadline:
            await asyncio.wait(self._tasks, timeout=0.1)
        for turn in self._tasks.values():
            turn.halt(Halt.SHUT_DOWN)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=settlement.PATIENCE)

    def hurry(self) -> None:
        """Wait for running answers no longer."""
        self._hurried = True

    @property
    def running(self) -> int:
        return len(self._tasks)

    def _start(
        self,
        workspace: WorkspaceRef,
        inbound: InboundMessage,
        begin: Begin,
        message_id: UUID,
        reply_id: UUID,
        reply_to: UUID | None,
        agent_id: UUID | None,
        asker: Outbox,
        ref: str | None,
    ) -> None:
        if self._closing:
            asker.push(
                Error(message="The server restarts. Please send it again.", code=Code.INTERNAL, ref=ref)
            )
            return
        turn = Turn(
            hub=self.hub,
            relay=self._relay,
            workspace=workspace,
            inbound=inbound,
            begin=begin,
            message_id=message_id,
            reply_id=reply_id,
            deadlines=Deadlines(settings.FIRST_TOKEN_TIMEOUT, settings.IDLE_TIMEOUT, settings.TURN_TIMEOUT),
            asker=asker,
            ref=ref,
        )
        # Where a turn runs already, the database decides whether this is a repetition or one too many;
        # and what an answer that is to be written anew replies to, only the database knows.
        if self.hub.take_turn(turn.room, turn) and reply_to is not None:
            turn.typing_sent = True
            typing = Typing(
                conversation_id=inbound.thread_id,
                message_id=reply_id,
                reply_to=reply_to,
                agent_id=agent_id,
            )
            asker.push(with_ref(typing, ref))
        task = asyncio.get_running_loop().create_task(turn.run(), name=f"turn {reply_id}")
        self._tasks[task] = turn
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A turn's task failed", exc_info=error)
