"""Following answers: from the turn that writes one here, or by a mirror of one that is written elsewhere
or has ended. One mirror an answer, however many follow it."""

import asyncio
import logging
from uuid import UUID

from chat import lookups
from chat.hub import Hub, Room
from chat.mirror import Mirror
from chat.outbox import Outbox
from chat.protocol import Code, Error
from chat.relay import Relay
from chat.stream import Answer
from chat.turns import Turns
from konstruct.tenancy.door import WorkspaceRef, in_workspace

logger = logging.getLogger(__name__)


class Following:
    """What is followed in this process. Used on the event loop only."""

    def __init__(self, hub: Hub, turns: Turns, relay: Relay | None) -> None:
        self._hub = hub
        self._turns = turns
        self._relay = relay
        self._mirrors: dict[UUID, Mirror] = {}
        self._tasks: dict[UUID, asyncio.Task[None]] = {}

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
        answer = self._here(room, message_id)
        if answer is None:
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
                return
            # It may have begun here while the database was asked.
            answer = self._here(room, message_id)
            if answer is None:
                mirror = Mirror(workspace, room, user_id, message_id, self._relay)
                answer = mirror.answer
                if not mirror.show(stored):
                    outbox.follow(answer, offset, ref)
                    self._run(mirror)
                    return
        outbox.follow(answer, offset, ref)

    async def join_in(self, *, room: Room, reply_id: UUID, tell_message: bool) -> None:
        """A turn began elsewhere: tell it to those who follow the conversation here.

        `tell_message`: whether the user's message is news as well.
        """
        gathering = self._hub.gathering(room)
        if gathering is None or self._turns.begun(room, reply_id) is not None:
            return
        exchange = await in_workspace(
            gathering.workspace,
            lookups.find_exchange,
            conversation_id=room.conversation_id,
            user_id=gathering.user_id,
            reply_id=reply_id,
        )
        if exchange is None or self._turns.begun(room, reply_id) is not None:
            return
        # One who opened the conversation meanwhile may have resumed it already: the others want it too.
        mirror = self._mirrors.get(reply_id)
        is_new = mirror is None
        if mirror is None:
            mirror = Mirror(gathering.workspace, room, gathering.user_id, reply_id, self._relay)
        ended = mirror.show(exchange.answer)
        said, typing = exchange.said, exchange.typing
        for outbox in self._hub.sockets(room):
            if outbox.has_heard(reply_id):
                continue
            if said is not None and tell_message:
                outbox.push(said)
            outbox.push(typing)
            outbox.follow(mirror.answer)
        if is_new and not ended and mirror.answer.followers:
            self._run(mirror)

    async def stop(self) -> None:
        """End all mirrors."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _here(self, room: Room, message_id: UUID) -> Answer | None:
        """The answer as this process writes or mirrors it."""
        if (turn := self._turns.begun(room, message_id)) is not None:
            return turn.answer
        mirror = self._mirrors.get(message_id)
        return mirror.answer if mirror is not None else None

    def _run(self, mirror: Mirror) -> None:
        message_id = mirror.answer.message_id
        self._mirrors[message_id] = mirror
        task = asyncio.get_running_loop().create_task(mirror.run(), name=f"mirror {message_id}")
        self._tasks[message_id] = task
        task.add_done_callback(lambda task: self._ended(task, mirror))

    def _ended(self, task: asyncio.Task[None], mirror: Mirror) -> None:
        message_id = mirror.answer.message_id
        self._mirrors.pop(message_id, None)
        self._tasks.pop(message_id, None)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            logger.error("Following an answer elsewhere failed", exc_info=error)
        elif mirror.answer.terminal is None and mirror.answer.followers:
            # Somebody came in the moment in which it ended because nobody was left.
            self._run(mirror)
