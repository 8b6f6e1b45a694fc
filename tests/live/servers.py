"""Server processes of the project, on free ports, with the test run's data folder."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import httpx

ROOT = Path(__file__).resolve().parents[2]
# Loading Django, the front door and, beside them, litellm takes seconds on a busy machine.
START_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**changes: str) -> dict[str, str]:
    """That of this test run (tests.environment), changed."""
    ours = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "PYTHONWARNINGS": "default"}
    return {**os.environ, **ours, **changes}


def manage(*arguments: str, **changes: str) -> str:
    """What `manage.py ...` prints. Raises CalledProcessError."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout


class Server:
    """`manage.py serve`, or uvicorn. `with Server(...) as server`: up and answering inside.

    changed: constants of modules with other values (`tests.live.changed`), {"chat.relay.PACE": 1.0}.
    """

    def __init__(
        self, log: Path, *, uvicorn: bool = False, changed: dict[str, float] | None = None, **changes: str
    ) -> None:
        self.port = free_port()
        self.log = log
        self._changes = changes
        self._uvicorn = uvicorn
        self._changed = changed
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    def start(self) -> None:
        """Start it (again, on the same port) and wait until it answers."""
        command = [sys.executable, "manage.py", "serve", "--port", str(self.port)]
        if self._uvicorn:
            command = [
                *(sys.executable, "-m", "uvicorn", "konstruct.asgi:application", "--log-level", "warning"),
                *("--port", str(self.port), "--timeout-graceful-shutdown", "5"),
            ]
        elif self._changed is not None:
            values = [f"{name}={value}" for name, value in self._changed.items()]
            command[1:2] = ["-m", "tests.live.changed", *values, "--"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment(**self._changes), stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"The server did not start:\n{self.said()}")

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def is_apart(self) -> bool:
        """Whether it has a data folder or a database of its own."""
        return not {"KONSTRUCT_HOME", "DATABASE_URL"}.isdisjoint(self._changes)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, timeout: float) -> int:
        """The exit code. Where it does not end in time: AssertionError with its log and its stacks."""
        assert self._process is not None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)
            self._process.wait(10)
        raise AssertionError(f"The server did not end within {timeout} s:\n{self.said()[-6000:]}")

    def said(self, since: int = 0) -> str:
        """Its log, from that byte on."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")
