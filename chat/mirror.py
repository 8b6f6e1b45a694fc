"""Following an answer that another process writes: its slices from Redis, where there is Redis, and what
that process stores about once a second in any case. So an answer whose process died ends here too: the
look at the database finds its heartbeat stale and settles it.
"""

import asyncio
import logging
from uuid import UUID

from chat import lookups, settlement
from chat.answers import Settled
from chat.hub import Room
from chat.protocol import Error, ServerFrame
from chat.relay import UNREACHABLE, Relay, Slice
from chat.stream import Answer
from konstruct.tenancy.door import WorkspaceRef, in_workspace

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
MISSING_SECONDS = 0.1


def terminal_frames(conversation_id: UUID, message_id: UUID, stored: Settled) -> tuple[ServerFrame, ...]:
    """The frames that end a stored answer."""
    done = settlement.done_frame(conversation_id, message_id, stored)
    if stored.status != "failed" or not stored.error_code:
        return (done,)
    error = Error(
        message=settlement.sentence(stored.error_code), code=stored.error_code, message_id=message_id
    )
    return (error, done)


class Mirror:
    """An Answer that grows as the one elsewhere does. `run` is its task; it ends with the answer, or
    soon after nobody follows it any more."""

    def __init__(
        self, workspace: WorkspaceRef, room: Room, user_id: UUID, message_id: UUID, relay: Relay | None
    ) -> None:
        self.answer = Answer(message_id, behind=True)
        self._workspace = workspace
        self._room = room
        self._user_id = user_id
        self._relay = relay
        self._entry = b"0"

    async def run(self) -> None:
        while await self._look():
            await self._listen()
            if not self.answer.followers:
                return

    def show(self, stored: Settled) -> bool:
        """Take over what is stored. True: the answer has ended."""
        if self.answer.terminal is None:
            self.answer.append(stored.text[self.answer.length :])
            if stored.status != "running":
                self.answer.finish(
                    *terminal_frames(self._room.conversation_id, self.answer.message_id, stored)
                )
        return self.answer.terminal is not None

    def _finish(self, stored: Settled) -> None:
        self.answer.finish(*terminal_frames(self._room.conversation_id, self.answer.message_id, stored))

    async def _look(self) -> bool:
        """What does the database say? False: the answer has ended, or is gone."""
        try:
            stored = await in_workspace(
                self._workspace,
                lookups.find_answer,
                conversation_id=self._room.conversation_id,
                user_id=self._user_id,
                message_id=self.answer.message_id,
            )
        except settlement.DATABASE_AWAY as error:
            logger.warning("An answer elsewhere cannot be looked at (%s)", type(error).__name__)
            return True
        if stored is None:
            # Deleted while it was followed: what was seen of it is all there will be.
            gone = Settled(text=self.answer.text, status="interrupted")
            self._finish(gone)
            return False
        return not self.show(stored)

    async def _listen(self) -> None:
        """Take slices until it is time to look again: none comes, one is missing, or the last is here."""
        if self._relay is None:
            await asyncio.sleep(LOOK_SECONDS)
            return
        while self.answer.followers:
            try:
                slices = await self._relay.read(self._room, self.answer.message_id, self._entry)
            except UNREACHABLE as error:
                logger.warning("Slices cannot be read (%s)", type(error).__name__)
                await asyncio.sleep(LOOK_SECONDS)
                return
            if not slices:
                return
            for piece in slices:
                if not self._take(piece):
                    if not piece.last:
                        # What is missing is stored within a second; there is no hurry to look.
                        await asyncio.sleep(MISSING_SECONDS)
                    return

    def _take(self, piece: Slice) -> bool:
        """Append what is new in the slice. False: a look at the database is due before the next one."""
        if piece.offset > self.answer.length:
            return False
        self._entry = piece.entry
        self.answer.append(piece.text[self.answer.length - piece.offset :])
        return not piece.last
