"""Servers, the database behind them, the upstream, a Redis, and two workspaces that share all of it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.live import agreement
from tests.live.backstage import Backstage
from tests.live.client import Client, made
from tests.live.people import Place
from tests.live.servers import Server, manage
from tests.live.valkey import Valkey
from tests.resilience.upstream import UpstreamProcess

Serve = Callable[..., Awaitable[Server]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "resilience" in item.path.parts:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def upstream() -> Iterator[UpstreamProcess]:
    with UpstreamProcess() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def backstage() -> Iterator[Backstage]:
    manage("prepare", "--no-demo")
    with Backstage() as backstage:
        yield backstage


@pytest.fixture(scope="session")
def places(backstage: Backstage) -> tuple[Place, Place]:
    return backstage.workspace("east", "East Ltd"), backstage.workspace("west", "West Ltd")


@pytest.fixture
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        yield valkey


@pytest.fixture
def serve(
    backstage: Backstage,
    places: tuple[Place, Place],
    upstream: UpstreamProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Serve]:
    """`await serve(REDIS_URL=...)`: a server of the test's own, warm, without limits for a user.

    scene: the backstage of another database, and a workspace there.
    """
    mine: list[Server] = []

    async def run(scene: tuple[Backstage, Place] = (backstage, places[0]), **options: Any) -> Server:
        unlimited = {"KONSTRUCT_MESSAGES_PER_MINUTE": "0", "KONSTRUCT_CONNECTIONS_PER_USER": "0"}
        model = {"KONSTRUCT_MODEL": "openai/echo", "KONSTRUCT_API_BASE": upstream.url}
        server = Server(tmp_path_factory.mktemp("server") / "log", **{**unlimited, **model, **options})
        mine.append(server)
        await asyncio.to_thread(server.start)
        await warm(server, *scene)
        return server

    yield run
    for server in mine:
        server.__exit__()


async def warm(server: Server, backstage: Backstage, place: Place) -> None:
    """Loading litellm takes seconds: until it is loaded."""
    async with asyncio.timeout(60):
        async with Client(server, backstage.seat(place)) as client:
            await client.say("warm up")
            assert (await client.answer(60)).status == "complete"


@pytest.fixture(autouse=True)
def _told_is_stored(backstage: Backstage) -> Iterator[None]:
    """After every scenario: what the clients were told equals a fresh fetch over HTTP."""
    made.clear()
    yield
    clients, made[:] = list(made), []
    agreement.check(clients, backstage)
