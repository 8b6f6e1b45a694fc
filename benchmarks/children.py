"""Child processes that cannot outlive the benchmark, on a konstruct.embedded footing."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from konstruct.embedded.failure import tail
from konstruct.embedded.processes import Child, end_all

ROOT = Path(__file__).resolve().parent.parent
_END_SECONDS = 5.0


class BenchmarkFailure(Exception):
    """The benchmark cannot go on; the text says why."""


class Process(Child):
    """A child whose CPU and memory can be looked up."""

    @property
    def pid(self) -> int:
        return self._process.pid


def clean_environment(home: Path, **additions: str) -> dict[str, str]:
    """This process's environment without any setting of Konstruct's but those given."""
    settings = ("KONSTRUCT_", "DATABASE_URL", "REDIS_URL", "PORT", "HOST", "LITELLM_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(settings)}
    return {
        **kept,
        "KONSTRUCT_HOME": str(home),
        "KONSTRUCT_SECRET_KEY": "only-for-benchmarks-" + "x" * 40,
        "PYTHONUNBUFFERED": "1",
        **additions,
    }


@contextmanager
def running(
    name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator[Process]:
    """`python ARGUMENTS` while the block lasts, asked to end (SIGINT) and then killed at its end."""
    child = Process(
        name,
        [sys.executable, *arguments],
        environment=environment,
        folder=ROOT,
        log=log,
        ending=signal.SIGINT,
    )
    try:
        yield child
    finally:
        end_all([child], grace=_END_SECONDS)


def run_to_end(arguments: Sequence[str], environment: Mapping[str, str], given: bytes = b"") -> bytes:
    """`python ARGUMENTS` with `given` on its stdin; out comes its stdout. Raises BenchmarkFailure."""
    done = subprocess.run(
        [sys.executable, *arguments], input=given, capture_output=True, cwd=ROOT, env=environment, check=False
    )
    if done.returncode:
        raise BenchmarkFailure(
            f"{' '.join(arguments)} failed:\n{done.stderr.decode(errors='replace')[-2000:]}"
        )
    return done.stdout


def wait_for(url: str, child: Child, seconds: float = 60.0) -> None:
    """Until the child answers 200 under `url`. Raises BenchmarkFailure."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError) as error:
            if child.exit_code() is not None or time.monotonic() > deadline:
                raise BenchmarkFailure(
                    f"{child.name} does not answer ({error}). The end of its log:\n{tail(child.log)}"
                ) from error
        time.sleep(0.05)
