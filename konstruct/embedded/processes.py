"""Child processes that cannot outlive the launcher, with a log each that stays small."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

from konstruct.embedded.server_user import SHIM

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOG_LIMIT = 5 * 1024 * 1024


def append_to_log(path: Path) -> BinaryIO:
    """Opens a log to be added to; one that has grown beyond 5 MiB becomes `NAME.1` first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")


@contextmanager
def signals_held() -> Iterator[None]:
    """Ctrl-C waits inside this block: between a fork and the note of its id it would lose the child."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Child:
    """One child process, in a session of its own: Ctrl-C reaches the launcher only.

    Its errors go to `log`, and the rest of its output too, unless it is `spoken` to the launcher's terminal;
    without a log all of it goes where the launcher's own goes. `ending` is the signal that asks it to end;
    `inherits` are the open files it gets.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        log: Path | None,
        ending: signal.Signals = signal.SIGTERM,
        spoken: bool = False,
        inherits: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.log = log
        self.started_at = time.monotonic()
        self._ending = ending
        options = json.dumps({"parent": os.getpid()})
        with append_to_log(log) if log else nullcontext() as output, signals_held():
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SHIM), options, *command],
                stdin=subprocess.DEVNULL,
                stdout=None if spoken else output,
                stderr=output,
                env=environment,
                cwd=folder,
                start_new_session=True,
                pass_fds=tuple(inherits),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """Its exit code (negative: the signal that ended it), or None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """Waits for its end; None where it has not come within `seconds`."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def ask_to_end(self) -> None:
        """Sends its ending signal, if it still runs."""
        self.send(self._ending)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal, if it still runs."""
        if self.exit_code() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """Ends it and whatever it has started in its session."""
        with suppress(ProcessLookupError):  # nobody left in it
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def end_all(children: Sequence[Child], *, grace: float) -> None:
    """Ends all of them at once: they are asked, and those left after `grace` seconds are killed."""
    for child in children:
        child.ask_to_end()
    deadline = time.monotonic() + grace
    for child in children:
        child.wait(max(0.0, deadline - time.monotonic()))
    for child in children:
        child.kill()
