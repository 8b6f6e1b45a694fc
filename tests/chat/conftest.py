"""The servers these tests talk to, the upstream behind them, and two workspaces."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live import agreement
from tests.live.backstage import Backstage
from tests.live.client import Client, made
from tests.live.people import Place, Seat
from tests.live.servers import Server, manage
from tests.upstream import Upstream

RunServer = Callable[..., Server]
Serve = Callable[..., Awaitable[Server]]
TakeSeat = Callable[..., Seat]
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def backstage() -> Iterator[Backstage]:
    """The servers' database, prepared as `bin/run` prepares it."""
    manage("prepare", "--no-demo")
    with Backstage() as backstage:
        yield backstage


@pytest.fixture(scope="session")
def acme(backstage: Backstage) -> Place:
    return backstage.workspace("acme", "Acme Ltd", host="acme.localhost")


@pytest.fixture(scope="session")
def globex(backstage: Backstage) -> Place:
    return backstage.workspace("globex", "Globex", host="globex.localhost")


@pytest.fixture
def new_place(backstage: Backstage) -> Place:
    """A workspace of the test's own, to suspend, delete or depopulate."""
    number = next(_numbers)
    return backstage.workspace(f"place-{number}", f"Place {number}")


@pytest.fixture
def seat(backstage: Backstage, acme: Place) -> TakeSeat:
    """`seat("echo")`: a new person's conversation with an employee that behaves so, in `acme`."""

    def take(model: str = "echo", **options: Any) -> Seat:
        return backstage.seat(options.pop("place", acme), model, **options)

    return take


# --- servers --------------------------------------------------------------------------------------

_servers: list[Server] = []


@pytest.fixture(scope="session")
def _run_server(
    backstage: Backstage, acme: Place, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> RunServer:
    def run(*, warm: bool = True, **options: Any) -> Server:
        log: Path = tmp_path_factory.mktemp("server") / "log"
        server = Server(
            log, **{"KONSTRUCT_MODEL": "openai/echo", "KONSTRUCT_API_BASE": upstream.url, **options}
        )
        try:
            server.start()
            if warm:
                asyncio.run(_warm(server, lambda: backstage.seat(acme)))
        except BaseException:
            server.__exit__()
            raise
        _servers.append(server)
        return server

    return run


async def _warm(server: Server, seat: TakeSeat) -> None:
    """Loading litellm takes longer than the deadlines of some servers: until it is loaded."""
    async with asyncio.timeout(90):
        while True:
            async with Client(server, seat()) as client:
                await client.say("warm up")
                if (await client.until("done", 90))[-1]["status"] == "complete":
                    return


@pytest.fixture(scope="session")
def server(_run_server: RunServer) -> Iterator[Server]:
    """A server with the limits and deadlines of a fresh install."""
    with_server = _run_server()
    yield with_server
    with_server.__exit__()


@pytest.fixture(scope="session")
def alone(_run_server: RunServer) -> Iterator[Server]:
    """A server of one process, with what that has at hand."""
    with_server = _run_server(KONSTRUCT_PROCESSES="1")
    yield with_server
    with_server.__exit__()


@pytest.fixture(scope="session")
def strict(_run_server: RunServer) -> Iterator[Server]:
    """A server with little patience: short deadlines, three messages a minute, two sockets a user."""
    with_server = _run_server(
        KONSTRUCT_FIRST_TOKEN_TIMEOUT="0.8",
        KONSTRUCT_IDLE_TIMEOUT="0.8",
        KONSTRUCT_TURN_TIMEOUT="2.5",
        KONSTRUCT_MESSAGES_PER_MINUTE="3",
        KONSTRUCT_CONNECTIONS_PER_USER="2",
    )
    yield with_server
    with_server.__exit__()


@pytest.fixture
def serve(_run_server: RunServer) -> Iterator[Serve]:
    """`await serve(NAME="value")`: a server of the test's own, to stop or kill."""
    mine: list[Server] = []

    async def run(**options: Any) -> Server:
        mine.append(await asyncio.to_thread(_run_server, **options))
        return mine[-1]

    yield run
    for server in mine:
        server.__exit__()
        _servers.remove(server)


@pytest.fixture(autouse=True)
def _clean_logs() -> Iterator[None]:
    """No server may fail quietly, nor write down what belongs to people."""
    before = {server: len(server.said().encode()) for server in _servers}
    yield
    for server in _servers:
        said = server.said(before.get(server, 0))
        for sign in ("Traceback", " ERROR ", " CRITICAL ", "Warning:", "was never", '"text"', '"token"'):
            assert sign not in said, f"{sign!r} in a server's log:\n{said[-3000:]}"


@pytest.fixture(autouse=True)
def _told_is_stored(backstage: Backstage) -> Iterator[None]:
    """After every scenario: what the clients were told equals a fresh fetch over HTTP."""
    made.clear()
    yield
    clients, made[:] = list(made), []
    agreement.check(clients, backstage)
