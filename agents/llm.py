"""Language models of any provider, one call at a time; the only importer of litellm.

litellm finds provider, address, key and parameters of a model, and its price. Where the answer is an
OpenAI-shaped event stream it is read from the HTTP response itself (`agents.wire`), and else by the openai
SDK where that is behind litellm's stream wrapper, because the wrapper
- invents a finish reason "stop" for a stream that was cut, and token counts for one that told none,
- drops refusals, and ends an answer with an error after 100 equal chunks,
- turns every error inside a stream into a 503, and costs four to five times the SDK's CPU a chunk, which
  costs many times the wire's.
tests/agents/test_litellm.py shows each of these on the pinned version, tests/agents/test_wire.py that all
ways to read say the same.

Nothing here imports litellm before the first call or `warm()`: the import takes seconds.
"""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from agents import tokens, wire
from agents.errors import AgentError, Client
from agents.failures import MISCONFIGURED, explain
from agents.reading import Reading
from agents.text import clean
from agents.types import Event, Finished, ModelChoice, PromptMessage, RunRequest, TextDelta, Usage

logger = logging.getLogger(__name__)

# Seconds. The way to a provider is found quickly or not at all; how long an answer may take is the
# request's own deadline. litellm keeps one client for each timeout value, so this one never varies.
CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 600.0
CLOSE_TIMEOUT = 2.0
# Sockets in litellm's pool. Its 500 a host would make the 501st answer wait without a word.
MAX_CONNECTIONS = 20_000
# Chunks after which the other streams get their turn: reading what has already arrived suspends nowhere.
FAIR = 32

_loading = threading.Lock()
_litellm: Any = None
_timeout: Any = None


def warm() -> threading.Thread:
    """Load litellm beside whatever goes on, so that the first answer need not wait for it.

    Called once at the start of a server. Returns the thread, for who wants to join it.
    """
    thread = threading.Thread(target=_load, name="warm-litellm", daemon=True)
    thread.start()
    return thread


async def stream(choice: ModelChoice, request: RunRequest) -> AsyncGenerator[Event]:
    """The answer of one model to `request.messages`; `request.models` is not looked at.

    Yields deltas and one `Finished`. Raises AgentError; the provider's error is its cause. Closing the
    generator, or cancelling who iterates it, closes the connection, so that the provider stops billing.
    All of it takes at most `request.timeout` seconds.
    """
    deadline = asyncio.get_running_loop().time() + request.timeout
    response = await _open(choice, request, deadline)
    source = _source(response, deadline)
    try:
        reading = Reading()
        while (chunks := await _next(source)) is not None:
            failure: AgentError | None = None
            try:
                for chunk in chunks:
                    reading.feed(chunk)
            except AgentError as broken:
                failure = broken
            # All that one read has brought, in as few pieces as it can be.
            for event in reading.take():
                yield event
            if failure is not None:
                raise failure
        for event in reading.end():
            yield event
        if isinstance(source, _Chunks) and source.wrapped:
            _distrust(response, reading)
        if failure := reading.failure():
            raise failure
        usage = _usage(choice.name, request.messages, reading)
        yield Finished(model=choice.name, finish_reason=reading.finish_reason, usage=usage)
    finally:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await source.close()
            await response.aclose()


