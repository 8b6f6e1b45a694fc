"""Where turns begin and are stopped, and answers are followed: what every door into chat calls."""

import asyncio
import logging
import uuid
from uuid import UUID

from django.conf import settings

from chat import lookups, records, settlement
from chat.generation import Deadlines, Halt
from chat.hub import Hub, Room
from chat.inbound import InboundMessage
from chat.mirror import Mirror
from chat.outbox import Outbox
from chat.protocol import Code, Error, Typing, with_ref
from chat.turns import Begin, Turn
from konstruct.tenancy.door import WorkspaceRef, in_workspace

logger = logging.getLogger(__name__)


class Desk:
    """The turns of this process. Used on the event loop only."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._tasks: dict[asyncio.Task[None], Turn] = {}
        self._mirrors: dict[UUID, Mirror] = {}
        self._mirroring: set[asyncio.Task[None]] = set()
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

    def stop(self, room: Room, message_id: UUID | None) -> bool:
        """End the conversation's running answer. False: none runs here, or not that one."""
        turn = self.hub.turn(room)
        if turn is None or message_id not in (None, turn.reply_id):
            return False
        turn.halt(Halt.STOPPED)
        return True

    async def resume(
        self,
        *,
        workspace: WorkspaceRef,
        room: Room,
        user_id: UUID,
        message_id: UUID,
        offset: int,
        outbox: Outbox,
        ref: str | None,
    ) -> None:
        """Follow the answer from `offset` on, running or ended; an `error` frame where there is none."""
        if (turn := self._running(room, message_id)) is not None:
            outbox.follow(turn.answer, offset, ref)
            return
        stored = await in_workspace(
            workspace,
            lookups.find_answer,
            conversation_id=room.conversation_id,
            user_id=user_id,
            message_id=message_id,
        )
        if stored is None:
            sentence = "There is no such answer in this conversation."
            outbox.push(Error(message=sentence, code=Code.NOT_FOUND, message_id=message_id, ref=ref))
        elif (turn := self._running(room, message_id)) is not None:
            # It began here while the database was asked.
            outbox.follow(turn.answer, offset, ref)
        else:
            mirror = self._mirrors.get(message_id)
            if mirror is None:
                mirror = Mirror(workspace, room.conversation_id, user_id, message_id)
            ended = mirror.show(stored)
            outbox.follow(mirror.answer, offset, ref)
            if not ended and message_id not in self._mirrors:
                self._mirrors[message_id] = mirror
                task = asyncio.get_running_loop().create_task(mirror.run(), name=f"mirror {message_id}")
                self._mirroring.add(task)
                task.add_done_callback(lambda task: self._mirrored(task, message_id))

    def _running(self, room: Room, message_id: UUID) -> Turn | None:
        turn = self.hub.turn(room)
        return turn if turn is not None and turn.begun and turn.reply_id == message_id else None

    def _mirrored(self, task: asyncio.Task[None], message_id: UUID) -> None:
        self._mirrors.pop(message_id, None)
        self._mirroring.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("Following an answer elsewhere failed", exc_info=error)

    async def drain(self, grace: float) -> None:
        """Take nothing new; give running answers `grace` seconds, then interrupt them and wait."""
        self._closing = True
        for task in self._mirroring:
            task.cancel()
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
