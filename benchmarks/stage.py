"""Where a run takes place: all of it private, in a temporary folder, gone at the end."""

import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from benchmarks.children import Process, clean_environment, run_to_end, running, wait_for
from konstruct.embedded.checks import free_port
from konstruct.embedded.paths import Home
from konstruct.embedded.postgres import EmbeddedPostgres

USERS = 50


class Guest(msgspec.Struct, frozen=True):
    """A conversation with an employee of the model, and the `auth` frame of its owner."""

    model: str
    conversation_id: str
    auth: dict[str, Any]


class Stage:
    """The database, the upstream and the people. `postgres` is the postmaster's process id."""

    def __init__(self, home: Home, server: EmbeddedPostgres, upstream: Process, upstream_url: str) -> None:
        self.home = home
        self.upstream = upstream
        self.upstream_url = upstream_url
        self.postgres = int((home.postgres_data / "postmaster.pid").read_text().splitlines()[0])
        self._server = server
        self._guests: dict[str, list[Guest]] = defaultdict(list)

    def environment(self, **additions: str) -> dict[str, str]:
        """For manage.py: this stage's database and upstream, no limits."""
        return clean_environment(
            self.home.path,
            KONSTRUCT_MODEL="openai/stamped-1-0",
            KONSTRUCT_API_BASE=self.upstream_url,
            KONSTRUCT_CONNECTIONS_PER_USER="0",
            KONSTRUCT_MESSAGES_PER_MINUTE="0",
            **additions,
        )

    def invite(self, conversations: Mapping[str, int]) -> None:
        """Make so many conversations with each model."""
        wanted = msgspec.json.encode({"users": USERS, "conversations": conversations})
        for line in run_to_end(["-m", "benchmarks.populate"], self.environment(), wanted).splitlines():
            guest = msgspec.json.decode(line, type=Guest)
            self._guests[guest.model].append(guest)

    def guests(self, model: str, number: int, *, keep: bool = False) -> list[Guest]:
        """Conversations that nobody has written in. `keep`: nobody will, so they may be used again."""
        free = self._guests[model]
        if len(free) < number:
            raise ValueError(f"only {len(free)} conversations with {model} are left, not {number}")
        taken = free[:number]
        if not keep:
            del free[:number]
        return taken

    def database(self) -> psycopg.Connection[Any]:
        """A superuser's connection, for what a benchmark has to set or look up."""
        return psycopg.connect(**self._server.connection(), autocommit=True)


@contextmanager
def stage() -> Iterator[Stage]:
    """A prepared stage without guests."""
    folder = Path(tempfile.mkdtemp(prefix="konstruct-benchmarks-"))
    home = Home(folder)
    try:
        with EmbeddedPostgres(home, durable=False) as server:
            port = free_port()
            url = f"http://127.0.0.1:{port}/v1"
            with running(
                "The fake upstream",
                ["-m", "tests.upstream", "--port", str(port)],
                clean_environment(folder),
                home.logs / "upstream.log",
            ) as upstream:
                made = Stage(home, server, upstream, url)
                run_to_end(["manage.py", "prepare", "--no-demo"], made.environment())
                wait_for(f"{url}/models", upstream)
                yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def realtime_of(monotonic: float) -> float:
    """A `time.monotonic()` as seconds since 1970, as logs have it."""
    return monotonic + (time.time() - time.monotonic())
