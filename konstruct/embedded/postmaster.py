"""The server's process, known by its `postmaster.pid`: whether it lives, and how it is ended."""

import os
import signal
import subprocess
import time
from pathlib import Path

from konstruct.embedded.paths import Home


class Postmaster:
    """The postmaster of a data folder; `process` is set where this launcher has started it itself."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """The data folder's one true spelling, by which the process is recognised."""
        return Path(os.path.realpath(self._home.postgres_data))

    def pid(self) -> int | None:
        """The process id of the living server, or None.

        A pid file alone proves nothing: after a crash or a new boot its number may be another process's
        (and PostgreSQL would then refuse to start). The command line tells.
        """
        if self.process is not None and self.process.poll() is None:
            return self.process.pid
        try:
            first_line = (self.data / "postmaster.pid").read_text().partition("\n")[0]
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not first_line.strip().isdecimal():
            return None
        pid = int(first_line)
        return pid if str(self.data) in _command_line(pid) else None

    def has_ended(self) -> bool:
        """Whether the server this launcher started, or else the one it found, is gone."""
        return self.process.poll() is not None if self.process is not None else self.pid() is None

    def let_go(self) -> None:
        """The server goes on without this launcher, for others."""
        if self.process is not None:
            # Popen knows no other way to be told that nobody waits for the child any more.
            self.process.returncode = 0
            self.process = None

    def stop(self, *, fast: float, immediate: float) -> None:
        """Ends the server: a fast shutdown within `fast` seconds, else an immediate one, else SIGKILL.

        The latter two lose nothing: the next start replays the log.
        """
        steps = ((signal.SIGINT, fast), (signal.SIGQUIT, immediate), (signal.SIGKILL, immediate))
        for number, seconds in steps:
            pid = self.pid()
            if pid is None:
                break
            os.kill(pid, number)
            deadline = time.monotonic() + seconds
            while self.pid() == pid and time.monotonic() < deadline:
                time.sleep(0.01)
        self.process = None

    def clear_remains(self) -> None:
        """Removes what a server that was killed has left. Only for one who knows that none runs."""
        for path in (
            self.data / "postmaster.pid",
            self._home.socket_dir / ".s.PGSQL.5432",
            self._home.socket_dir / ".s.PGSQL.5432.lock",
        ):
            path.unlink(missing_ok=True)


def _command_line(pid: int) -> list[str]:
    """The arguments of a living process; of a zombie, or of none, an empty list."""
    process = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self/cmdline").exists():
        try:
            return os.fsdecode(process.read_bytes()).split("\0")
        except (FileNotFoundError, ProcessLookupError):
            return []
    ps = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    shown = subprocess.run(ps, capture_output=True, text=True, timeout=5).stdout
    return [shown.partition(" -D ")[2].partition(" -c ")[0]]
