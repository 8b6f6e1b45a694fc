"""Why `agents.llm` does not simply iterate litellm's stream: its faults, shown on the pinned version.

A test that fails after an upgrade is good news: a work-around in `agents.llm` may go.
"""

from typing import Any

import pytest

from agents import llm
from tests.upstream import Upstream

# litellm's own use of pydantic; our settings for tests make warnings errors.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecationWarning")


@pytest.fixture(scope="module")
def litellm() -> Any:
    return llm._load()


async def wrapped(litellm: Any, model: str, upstream: Upstream, **options: Any) -> tuple[str, Any, Any]:
    """litellm's own stream read to its end: text, last finish reason, last usage."""
    response = await litellm.acompletion(
        model=model,
        api_base=upstream.url,
        api_key="none",
        messages=[{"role": "user", "content": "hello"}],
        stream=True,
        stream_options={"include_usage": True},
        max_retries=0,
        timeout=10,
        **options,
    )
    text, reason, usage = "", None, None
    try:
        async for chunk in response:
            usage = getattr(chunk, "usage", None) or usage
            if chunk.choices:
                text += chunk.choices[0].delta.content or ""
                reason = chunk.choices[0].finish_reason or reason
    finally:
        await response.aclose()
    return text, reason, usage


async def test_it_gives_a_cut_stream_a_finish_reason_and_a_usage(litellm: Any, upstream: Upstream) -> None:
    text, reason, usage = await wrapped(litellm, "openai/end-mid", upstream)
    assert (text, reason) == ("Half an ", "stop")
    assert usage.prompt_tokens > 0


async def test_it_drops_a_refusal(litellm: Any, upstream: Upstream) -> None:
    text, reason, _ = await wrapped(litellm, "openai/refusal", upstream)
    assert (text, reason) == ("", "stop")


async def test_it_raises_on_equal_chunks(
    litellm: Any, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert litellm.REPEATED_STREAMING_CHUNK_LIMIT == 10**9, "set by agents.llm"
    monkeypatch.setattr(litellm, "REPEATED_STREAMING_CHUNK_LIMIT", 100)
    with pytest.raises(litellm.exceptions.MidStreamFallbackError, match="repeating the same chunk"):
        await wrapped(litellm, "openai/same-chunk-200", upstream)


async def test_it_calls_every_error_in_a_stream_unavailable(litellm: Any, upstream: Upstream) -> None:
    with pytest.raises(litellm.ServiceUnavailableError):
        await wrapped(litellm, "openai/inband-error-429", upstream)


async def test_its_own_readers_skip_broken_json(litellm: Any, upstream: Upstream) -> None:
    text, reason, _ = await wrapped(litellm, "hosted_vllm/broken-json", upstream)
    assert (text, reason) == ("Half never seen", "stop")


async def test_it_returns_none_for_a_422(litellm: Any, upstream: Upstream) -> None:
    answer = await litellm.acompletion(
        model="openai/status-422",
        api_base=upstream.url,
        api_key="none",
        messages=[{"role": "user", "content": "hello"}],
        stream=True,
        max_retries=0,
        timeout=10,
    )
    assert answer is None


async def test_it_calls_a_failed_connection_an_internal_error(litellm: Any, upstream: Upstream) -> None:
    with pytest.raises(litellm.InternalServerError):
        await wrapped(litellm, "openai/close-first", upstream)
