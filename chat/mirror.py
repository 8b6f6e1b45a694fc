"""Following an answer that another process writes, by what that process stores about once a second.

Also how an answer is followed whose process died: the look at the database finds it stale and ends it.
"""

import asyncio
import logging
from uuid import UUID

from chat import lookups, settlement
from chat.protocol import Error, ServerFrame
from chat.records import Settled
from chat.stream import Answer
from konstruct.tenancy.door import WorkspaceRef, in_workspace

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5


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
    """An Answer that grows as the stored text does. `run` is its task; it ends with the answer, or as
    soon as nobody follows it any more."""

    def __init__(
        self, workspace: WorkspaceRef, conversation_id: UUID, user_id: UUID, message_id: UUID
    ) -> None:
        self.answer = Answer(message_id)
        self._workspace = workspace
        self._conversation_id = conversation_id
        self._user_id = user_id

    async def run(self) -> None:
        while self.answer.terminal is None:
            try:
                stored = await in_workspace(
                    self._workspace,
                    lookups.find_answer,
                    conversation_id=self._conversation_id,
                    user_id=self._user_id,
                    message_id=self.answer.message_id,
                )
            except settlement.DATABASE_AWAY as error:
                logger.warning("An answer elsewhere cannot be looked at (%s)", type(error).__name__)
            else:
                if stored is None or self.show(stored):
                    return
            await asyncio.sleep(LOOK_SECONDS)
            if not self.answer.followers:
                return

    def show(self, stored: Settled) -> bool:
        """Take over what is stored. True: the answer has ended."""
        self.answer.append(stored.text[self.answer.length :])
        if stored.status == "running":
            return False
        self.answer.finish(*terminal_frames(self._conversation_id, self.answer.message_id, stored))
        return True
