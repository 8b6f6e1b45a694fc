"""Who is measured. Each starts what it needs on the stage, and says how a person reaches it.

To add one (a FastAPI + litellm relay, say): a function like `konstruct_uvicorn` that runs its server as
a child and yields a Target, and its name in CONTESTANTS. Whatever speaks PROTOCOL.md's `ready`,
`message`, `chunk` and `done` is reached by a ChatLine; anything else needs a Line of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

from benchmarks.children import BenchmarkFailure, Process, running, wait_for
from benchmarks.lines import ChatLine, CompletionLine, MakeLine
from benchmarks.stage import Stage
from konstruct.embedded.checks import free_port
from konstruct.embedded.failure import tail


@dataclass(frozen=True)
class Target:
    """A contestant that runs. `servers`: the processes whose CPU and memory are its cost.

    has_sockets: a connection can lie idle.  has_database: a turn goes through PostgreSQL.
    """

    name: str
    line: MakeLine
    servers: tuple[Process, ...] = ()
    has_sockets: bool = True
    has_database: bool = True

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(server.pid for server in self.servers)

    def check(self) -> None:
        """Raises BenchmarkFailure where a server has ended by itself, or was killed by somebody."""
        for server in self.servers:
            code = server.exit_code()
            if code is not None:
                raise BenchmarkFailure(
                    f"{self.name} has ended (exit code {code}). The end of its log:\n{tail(server.log)}"
                )


Contestant = Callable[[Stage], AbstractContextManager[Target]]


@contextmanager
def direct(stage: Stage) -> Iterator[Target]:
    """The load generator reads the upstream's own stream: what no server in between can beat."""
    yield Target("direct", partial(CompletionLine, stage.upstream_url), has_sockets=False, has_database=False)


@contextmanager
def konstruct_daphne(stage: Stage) -> Iterator[Target]:
    """What `bin/run` starts, in one process: the figures are about what one costs."""
    with _konstruct(
        "konstruct-daphne",
        stage,
        lambda port: ["manage.py", "serve", "--processes", "1", "--port", str(port)],
    ) as target:
        yield target


@contextmanager
def konstruct_uvicorn(stage: Stage) -> Iterator[Target]:
    """The same application, as one would run it under uvicorn."""

    def command(port: int) -> list[str]:
        options = ["--no-access-log", "--log-level", "warning", "--ws-per-message-deflate", "false"]
        return ["-m", "uvicorn", "konstruct.asgi:application", "--port", str(port), *options]

    with _konstruct("konstruct-uvicorn", stage, command) as target:
        yield target


@contextmanager
def _konstruct(name: str, stage: Stage, command: Callable[[int], Sequence[str]]) -> Iterator[Target]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = stage.home.logs / f"{name}.log"
    with running(name, command(port), stage.environment(), log) as server:
        wait_for(f"{url}/readyz", server)
        yield Target(name, partial(ChatLine, url), (server,))


CONTESTANTS: dict[str, Contestant] = {
    "direct": direct,
    "konstruct-daphne": konstruct_daphne,
    "konstruct-uvicorn": konstruct_uvicorn,
}
