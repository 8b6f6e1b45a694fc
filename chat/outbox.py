"""All that leaves one socket, in order, by one sender. No Django here.

Frames go out as they are pushed; followed answers are read past their cursors, the first token at
once and then at most one chunk each PACE seconds, fewer and larger ones where the event loop is late.
The sending task exists only while there is something to send or to follow, so an idle socket costs none.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

from chat.protocol import ServerFrame, encode, with_ref
from chat.stream import Answer, Cursor

logger = logging.getLogger(__name__)

PACE = 0.03
# The pace of a loop that cannot keep up: a chunk costs about as much to send as a token to read, so with
# half as many chunks it keeps up with a third more, and nobody sees a tenth of a second.
SLOWEST_PACE = 0.1
# How late (seconds) the loop's own work may make a chunk before the pace slows down, and by how much then.
_ON_TIME = 0.01
_SLOWING = 2.0
# Answers an outbox remembers to have been given.
_HEARD = 64


class Pace:
    """How long sockets of this process wait between two chunks: by how late the event loop is.

    Late is what lies between the moment a socket is due or its answer grows and its turn to send.
    """

    __slots__ = ("_late", "seconds")

    def __init__(self) -> None:
        self.seconds = PACE
        self._late = 0.0

    def note(self, late: float) -> None:
        """One socket's turn came so many seconds late."""
        self._late += (late - self._late) / 32
        beyond = self._late - _ON_TIME
        self.seconds = PACE if beyond <= 0 else min(PACE + _SLOWING * beyond, SLOWEST_PACE)


pace = Pace()


class Outbox:
    """Give it a way to send text; push frames and follow answers; close it at the end."""

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        # Lists, since a deque is 760 bytes when it is empty, and idle sockets are many.
        self._frames: list[ServerFrame] = []
        self._cursors: list[Cursor] = []
        self._task: asyncio.Task[None] | None = None
        self._wake: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._flushed: asyncio.Future[None] | None = None
        self._awaits_growth = False
        # When what ends the wait happened, or is to happen (the loop's time).
        self._since = 0.0
        self._closed = False
        # The answer that `ready` named as active: this socket follows it only once it says `resume`.
        self.resumes: UUID | None = None
        # The latest answers it was given, whether they run or have ended.
        self._heard: list[UUID] = []

    def push(self, frame: ServerFrame) -> None:
        """Send this frame as soon as those before it are out."""
        if self._closed:
            return
        self._frames.append(frame)
        self._stir()

    def follow(self, answer: Answer, offset: int = 0, ref: str | None = None) -> None:
        """Send what lies past `offset`, all that comes, and the frames that end it.

        An answer that is followed already is not followed twice: its cursor moves to `offset`, since
        a client that asks again knows what it has.
        """
        if self._closed:
            return
        self._cursors = [c for c in self._cursors if c.answer is not answer]
        self._cursors.append(Cursor(answer, offset, ref))
        self._heard.append(answer.message_id)
        del self._heard[:-_HEARD]
        answer.listen(self, self._grown)
        self._stir()

    def has_heard(self, message_id: UUID) -> bool:
        """Whether it was given this answer, or is to ask for it itself."""
        return message_id == self.resumes or message_id in self._heard

    async def flush(self, timeout: float = 2.0) -> None:
        """Wait until the frames pushed so far are out, at most `timeout` seconds."""
        if not self._frames or self._closed:
            return
        self._flushed = asyncio.get_running_loop().create_future()
        await asyncio.wait({self._flushed}, timeout=timeout)

    async def close(self) -> None:
        """Send nothing more; the sending task has ended when this returns."""
        self._closed = True
        for cursor in self._cursors:
            cursor.answer.forget(self)
        self._cursors.clear()
        self._frames.clear()
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait({task})

    # --- the sender -------------------------------------------------------------------------------

    def _grown(self) -> None:
        if any(cursor.ended for cursor in self._cursors):
            # The last chunk keeps to no pace.
            self._since = 0.0
            self._rouse()
        elif self._awaits_growth:
            self._awaits_growth = False
            loop = asyncio.get_running_loop()
            self._since = now = loop.time()
            due = min((cursor.not_before for cursor in self._cursors if cursor.pending), default=now)
            if due <= now:
                self._rouse()
            else:
                self._since = due
                self._timer = loop.call_at(due, self._rouse)

    def _stir(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._pump(), name="outbox")
            self._task.add_done_callback(self._pumped)
        else:
            self._rouse()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _pumped(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._closed = True
            for cursor in self._cursors:
                cursor.answer.forget(self)
            if isinstance(error, OSError):
                # The peer is gone; the consumer's disconnect does the rest.
                logger.info("A socket could not be written to (%s)", type(error).__name__)
            else:
                logger.error("A socket's sender failed", exc_info=error)

    async def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        while self._frames or self._cursors:
            while self._frames:
                await self._send(encode(self._frames[0]))
                del self._frames[0]
            if self._flushed is not None and not self._flushed.done():
                self._flushed.set_result(None)
            due = await self._advance(loop.time())
            if self._frames or not self._cursors:
                continue
            await self._sleep(loop, due)
        # No await between the check above and here, so nothing pushed can be overlooked.
        self._task = None

    async def _advance(self, now: float) -> float | None:
        """Send what is due of each followed answer; return when the next chunk may go, if one waits."""
        due: float | None = None
        for cursor in tuple(self._cursors):
            # While a chunk is on its way, `follow` may have put another cursor in this one's place.
            if cursor not in self._cursors:
                continue
            if cursor.pending and (cursor.not_before <= now or cursor.ended):
                cursor.not_before = now + pace.seconds
                await self._send(cursor.take())
                if cursor not in self._cursors:
                    continue
            if cursor.pending:
                due = cursor.not_before if due is None else min(due, cursor.not_before)
            elif cursor.answer.terminal is not None:
                self._cursors.remove(cursor)
                cursor.answer.forget(self)
                for frame_ in cursor.answer.terminal:
                    await self._send(encode(with_ref(frame_, cursor.ref)))
        return due

    async def _sleep(self, loop: asyncio.AbstractEventLoop, due: float | None) -> None:
        """Until a frame is pushed, and until an answer grows or the time `due` comes."""
        if due is None and any(c.pending or c.ended for c in self._cursors):
            return
        self._wake = loop.create_future()
        self._awaits_growth = due is None
        self._since = due or 0.0
        if due is not None:
            self._timer = loop.call_at(due, self._rouse)
        try:
            await self._wake
        finally:
            self._wake = None
            self._awaits_growth = False
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        # Not where a frame was pushed, before its time.
        if self._since and (late := loop.time() - self._since) >= 0:
            pace.note(late)
