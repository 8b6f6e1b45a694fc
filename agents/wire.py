"""An OpenAI-shaped answer, read from the provider's HTTP response itself.

litellm has asked for it and looked at its status; what is left are bytes. The openai SDK makes a tree of
objects of each event and litellm's wrapper another one of that, which together cost most of what a
token costs; here the few fields that matter are decoded, all the events of one read together.

Nothing here imports litellm, the SDK or an HTTP client: what is read is known by its shape, and `find` says
no where it is not there.
"""

import asyncio
import json
import logging
from types import SimpleNamespace
from typing import Any

import msgspec
from msgspec import Struct

from agents.errors import Transport
from agents.sse import EventStream

logger = logging.getLogger(__name__)

# litellm's own readers of OpenAI-shaped streams that do nothing to a chunk which `agents.reading` does not
# do as well. The others (xAI's counts tokens anew, say) stay in use.
_PLAIN_READERS = {
    "OpenAIChatCompletionStreamingHandler",
    "GroqChatCompletionStreamingHandler",
    "MistralChatResponseIterator",
    "FireworksAIChatCompletionStreamingHandler",
    "EdenAIChatCompletionStreamingHandler",
}
# Seconds for the end of a response whose last event is there: after it the connection can be used again.
_ENDING = 0.05
# Bytes taken in one turn of the event loop, about 300 events: a flood leaves the others their turn.
MOST = 64 * 1024


class StreamError(Exception):
    """The provider put an error into the stream. `body`: what it says, for `agents.failures`."""

    def __init__(self, body: Any) -> None:
        super().__init__(str(body)[:500])
        self.body = body


# --- one event -----------------------------------------------------------------------------------


class _Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(Struct):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Details(Struct, gc=False):
    cached_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Chunk)


def decode(data: bytes) -> Any:
    """One event's JSON with OpenAI's attributes, as `agents.reading` wants it.

    Raises StreamError where it is an error, Transport where it is broken.
    """
    try:
        chunk: Any = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        chunk = _decode_loosely(data)
    if chunk.error:
        raise StreamError(chunk.error)
    return chunk


def _decode_loosely(data: bytes) -> Any:
    """What is JSON to Python though not to msgspec (half a surrogate pair, NaN), or unlike what we expect."""
    try:
        found = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise Transport() from error
    if not isinstance(found, dict):
        raise Transport()
    return SimpleNamespace(
        choices=_attributes(found.get("choices")),
        usage=_attributes(found.get("usage")),
        error=found.get("error"),
    )


def _attributes(value: Any) -> Any:
    if isinstance(value, dict):
        return SimpleNamespace(**{name: _attributes(inner) for name, inner in value.items()})
    return [_attributes(item) for item in value] if isinstance(value, list) else value


# --- the response --------------------------------------------------------------------------------


class Wire:
    """The events of one response, as many at a time as have arrived."""

    def __init__(self, source: "_Content | _Decoded") -> None:
        self._source = source
        self._events = EventStream()
        self._failure: Exception | None = None
        self._ended = False

    async def read(self) -> list[Any] | None:
        """The next chunks (see `decode`), never an empty list; None after the last.

        Raises StreamError, Transport, TimeoutError at the deadline, or the HTTP client's own errors; all
        chunks before the failure have been returned by then.
        """
        while not self._ended:
            if self._failure is not None:
                raise self._failure
            data = await self._source.read()
            if not data:
                self._ended = True
            elif chunks := self._chunks(data):
                return chunks
        return None

    async def close(self) -> None:
        """Let go of it. Where the last event has come, wait a moment for the response's own end."""
        try:
            if self._ended:
                await self._source.finish()
        finally:
            self._source.close()

    def _chunks(self, data: bytes) -> list[Any]:
        chunks = []
        try:
            for event in self._events.feed(data):
                if event.startswith(b"[DONE]"):
                    self._ended = True
                    break
                if event:
                    chunks.append(decode(event))
        except (StreamError, Transport) as failure:
            self._failure = failure
        return chunks


class _Content:
    """Bytes as aiohttp's reader has them, without the five layers of generators around it."""

    def __init__(self, content: Any, deadline: float) -> None:
        self._content = content
        self._more = False
        # One timer a stream; one around each read would cost more than the read. So would aiohttp's own,
        # which it sets anew for whatever comes.
        self._timer = asyncio.get_running_loop().call_at(deadline, content.set_exception, TimeoutError())
        connection = getattr(content, "_protocol", None)
        if connection is not None and hasattr(connection, "read_timeout"):
            connection.read_timeout = None

    async def read(self) -> bytes:
        if self._more:
            await asyncio.sleep(0)
        try:
            data: bytes = await self._content.read(MOST)
        except RuntimeError as error:
            # "Connection closed.": aiohttp has no class for it.
            raise ConnectionError(str(error)) from error
        self._more = len(data) == MOST
        return data

    async def finish(self) -> None:
        if self._content.is_eof():
            return
        try:
            async with asyncio.timeout(_ENDING):
                while await self.read():
                    pass
        except Exception as error:
            # The answer is whole; only this connection cannot be used again.
            logger.info("A provider does not end its response (%s)", type(error).__name__)

    def close(self) -> None:
        self._timer.cancel()


class _Decoded:
    """Bytes as httpx gives them: decompressed, or of another transport."""

    def __init__(self, http: Any, deadline: float) -> None:
        self._pieces = http.aiter_bytes()
        self._deadline = deadline
        self._taken = 0

    async def read(self) -> bytes:
        if self._taken >= MOST:
            self._taken = 0
            await asyncio.sleep(0)
        async with asyncio.timeout_at(self._deadline):
            data: bytes = await anext(self._pieces, b"")
        self._taken += len(data)
        return data

    async def finish(self) -> None:
        """Nothing: httpx closes what is not read to its end."""

    def close(self) -> None:
        """Nothing: the response is closed by who opened it."""


def find(response: Any, deadline: float) -> Wire | None:
    """The bytes behind litellm's answer, None where it is not an OpenAI-shaped stream that nobody has read.

    deadline: of the event loop's clock, for all of the answer.
    """
    inner = getattr(response, "completion_stream", None)
    kind = type(inner)
    if kind.__name__ == "AsyncStream" and kind.__module__.partition(".")[0] == "openai":
        http = getattr(inner, "response", None)
    elif kind.__name__ in _PLAIN_READERS:
        http = getattr(inner, "http_response", None)
    else:
        return None
    if http is None or not hasattr(http, "aiter_bytes") or getattr(http, "is_stream_consumed", True):
        _note_unknown(kind)
        return None
    if http.headers.get("content-encoding", "identity") == "identity":
        # httpx's bound stream, litellm's transport, aiohttp's response: their own names for each other.
        transport = getattr(getattr(http, "stream", None), "_stream", None)
        content = getattr(getattr(transport, "_aiohttp_response", None), "content", None)
        if hasattr(content, "read") and hasattr(content, "set_exception"):
            return Wire(_Content(content, deadline))
    return Wire(_Decoded(http, deadline))


_noted = False


def _note_unknown(kind: type) -> None:
    """Say once that this litellm is not the one we know: answers are right all the same, only dearer."""
    global _noted
    if not _noted:
        _noted = True
        logger.warning("The response behind %s.%s is not where it was", kind.__module__, kind.__qualname__)