async def complete(
    choice: ModelChoice, messages: tuple[PromptMessage, ...], max_tokens: int | None, timeout: float
) -> tuple[str, Usage]:
    """A short answer as a whole (a title, say), and what it cost. Raises AgentError.

    It is streamed underneath: one way to read answers, one way to fail.
    """
    request = RunRequest(models=(choice,), messages=messages, max_tokens=max_tokens, timeout=timeout)
    text: list[str] = []
    usage: Usage | None = None
    async with aclosing(stream(choice, request)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                text.append(event.text)
            elif isinstance(event, Finished):
                usage = event.usage
    whole = "".join(text)
    return whole, usage or estimate_usage(choice.name, messages, whole)


async def embed(
    choice: ModelChoice, texts: Sequence[str], dimensions: int, timeout: float
) -> list[list[float]]:
    """The texts' vectors by an embedding model, in order, in at most `timeout` seconds. Raises AgentError.

    A model that cannot shorten its vectors to `dimensions` gives them as long as they are.
    """
    parameters = {
        "model": choice.name,
        "input": [clean(text) for text in texts],
        "dimensions": dimensions,
        "encoding_format": "float",
        "api_base": choice.api_base,
        "api_key": choice.api_key or ("none" if choice.api_base else None),
        "num_retries": 0,
        "max_retries": 0,
    }
    try:
        async with asyncio.timeout(timeout):
            litellm = _litellm or await asyncio.to_thread(_load)
            given = {name: value for name, value in parameters.items() if value is not None}
            response = await litellm.aembedding(**given, timeout=_timeout)
    except Exception as error:
        raise explain(error) from error
    vectors = {entry["index"]: entry["embedding"] for entry in response.data}
    if sorted(vectors) != list(range(len(texts))):
        raise Client("model_unavailable", sentence=MISCONFIGURED)
    return [vectors[place] for place in range(len(texts))]


async def close() -> None:
    """Close the pooled connections to providers; for the end of a server, or of an event loop."""
    if _litellm is not None:
        await _litellm.close_litellm_async_clients()
        _litellm.in_memory_llm_clients_cache.flush_cache()


def count_tokens(model: str, text: str) -> int:
    """Tokens of `text`, estimated by the one rule of `agents.tokens`, whichever the model."""
    return tokens.count(text)


def estimate_usage(model: str, messages: Iterable[PromptMessage], text: str) -> Usage:
    """What an answer of `text` so far has used, where the provider does not tell (a stopped answer)."""
    prompt, completion = tokens.count_messages(messages), tokens.count(text)
    return Usage(prompt, completion, _cost(model, prompt, completion), estimated=True)


# --- Loading and calling litellm -----------------------------------------------------------------


def _load() -> Any:
    """litellm, imported and set up once, with what its first call would import on the event loop."""
    global _litellm, _timeout
    with _loading:
        if _litellm is None:
            # Read by litellm when it is imported. No list of prices is fetched from the network.
            os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
            os.environ.setdefault("LITELLM_MAX_STREAMING_DURATION_SECONDS", str(int(READ_TIMEOUT)))
            # A ruler of equals signs is a legal answer.
            os.environ["REPEATED_STREAMING_CHUNK_LIMIT"] = str(10**9)
            os.environ.setdefault("AIOHTTP_CONNECTOR_LIMIT", str(MAX_CONNECTIONS))
            os.environ.setdefault("AIOHTTP_CONNECTOR_LIMIT_PER_HOST", str(MAX_CONNECTIONS))
            import httpx
            import litellm
            import openai.resources.chat  # noqa: F401  (the SDK does so on its first call: 1 s)

            litellm.telemetry = False
            litellm.suppress_debug_info = True  # prints to stdout
            litellm.drop_params = True  # a parameter a model does not know is left out
            litellm.disable_streaming_logging = True
            litellm.token_counter(model="", text="")  # loads its tokenizer, else in the first call: 0.6 s
            _timeout = httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT)
            _litellm = litellm
    return _litellm


async def _open(choice: ModelChoice, request: RunRequest, deadline: float) -> Any:
    """The response, as soon as the provider has begun it."""
    try:
        async with asyncio.timeout_at(deadline):
            litellm = _litellm or await asyncio.to_thread(_load)
            response = await litellm.acompletion(**_parameters(choice, request))
    except Exception as error:
        raise explain(error) from error
    if response is None:
        # What litellm makes of a 422 that persists after it has dropped the parameters it could.
        raise Client("model_unavailable", sentence=MISCONFIGURED)
    return response


