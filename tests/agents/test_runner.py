"""Which model answers, and when another one is asked."""

import asyncio
import time

import pytest

from agents import runner
from agents.errors import AgentError, Client, Refused, TimedOut, Transient, Transport
from agents.types import Event, Finished, RunRequest, TextDelta
from tests.agents.conftest import Ask, closed_early, until
from tests.upstream import Upstream


async def collect(request: RunRequest) -> tuple[str, list[Event]]:
    events = [event async for event in runner.run(request)]
    return "".join(e.text for e in events if isinstance(e, TextDelta)), events


def asked(upstream: Upstream) -> list[str]:
    return [request["model"] for request in upstream.requests()]


async def test_the_first_model_answers(ask: Ask, upstream: Upstream) -> None:
    text, events = await collect(ask("echo", "length"))
    assert text == "hello big world"
    assert [type(e) for e in events].count(Finished) == 1
    assert isinstance(events[-1], Finished)
    assert asked(upstream) == ["echo"]


@pytest.mark.parametrize(
    "broken", ["status-401", "status-404", "status-429", "status-500", "status-400-context", "close-first"]
)
async def test_a_fallback_answers(broken: str, ask: Ask, upstream: Upstream) -> None:
    text, events = await collect(ask(broken, "echo"))
    assert text == "hello big world"
    assert isinstance(events[-1], Finished)
    assert events[-1].model == "openai/echo"
    assert asked(upstream) == [broken, "echo"], "no retry where another model is at hand"


async def test_a_refusal_is_not_taken_elsewhere(ask: Ask, upstream: Upstream) -> None:
    for model in ("refusal", "status-400-policy"):
        upstream.reset()
        with pytest.raises(Refused):
            await collect(ask(model, "echo"))
        assert asked(upstream) == [model]


@pytest.mark.parametrize("broken", ["close-mid", "end-mid", "broken-json", "inband-error", "content-filter"])
async def test_nobody_else_goes_on_after_the_first_text(broken: str, ask: Ask, upstream: Upstream) -> None:
    with pytest.raises(AgentError):
        await collect(ask(broken, "echo"))
    assert asked(upstream) == [broken]


async def test_the_last_model_is_retried_once(ask: Ask, upstream: Upstream) -> None:
    text, _ = await collect(ask("flaky-1-503"))
    assert text == "hello big world"
    upstream.reset()
    with pytest.raises(Transient):
        await collect(ask("flaky-2-503"))
    assert len(asked(upstream)) == 2


async def test_the_last_of_several_is_retried_once(ask: Ask, upstream: Upstream) -> None:
    text, _ = await collect(ask("status-500", "flaky-1-500"))
    assert text == "hello big world"
    assert asked(upstream) == ["status-500", "flaky-1-500", "flaky-1-500"]


async def test_a_retry_waits_as_long_as_it_is_told(ask: Ask, upstream: Upstream) -> None:
    with pytest.raises(Transient):
        await collect(ask("status-429-1"))
    first, second = upstream.requests()
    assert second["started_at"] - first["started_at"] >= 1


async def test_no_retry_where_the_wait_is_long(ask: Ask, upstream: Upstream) -> None:
    with pytest.raises(Transient) as caught:
        await collect(ask("status-429-30"))
    assert caught.value.retry_after == 30
    assert len(asked(upstream)) == 1


@pytest.mark.parametrize("broken", ["status-401", "status-400-context", "refusal"])
async def test_what_cannot_pass_is_not_retried(broken: str, ask: Ask, upstream: Upstream) -> None:
    with pytest.raises((Client, Refused)):
        await collect(ask(broken))
    assert len(asked(upstream)) == 1


async def test_the_last_failure_is_the_one_that_is_told(ask: Ask) -> None:
    with pytest.raises(Client) as caught:
        await collect(ask("status-500", "status-400-context"))
    assert caught.value.code == "context_too_long"
    cause = caught.value.__cause__
    assert not isinstance(cause.__context__ if cause else None, AgentError), (
        "not chained to the failure before it"
    )


async def test_one_deadline_for_all_attempts(ask: Ask, upstream: Upstream) -> None:
    await collect(ask("echo"))
    upstream.reset()
    with pytest.raises(TimedOut):
        await collect(ask("hang-first", "hang-first", timeout=0.5))
    assert len(asked(upstream)) == 1, "no time was left for the second"


async def test_a_fallback_has_only_the_time_that_is_left(ask: Ask) -> None:
    await collect(ask("echo"))  # loads litellm, which takes longer than what is measured
    began = time.monotonic()
    with pytest.raises(TimedOut):
        await collect(ask("late-500-500", "hang-first", timeout=1))
    assert time.monotonic() - began < 1.4


async def test_closing_the_run_closes_the_connection(ask: Ask, upstream: Upstream) -> None:
    run = runner.run(ask("lorem-100000-50"))
    assert isinstance(await anext(run), TextDelta)
    await run.aclose()
    assert await closed_early(upstream)


@pytest.mark.parametrize("model", ["hang-first", "hang-mid", "lorem-100000-50"])
async def test_cancelling_the_run_closes_the_connection(model: str, ask: Ask, upstream: Upstream) -> None:
    task = asyncio.create_task(collect(ask(model, "echo")))
    assert await until(upstream.requests)
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await closed_early(upstream)
    assert asked(upstream) == [model], "a stop is no failure: nobody else is asked"


async def test_cancelling_the_pause_before_a_retry(ask: Ask, upstream: Upstream) -> None:
    task = asyncio.create_task(collect(ask("status-429-2")))
    assert await until(upstream.requests)
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 0.5)
    assert len(asked(upstream)) == 1


async def test_a_transport_failure_is_retried(ask: Ask, upstream: Upstream) -> None:
    with pytest.raises(Transport):
        await collect(ask("close-first"))
    assert len(asked(upstream)) == 2
