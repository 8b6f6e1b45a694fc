"""Where turns begin and are stopped, and answers are followed: what every door into chat calls."""

import asyncio
import logging
import uuid
from uuid import UUID

from django.conf import settings
from msgspec import Struct

from chat import answers, records, settlement
from chat.context import Contexts
from chat.generation import Deadlines, Halt
from chat.hub import Hub, Room
from chat.inbound import InboundMessage
from chat.outbox import Outbox
from chat.protocol import Code, Error, Typing, with_ref
from chat.relay import Relay
from chat.turns import Begin, Turn, Turns
from konstruct.tenancy.door import WorkspaceRef, in_workspace

logger = logging.getLogger(__name__)


class Asked(Struct, frozen=True, kw_only=True):
    """What somebody wants said. `agent_id`: who will most likely answer, for `typing`; `asker`: where the
    direct answers go, with `ref`."""

    workspace: WorkspaceRef
    inbound: InboundMessage
    agent_id: UUID | None
    asker: Outbox
    ref: str | None


class Desk:
    """Begins and stops the turns of this process. Used on the event loop only."""

    def __init__(self, hub: Hub, turns: Turns, relay: Relay | None, contexts: Contexts) -> None:
        self._hub = hub
        self._turns = turns
        self._relay = relay
        self._contexts = contexts
        self._tasks: dict[asyncio.Task[None], Turn] = {}
        self._closing = False
        self._hurried = False

    def say(self, asked: Asked) -> None:
        """A user's message.

        The ids follow from the client's own id, where it gave one: so `typing` can go out before the
        database is asked and still names, for a message sent twice, the ids of the first time.
        """
        room_id, client_id = asked.inbound.thread_id, asked.inbound.client_id
        message_id = uuid.uuid5(room_id, f"{client_id}/message") if client_id else uuid.uuid4()
        reply_id = uuid.uuid5(room_id, f"{client_id}/reply") if client_id else uuid.uuid4()
        self._start(asked, records.begin_message, message_id, reply_id, reply_to=message_id)

    def edit(self, asked: Asked) -> None:
        """Another form of the user's message `inbound.reply_to`, and an answer to it."""
        message_id = uuid.uuid4()
        self._start(asked, records.begin_edit, message_id, uuid.uuid4(), reply_to=message_id)

    def regenerate(self, asked: Asked) -> None:
        """Another answer beside the answer `inbound.reply_to`. To what, only the database knows."""
        self._start(asked, records.begin_regenerate, uuid.uuid4(), uuid.uuid4(), reply_to=None)

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
        turn = self._turns.running(room)
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

    def _start(
        self, asked: Asked, begin: Begin, message_id: UUID, reply_id: UUID, *, reply_to: UUID | None
    ) -> None:
        if self._closing:
            sentence = "The server restarts. Please send it again."
            asked.asker.push(Error(message=sentence, code=Code.INTERNAL, ref=asked.ref))
            return
        turn = Turn(
            hub=self._hub,
            turns=self._turns,
            relay=self._relay,
            workspace=asked.workspace,
            inbound=asked.inbound,
            context=self._contexts.of(asked.workspace, asked.inbound, asked.agent_id),
            begin=begin,
            message_id=message_id,
            reply_id=reply_id,
            deadlines=Deadlines(settings.FIRST_TOKEN_TIMEOUT, settings.IDLE_TIMEOUT, settings.TURN_TIMEOUT),
            asker=asked.asker,
            ref=asked.ref,
        )
        # Where a turn runs already, the database decides whether this is a repetition or one too many.
        if self._turns.take(turn.room, turn) and reply_to is not None:
            turn.typing_sent = True
            typing = Typing(
                conversation_id=asked.inbound.thread_id,
                message_id=reply_id,
                reply_to=reply_to,
                agent_id=asked.agent_id,
            )
            asked.asker.push(with_ref(typing, asked.ref))
        task = asyncio.get_running_loop().create_task(turn.run(), name=f"turn {reply_id}")
        self._tasks[task] = turn
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A turn's task failed", exc_info=error)