def _parameters(choice: ModelChoice, request: RunRequest) -> dict[str, Any]:
    parameters = {
        "model": choice.name,
        "messages": [{"role": m.role, "content": clean(m.content)} for m in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "api_base": choice.api_base,
        "api_key": choice.api_key,
        "timeout": _timeout,
        # Retries and fallbacks are the runner's, which knows what has been shown already.
        "num_retries": 0,
        "max_retries": 0,
    }
    if choice.api_base and not choice.api_key and choice.name.startswith("openai/"):
        # A server of one's own: it needs no key, the SDK does, and OpenAI's must not go there.
        parameters["api_key"] = "none"
    return {name: value for name, value in parameters.items() if value is not None}


async def _next(source: "_Source") -> list[Any] | None:
    """The next chunks, None after the last."""
    try:
        return await source.read()
    except Exception as error:
        raise explain(error) from error


# --- Reading -------------------------------------------------------------------------------------


class _Source(Protocol):
    async def read(self) -> list[Any] | None: ...
    async def close(self) -> None: ...


_LAST = object()


class _Chunks:
    """An iterator of chunks, each waited for by itself. `wrapped`: they are litellm's own."""

    def __init__(self, chunks: Any, deadline: float, *, wrapped: bool) -> None:
        self.wrapped = wrapped
        self._chunks = chunks
        self._deadline = deadline
        self._number = 0

    async def read(self) -> list[Any] | None:
        self._number += 1
        if self._number % FAIR == 0:
            await asyncio.sleep(0)
        async with asyncio.timeout_at(self._deadline):
            chunk = await anext(self._chunks, _LAST)
        return None if chunk is _LAST else [chunk]

    async def close(self) -> None:
        """Nothing: it goes with litellm's response."""


def _source(response: Any, deadline: float) -> _Source:
    """What to read chunks from: the wire, the SDK's stream inside litellm's wrapper, or the wrapper."""
    import openai

    if (found := wire.find(response, deadline)) is not None:
        return found
    inner = getattr(response, "completion_stream", None)
    if isinstance(inner, openai.AsyncStream):
        return _Chunks(inner, deadline, wrapped=False)
    return _Chunks(response, deadline, wrapped=True)


def _distrust(response: Any, reading: Reading) -> None:
    """Take back what litellm's wrapper made up: see the top of this module."""
    told = getattr(response, "received_finish_reason", None)
    reading.finish_reason = told or getattr(response, "intermittent_finish_reason", None)
    if not any(getattr(chunk, "usage", None) for chunk in getattr(response, "chunks", ())):
        reading.usage = None


def _usage(model: str, messages: Iterable[PromptMessage], reading: Reading) -> Usage:
    """The provider's figures; an estimate where there are none (or zeros, as some servers send)."""
    prompt = getattr(reading.usage, "prompt_tokens", None)
    completion = getattr(reading.usage, "completion_tokens", None)
    if not prompt or completion is None:
        return estimate_usage(model, messages, reading.written)
    details = getattr(reading.usage, "prompt_tokens_details", None)
    cached = getattr(details, "cached_tokens", None) or 0
    return Usage(prompt, completion, _cost(model, prompt, completion, cached), estimated=False)


def _cost(model: str, prompt: int, completion: int, cached: int = 0) -> float | None:
    """US dollars by litellm's price list, None where it does not know the model."""
    if _litellm is None:
        return None  # nothing was called yet, so nothing cost anything known
    try:
        prices: tuple[float, float] = _litellm.cost_per_token(
            model=model, prompt_tokens=prompt, completion_tokens=completion, cache_read_input_tokens=cached
        )
    except (_litellm.ModelNotMappedError, _litellm.BadRequestError):
        return None
    except Exception:
        # An answer that is there must not fail for its price.
        logger.warning("No price for model %s", model, exc_info=True)
        return None
    return sum(prices)
