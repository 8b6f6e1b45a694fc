"""All ways to read an OpenAI-shaped answer say the same, whatever the pieces in which its bytes come."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import httpx
import openai
import pytest
from aiohttp.streams import StreamReader
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from agents import llm, wire
from agents.errors import AgentError
from agents.types import Finished, ModelChoice, PromptMessage, ReasoningDelta, RunRequest, TextDelta
from tests.agents.streams import STREAMS, chunk, events, usage

# The SDK's and litellm's own use of pydantic; our settings for tests make warnings errors.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecationWarning")

# Never connected; making one takes longer than reading an answer.
CLIENT = openai.AsyncOpenAI(api_key="none", base_url="http://m/v1")
REQUEST = RunRequest((ModelChoice("openai/m"),), (PromptMessage("user", "hi"),), timeout=20)


class Pieces(httpx.AsyncByteStream):
    """A response's body, as any httpx transport hands it over."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    async def aclose(self) -> None:
        self.closed = True


class OfAiohttp(Pieces):
    """The same as litellm's aiohttp transport has it, nested as httpx nests it; a piece arrives a turn."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__(pieces)
        self._stream = self
        self._aiohttp_response = self
        loop = asyncio.get_running_loop()
        self.content = StreamReader(_NoProtocol(), 2**16, loop=loop)  # type: ignore[arg-type]
        self._feed(0)

    def _feed(self, number: int) -> None:
        if number == len(self.pieces):
            self.content.feed_eof()
        else:
            self.content.feed_data(self.pieces[number])
            asyncio.get_running_loop().call_soon(self._feed, number + 1)


class _NoProtocol:
    """A connection that never needs to be told to wait."""

    connected = True

    def pause_reading(self) -> None: ...

    def resume_reading(self, resume_parser: bool = True) -> None: ...


class Response:
    """litellm's wrapper, before anything was read."""

    def __init__(self, body: Pieces) -> None:
        request = httpx.Request("POST", "http://m/v1/chat/completions")
        http = httpx.Response(200, stream=body, request=request)
        self.completion_stream = openai.AsyncStream(cast_to=ChatCompletionChunk, response=http, client=CLIENT)

    async def aclose(self) -> None:
        await self.completion_stream.close()


Ways = Callable[[list[bytes]], Pieces]


async def said(pieces: list[bytes], body: Ways) -> list[Any]:
    """All that `llm.stream` makes of the bytes, adjacent pieces of one kind joined."""
    found: list[Any] = []
    response = Response(body([piece for piece in pieces if piece]))

    async def opened(*_: object) -> Response:
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llm, "_open", opened)
        if body is by_the_sdk:
            patch.setattr(wire, "find", lambda response, deadline: None)
        try:
            async for event in llm.stream(REQUEST.models[0], REQUEST):
                kind = type(event)
                if isinstance(event, Finished):
                    found.append(event)
                elif found and found[-1][0] is kind:
                    found[-1] = (kind, found[-1][1] + event.text)
                else:
                    found.append((kind, event.text))
        except AgentError as error:
            found.append((type(error), error.code))
    return found


def by_the_sdk(pieces: list[bytes]) -> Pieces:
    return Pieces(pieces)


def by_httpx(pieces: list[bytes]) -> Pieces:
    return Pieces(pieces)


def by_aiohttp(pieces: list[bytes]) -> Pieces:
    return OfAiohttp(pieces)


@pytest.mark.parametrize("name", STREAMS)
async def test_every_cut_into_two(name: str) -> None:
    stream = STREAMS[name]
    expected = await said([stream], by_the_sdk)
    assert await said([stream], by_httpx) == expected
    for cut in range(len(stream) + 1):
        assert await said([stream[:cut], stream[cut:]], by_aiohttp) == expected, cut
    for cut in range(0, len(stream), 61):
        assert await said([stream[:cut], stream[cut:]], by_httpx) == expected, cut
        assert await said([stream[:cut], stream[cut:]], by_the_sdk) == expected, cut


@pytest.mark.parametrize("name", STREAMS)
async def test_byte_by_byte(name: str) -> None:
    stream = STREAMS[name]
    pieces = [stream[i : i + 1] for i in range(len(stream))]
    assert await said(pieces, by_aiohttp) == await said([stream], by_the_sdk)


def test_what_they_agree_on_is_right() -> None:
    """A look at a few of them, so that all ways cannot be wrong together."""

    async def look() -> None:
        assert (await said([STREAMS["multi-byte"]], by_aiohttp))[0] == (
            TextDelta,
            "漢字 ée\u0301👩\u200d👩\u200d👧 \u2028 ok",
        )
        assert [e[:2] for e in (await said([STREAMS["deepseek"]], by_aiohttp))[:2]] == [
            (ReasoningDelta, "Hmm."),
            (TextDelta, "So: 42"),
        ]
        assert (await said([STREAMS["mistral"]], by_aiohttp))[:2] == [
            (ReasoningDelta, "Why? "),
            (TextDelta, "Because."),
        ]
        (_, finished) = await said([STREAMS["openai"]], by_aiohttp)
        assert (finished.finish_reason, finished.usage.prompt_tokens) == ("stop", 7)
        assert not finished.usage.estimated

    asyncio.run(look())


# --- generated ------------------------------------------------------------------------------------

TEXTS = st.one_of(
    st.none(),
    st.text(
        st.one_of(st.characters(codec="utf-8"), st.sampled_from("\0\ud83d\ude00漢\r\n\u2028a")), max_size=8
    ),
)
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": TEXTS,
        "reasoning_content": TEXTS,
        "reasoning": TEXTS,
        "role": st.just("assistant"),
        "refusal": st.sampled_from([None, None, None, "", "no"]),
    },
)
REASONS = st.sampled_from([None, None, None, None, "stop", "length", "content_filter"])
CHUNKS = st.one_of(
    st.builds(chunk, DELTAS, REASONS),
    st.builds(chunk, DELTAS, REASONS, usage=st.one_of(st.none(), st.builds(usage, st.integers(0, 9)))),
    st.sampled_from([{"choices": []}, {"choices": [], "usage": usage()}, b": note\n\n", b"\n", b":\r\n\r\n"]),
    st.sampled_from([b"data: nonsense\n\n", {"error": {"code": 503}}, {"error": None}, [], None, "x"]),
)


@st.composite
def generated(draw: st.DrawFn) -> bytes:
    chunks = draw(st.lists(CHUNKS, max_size=8))
    raw = draw(st.booleans())
    parts: list[Any] = []
    for one in chunks:
        if raw and isinstance(one, dict):
            written = json.dumps(one, ensure_ascii=False).encode(errors="replace")
            name = draw(st.sampled_from([b"", b"", b"event: message\n", b": note\r\n"]))
            parts.append(name + b"data: " + written + draw(st.sampled_from([b"\n\n", b"\r\n\r\n"])))
        else:
            parts.append(one)
    return events(*parts, done=draw(st.booleans()))


@settings(max_examples=250, deadline=None)
@given(generated(), st.lists(st.integers(0, 2000), max_size=6))
def test_generated_answers(stream: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    pieces = [stream[start:end] for start, end in pairwise(places)]

    async def compare() -> None:
        expected = await said([stream], by_the_sdk)
        assert await said(pieces, by_aiohttp) == expected
        assert await said(pieces, by_httpx) == expected

    asyncio.run(compare())
