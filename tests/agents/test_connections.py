"""Connections to providers: kept and used again, given up in time, closed at once. Over real sockets."""

import asyncio
import gzip
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from agents import llm, wire
from agents.errors import TimedOut
from agents.types import Finished, ModelChoice, PromptMessage, RunRequest, TextDelta
from tests.agents.conftest import until
from tests.agents.streams import STREAMS, chunk, events, text, usage

# litellm's own use of pydantic; our settings for tests make warnings errors.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.PydanticDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.* is using the `ReadOnly` qualifier:UserWarning"),
]

OK = events(*text("all ", "well"), chunk(reason="stop", usage=usage()))


class Server:
    """Answers each request with what `answer(writer, number)` writes; notes the connection it came on."""

    def __init__(self, answer: Callable[[asyncio.StreamWriter, int], Awaitable[None]]) -> None:
        self._answer = answer
        self.url = ""
        self.connections: list[int] = []
        self.closed: list[int] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")[1]
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = next(
                    int(line[15:])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                )
                await reader.readexactly(size)
                self.connections.append(peer)
                await self._answer(writer, len(self.connections))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed.append(peer)
        finally:
            writer.close()


@asynccontextmanager
async def serving(answer: Callable[[asyncio.StreamWriter, int], Awaitable[None]]) -> AsyncIterator[Server]:
    server = Server(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        await llm.close()
        listener.close()


def head(*more: str) -> bytes:
    lines = [
        "HTTP/1.1 200 OK",
        "Content-Type: text/event-stream",
        "Transfer-Encoding: chunked",
        *more,
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def piece(data: bytes) -> bytes:
    """One chunk of HTTP's chunked coding; the empty one is the last."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def whole(writer: asyncio.StreamWriter, _: int) -> None:
    writer.write(head() + piece(OK) + piece(b""))


async def ask(url: str, provider: str = "openai", timeout: float = 5) -> tuple[str, Finished]:
    """The text, and the end, of an answer."""
    model = ModelChoice(f"{provider}/m", url, "none")
    request = RunRequest((model,), (PromptMessage("user", "hi"),), timeout=timeout)
    events_ = [event async for event in llm.stream(model, request)]
    assert isinstance(events_[-1], Finished)
    return "".join(e.text for e in events_ if isinstance(e, TextDelta)), events_[-1]


@pytest.mark.parametrize("provider", ["openai", "hosted_vllm"])
async def test_one_connection_serves_one_answer_after_the_other(provider: str) -> None:
    async with serving(whole) as server:
        for _ in range(3):
            assert (await ask(server.url, provider))[0] == "all well"
        assert len(server.connections) == 3
        assert len(set(server.connections)) == 1


async def test_the_response_may_end_a_little_after_its_last_event() -> None:
    async def late(writer: asyncio.StreamWriter, _: int) -> None:
        writer.write(head() + piece(OK))
        await asyncio.sleep(0.01)
        writer.write(piece(b""))

    async with serving(late) as server:
        await ask(server.url)
        await ask(server.url)
        assert len(set(server.connections)) == 1


async def test_a_response_without_end_holds_nobody_up() -> None:
    async def endless(writer: asyncio.StreamWriter, _: int) -> None:
        writer.write(head() + piece(OK))

    async with serving(endless) as server:
        assert (await ask(server.url))[0] == "all well"
        assert await until(lambda: server.closed)
        await ask(server.url)
        assert len(set(server.connections)) == 2


async def test_a_kept_connection_that_the_provider_has_closed_is_not_used() -> None:
    async def last(writer: asyncio.StreamWriter, number: int) -> None:
        await whole(writer, number)
        raise ConnectionResetError

    async with serving(last) as server:
        assert (await ask(server.url))[0] == "all well"
        assert await until(lambda: server.closed)
        assert (await ask(server.url))[0] == "all well"
        assert len(set(server.connections)) == 2


async def test_a_connection_that_does_not_come_about_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    await asyncio.to_thread(llm._load)
    monkeypatch.setattr(llm, "_timeout", httpx.Timeout(llm.READ_TIMEOUT, connect=0.2))
    # Linux lets two wait in a queue of "none", and answers nobody else.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = []
        try:
            for _ in range(3):
                one = socket.socket()
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
                waiting.append(one)
            began = time.monotonic()
            with pytest.raises(TimedOut):
                await ask(f"http://127.0.0.1:{port}/v1", timeout=30)
            assert time.monotonic() - began < 10
        finally:
            for one in waiting:
                one.close()
    await llm.close()


async def test_a_compressed_answer() -> None:
    async def compressed(writer: asyncio.StreamWriter, _: int) -> None:
        writer.write(head("Content-Encoding: gzip") + piece(gzip.compress(OK)) + piece(b""))

    async with serving(compressed) as server:
        assert (await ask(server.url))[0] == "all well"


async def test_a_litellm_that_is_made_otherwise(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Answers are the same, read through the SDK; the log says so once."""
    find = wire.find

    def elsewhere(response: Any, deadline: float) -> Any:
        http = response.completion_stream.response
        response.completion_stream.response = None
        try:
            return find(response, deadline)
        finally:
            response.completion_stream.response = http

    monkeypatch.setattr(wire, "find", elsewhere)
    monkeypatch.setattr(wire, "_noted", False)
    with caplog.at_level(logging.WARNING, "agents.wire"):
        async with serving(whole) as server:
            for _ in range(3):
                assert (await ask(server.url))[0] == "all well"
    assert len(caplog.records) == 1


# What litellm's wrapper gets wrong (see also test_litellm.py).
WRAPPER_IS_WRONG = {
    # It goes past what it cannot read, and what comes after that makes an answer.
    "broken-json", "no-object", "not-utf8", "cut-in-an-event", "refusal",
    # It takes U+2028 for the end of a line, which cuts the event, and knows one data line an event.
    "multi-byte", "multi-line",
    # It knows content of parts only where the provider is Mistral.
    "mistral",
    # It makes up a finish reason at [DONE], and figures where a usage has none.
    "done-early", "unlike-us",
    # It forgets the code of an error in the stream, where that is a word.
    "error-long",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in STREAMS if name not in WRAPPER_IS_WRONG])
async def test_litellms_wrapper_says_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(writer: asyncio.StreamWriter, _: int) -> None:
        writer.write(head() + (piece(STREAMS[name]) if STREAMS[name] else b"") + piece(b""))

    async def said(provider: str) -> Any:
        try:
            whole_, finished = await ask(server.url, provider)
            return whole_, finished.finish_reason, finished.usage
        except Exception as error:
            return type(error), str(error)

    async with serving(answer) as server:
        expected = await said("openai")
        assert await said("hosted_vllm") == expected
        monkeypatch.setattr(wire, "find", lambda response, deadline: None)
        assert await said("hosted_vllm") == expected
