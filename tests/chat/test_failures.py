"""What goes wrong at the model: the right code, one end, the text kept, and the next message works."""

import asyncio
import time

import pytest

from tests.chat.conftest import TakeSeat
from tests.live.backstage import Backstage
from tests.live.client import Answer, Client
from tests.live.people import Seat
from tests.live.servers import Server

# What the fake upstream does -> the error's code and the text that was written until then.
FAILURES = {
    "status-401": ("model_unavailable", ""),
    "status-403": ("model_unavailable", ""),
    "status-404": ("model_unavailable", ""),
    "status-429-7": ("model_rate_limited", ""),
    "status-429-quota": ("budget_exhausted", ""),
    "status-500": ("model_unavailable", ""),
    "status-503": ("model_unavailable", ""),
    "status-400-context": ("context_too_long", ""),
    "status-400-llama": ("context_too_long", ""),
    "status-400-policy": ("content_refused", ""),
    "close-first": ("model_unavailable", ""),
    "close-mid": ("model_unavailable", "Half an "),
    "end-mid": ("model_unavailable", "Half an "),
    "done-mid": ("model_unavailable", "Half "),
    "broken-json": ("model_unavailable", "Half "),
    "inband-error": ("model_unavailable", "Half "),
    "inband-error-429": ("model_rate_limited", "Half "),
    "refusal": ("content_refused", None),
    "content-filter": ("content_refused", "Well, "),
}


async def fails(
    server: Server, place: Seat, backstage: Backstage, code: str, text: str | None, within: float = 10
) -> Answer:
    """The next answer fails with this code; then another employee answers in the same conversation."""
    async with Client(server, place) as client:
        began = time.monotonic()
        await client.say("try it")
        answer = await client.answer(within)
        took = time.monotonic() - began
        error = answer.error
        assert error is not None and error["code"] == code
        assert error["message_id"] == answer.id
        assert answer.types[-2:] == ["error", "done"]
        assert answer.status == "failed"
        assert text is None or answer.text == text
        for secret in ("sk-SECRET", "10.0.0.1", "127.0.0.1", "litellm", "openai", "OpenAI", "Traceback"):
            assert secret not in error["message"]
        await client.quiet()
        stored = backstage.message(place, answer.id)
        assert (stored["status"], stored["error_code"]) == ("failed", code)
        assert stored["text"] == answer.text

        echo = backstage.hire(place.person.place, "echo")
        assert (await client.ask("and now", agentId=echo)).text == "and now"
        # Looked at again, it says the same.
        await client.resume(answer.id, 0)
        again = await client.answer()
        assert again.types == [*(["chunk"] if answer.text else []), "error", "done"]
        assert again.error is not None and again.error["code"] == code
    assert took < within
    return answer


@pytest.mark.parametrize("model", FAILURES)
async def test_a_failure(server: Server, seat: TakeSeat, backstage: Backstage, model: str) -> None:
    await fails(server, seat(model), backstage, *FAILURES[model])


async def test_the_providers_retry_after_is_passed_on(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    answer = await fails(server, seat("status-429-7"), backstage, "model_rate_limited", "")
    assert answer.error is not None and answer.error["retry_after"] == 7


async def test_an_upstream_that_is_not_there(server: Server, seat: TakeSeat, backstage: Backstage) -> None:
    """A provider of another name than the default's is asked at its own address: here, nobody listens."""
    await fails(server, seat("ollama_chat/none"), backstage, "model_unavailable", "", within=20)


@pytest.mark.parametrize("model", ["empty-deltas", "finish-on-content", "usage-early", "no-usage", "no-done"])
async def test_unusual_streams_that_are_no_failure(server: Server, seat: TakeSeat, model: str) -> None:
    async with Client(server, seat(model)) as client:
        answer = await client.ask("still here")
        assert answer.status == "complete"
        assert answer.text in ("still here", "all done", "one two three")
        assert answer.done["usage"]["completion_tokens"] > 0
        await client.quiet()


async def test_a_passing_failure_is_tried_again(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat("flaky-1-500")) as client:
        answer = await client.ask("second try")
        assert (answer.status, answer.text) == ("complete", "second try")


async def test_a_fallback_model_answers(server: Server, seat: TakeSeat) -> None:
    async with Client(server, seat("status-500", fallback_models=["openai/echo"])) as client:
        assert (await client.ask("who is it")).text == "who is it"


# --- deadlines (0.8 s to the first token and between two, 2.5 s for all) ----------------------------


@pytest.mark.parametrize("model", ["hang-first", "hang-headers"])
async def test_no_first_token_in_time(
    strict: Server, seat: TakeSeat, backstage: Backstage, model: str
) -> None:
    answer = await fails(strict, seat(model), backstage, "model_timeout", "", within=2.5)
    assert answer.error is not None
    assert answer.error["message"] == "Agent did not respond in time. Please try again."


async def test_silence_inside_the_answer(strict: Server, seat: TakeSeat, backstage: Backstage) -> None:
    await fails(strict, seat("hang-mid"), backstage, "model_timeout", "Half an ", within=2.5)


async def test_an_answer_without_end(strict: Server, seat: TakeSeat, backstage: Backstage) -> None:
    answer = await fails(strict, seat("lorem-100000-20"), backstage, "model_timeout", None, within=5)
    # 2.5 s at 20 tokens a second.
    assert 30 < len(answer.text.split()) < 60


async def test_a_slow_answer_that_goes_on_is_not_cut(strict: Server, seat: TakeSeat) -> None:
    """Each deadline counts from the last token: 4 tokens at 0.5 s are more than 0.8 s, and fine."""
    async with Client(strict, seat("slow-500")) as client:
        assert (await client.ask("one two three four")).status == "complete"


async def test_failures_at_once_end_each_for_itself(
    server: Server, seat: TakeSeat, backstage: Backstage
) -> None:
    async def one(model: str) -> None:
        await fails(server, seat(model), backstage, *FAILURES[model])

    await asyncio.gather(*map(one, ["status-500", "close-mid", "broken-json", "inband-error", "end-mid"]))
