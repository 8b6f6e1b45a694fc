"""The fake upstream for this room's tests, and short ways to ask it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from agents import llm
from agents.types import ModelChoice, PromptMessage, RunRequest
from tests.upstream import Upstream

Ask = Callable[..., RunRequest]


async def until(condition: Callable[[], object], within: float = 1.0) -> bool:
    """Wait until `condition()` is true; whether it came true within so many seconds."""
    try:
        async with asyncio.timeout(within):
            while not condition():  # noqa: ASYNC110  (the other side is a thread that knows no events)
                await asyncio.sleep(0.01)
    except TimeoutError:
        return False
    return True


async def closed_early(upstream: Upstream) -> bool:
    """Whether the upstream sees within a second that the client of its last request has gone."""
    await until(lambda: upstream.requests()[-1]["closed_early"] is not None)
    return bool(upstream.requests()[-1]["closed_early"])


@pytest.fixture(scope="session")
def _upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
async def upstream(_upstream: Upstream) -> AsyncIterator[Upstream]:
    """The running server, its records empty. Connections end with the test, as its event loop does."""
    _upstream.reset()
    yield _upstream
    await llm.close()


@pytest.fixture
def ask(upstream: Upstream) -> Ask:
    """`ask("echo", ..., text="hello", timeout=10)`: a request to the fake models of these names."""

    def make(
        *models: str, text: str = "hello big world", timeout: float = 10, **options: object
    ) -> RunRequest:
        names = [name if "/" in name else f"openai/{name}" for name in models]
        return RunRequest(
            models=tuple(ModelChoice(name, upstream.url) for name in names),
            messages=(PromptMessage("system", "Be brief."), PromptMessage("user", text)),
            timeout=timeout,
            **options,  # type: ignore[arg-type]
        )

    return make
