"""One run of the model into one answer, with its deadlines and its stop. No Django here.

The reading is a task of its own, so that whoever ends it (`halt`, a deadline) does so by cancelling
it, which closes the provider's stream at once (no token is paid for that nobody reads).
"""

import asyncio
from enum import StrEnum

from msgspec import Struct

from agents import runner
from agents.types import Finished, RunRequest, TextDelta
from chat.stream import Answer

# How long a cancelled reading may take to close its connection (seconds) before it is left behind.
_CLOSING = 5.0


class Deadlines(Struct, frozen=True):
    """Seconds: to the first token, between two, and for the whole answer."""

    first: float
    idle: float
    total: float


class Halt(StrEnum):
    """Why an answer ended before the model did."""

    STOPPED = "stopped"
    TIMED_OUT = "timed_out"
    SHUT_DOWN = "shut_down"


class Halted(Exception):
    def __init__(self, why: Halt) -> None:
        super().__init__(why)
        self.why = why


class Generation:
    """Runs once. `halt` may come at any time, from before `run` on."""

    def __init__(self, answer: Answer, deadlines: Deadlines) -> None:
        self.answer = answer
        self.deadlines = deadlines
        self.finished: Finished | None = None
        self.first_token_ms: int | None = None
        self.duration_ms: int | None = None
        self._why: Halt | None = None
        self._reader: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._started = 0.0
        self._progress = 0.0
        self._first = True

    def halt(self, why: Halt) -> None:
        """End it now; what was written stays. The first reason given is the one that counts."""
        if self._why is None:
            self._why = why
            if self._reader is not None:
                self._reader.cancel()

    @property
    def halted(self) -> Halt | None:
        return self._why

    async def run(self, request: RunRequest) -> None:
        """Write the model's answer. Raises AgentError as the runner does, or Halted."""
        if self._why is not None:
            raise Halted(self._why)
        loop = asyncio.get_running_loop()
        self._started = self._progress = loop.time()
        self._reader = loop.create_task(self._read(request, loop), name="generation")
        self._timer = loop.call_at(self._limit(), self._check, loop)
        try:
            await asyncio.wait({self._reader})
        finally:
            self._timer.cancel()
            if not self._reader.done():
                self._reader.cancel()
                await asyncio.wait({self._reader}, timeout=_CLOSING)
            self.duration_ms = round((loop.time() - self._started) * 1000)
        if self.halted is not None and self.finished is None:
            raise Halted(self.halted)
        self._reader.result()

    async def _read(self, request: RunRequest, loop: asyncio.AbstractEventLoop) -> None:
        events = runner.run(request)
        try:
            async for event in events:
                self._progress = loop.time()
                if isinstance(event, TextDelta):
                    if self._first:
                        self._first = False
                        self.first_token_ms = round((self._progress - self._started) * 1000)
                    self.answer.append(event.text)
                elif isinstance(event, Finished):
                    self.finished = event
        finally:
            await events.aclose()

    def _limit(self) -> float:
        patience = self.deadlines.first if self._first else self.deadlines.idle
        return min(self._progress + patience, self._started + self.deadlines.total)

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        """The one timer of the whole run: looks when there was progress last, and waits for the rest."""
        limit = self._limit()
        if loop.time() >= limit:
            self.halt(Halt.TIMED_OUT)
        else:
            self._timer = loop.call_at(limit, self._check, loop)
