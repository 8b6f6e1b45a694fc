"""The processes that serve: what each one is, and what is done when one ends by itself."""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from konstruct.embedded.failure import StartFailure, tail
from konstruct.embedded.processes import Child

# Pauses before a restart, seconds; after the last one it is given up.
_PAUSES = (1, 2, 4, 8, 16)
# One that has run this long has recovered: the pauses begin anew.
_RECOVERED_SECONDS = 60


@dataclass(frozen=True)
class Recipe:
    """How a service is run: by Python, or by the `program` named. Without a log it writes where its parent
    does. `ending` asks it to end at once; `restarts`: its end is not everybody's; `inherits`: open files."""

    name: str
    arguments: Sequence[str | Path]
    log: Path | None
    ending: signal.Signals = signal.SIGTERM
    restarts: bool = False
    program: str | Path = sys.executable
    inherits: Sequence[int] = ()


class Service:
    """One running service. Call `tend()` often: it notices an end, and restarts what may be restarted."""

    def __init__(self, recipe: Recipe, environment: Mapping[str, str], folder: Path) -> None:
        self._recipe = recipe
        self._environment = environment
        self._folder = folder
        self._failures = 0
        self._restart_at: float | None = None
        self.child = self._start()

    def _start(self) -> Child:
        return Child(
            self._recipe.name,
            [str(self._recipe.program), *map(str, self._recipe.arguments)],
            environment=self._environment,
            folder=self._folder,
            log=self._recipe.log,
            ending=self._recipe.ending,
            inherits=self._recipe.inherits,
        )

    def tend(self) -> str | None:
        """Looks after the service once; returns a line for the person at the terminal, if there is news.

        Errors: StartFailure where the service has ended for good.
        """
        code = self.child.exit_code()
        if code is None:
            return None
        now = time.monotonic()
        if self._restart_at is not None:
            if now >= self._restart_at:
                self._restart_at = None
                self.child = self._start()
            return None
        if now - self.child.started_at > _RECOVERED_SECONDS:
            self._failures = 0
        if not self._recipe.restarts or self._failures == len(_PAUSES):
            raise StartFailure(self._obituary(code))
        pause = _PAUSES[self._failures]
        self._failures += 1
        self._restart_at = now + pause
        return f"{self._obituary(code, lines=3)}\n{self._recipe.name} is started again in {pause} s."

    def _obituary(self, code: int, *, lines: int = 12) -> str:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if self._recipe.log is None:
            return f"{self._recipe.name} ended unexpectedly ({how})."
        said = "\n".join(f"  {line}" for line in tail(self._recipe.log, lines).splitlines())
        return f"{self._recipe.name} ended unexpectedly ({how}). The end of {self._recipe.log}:\n{said}"


def child_environment(**additions: str) -> dict[str, str]:
    """The launcher's environment for its children, whose output goes to files."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", **additions}
