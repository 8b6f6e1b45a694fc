"""One person's connection to a contestant: as cheap as it can be, so that it is not what gives out.

A line is opened, asked once or more, and closed. Tokens are stamps: the text of each is the upstream's
`time.monotonic()` when it was written, and a space. All times here are of that clock, in seconds.
"""

import asyncio
import base64
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from benchmarks.stage import Guest


@dataclass(slots=True)
class Answer:
    """What was seen of one answer. `stamps` and `arrivals` have one entry a token."""

    sent: float
    typing: float | None = None
    saved: float | None = None
    ended: float | None = None
    failure: str = ""
    stamps: list[float] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    pieces: int = 0
    """Chunks or reads in which the tokens came."""


class Line(Protocol):
    async def open(self) -> None: ...
    async def ask(self, answer: Answer) -> None: ...
    def close(self) -> None: ...


MakeLine = Callable[[Guest], Line]


class LineFailure(Exception):
    """A connection could not be opened."""


class _Frame(msgspec.Struct):
    """The fields of all server frames (PROTOCOL.md) that matter here."""

    type: str
    text: str = ""
    status: str = ""
    code: str = ""


_decode = msgspec.json.Decoder(_Frame).decode


class ChatLine(asyncio.Protocol):
    """A socket that speaks PROTOCOL.md, without a library: RFC 6455, no extensions, no fragments."""

    def __init__(self, url: str, guest: Guest) -> None:
        self._host, self._port = _address(url)
        self._guest = guest
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._upgraded = False
        self._rest = ""
        self._answer: Answer | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Connected and `ready`. Raises LineFailure."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        transport, _ = await loop.create_connection(lambda: self, self._host, self._port)
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /chat/ws/{self._guest.conversation_id} HTTP/1.1\r\n"
            f"Host: {self._host}:{self._port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        async with asyncio.timeout(60):
            await self._waiter

    async def ask(self, answer: Answer) -> None:
        """Say something, and note what comes in `answer`, until it is whole or has failed."""
        self._answer = answer
        self._waiter = asyncio.get_running_loop().create_future()
        if self._transport is None or self._transport.is_closing():
            answer.failure = "closed before it was asked"
        else:
            self._send(1, b'{"type":"message","text":"How are you today?"}')
            await self._waiter
        self._answer = None

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- the protocol ---------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        now = monotonic()
        buffer = self._buffer + data if self._buffer else data
        if not self._upgraded:
            head, found, rest = buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = buffer
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._fail(head.partition(b"\r\n")[0].decode("latin1"))
                self.close()
                return
            self._upgraded = True
            self._send(1, msgspec.json.encode(self._guest.auth))
            buffer = rest
        start, end = 0, len(buffer)
        while end - start >= 2:
            size, body = buffer[start + 1], start + 2
            if size == 126:
                size, body = int.from_bytes(buffer[start + 2 : start + 4]), start + 4
            elif size == 127:
                size, body = int.from_bytes(buffer[start + 2 : start + 10]), start + 10
            if body + size > end or body > end:
                break
            self._frame(buffer[start] & 15, buffer[body : body + size], now)
            start = body + size
        self._buffer = buffer[start:]

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("the connection was lost")

    def _frame(self, code: int, payload: bytes, now: float) -> None:
        if code == 1:
            self._said(_decode(payload), now)
        elif code == 9:
            self._send(10, payload)
        elif code == 8:
            self._fail(f"closed with {int.from_bytes(payload[:2])}")
            self.close()

    def _said(self, frame: _Frame, now: float) -> None:
        answer = self._answer
        if answer is None:
            if frame.type == "ready":
                self._done()
            elif frame.type == "error":
                self._fail(frame.code)
        elif frame.type == "chunk":
            self._rest = _note(answer, self._rest + frame.text, now)
        elif frame.type == "done":
            answer.ended = now
            if frame.status != "complete":
                answer.failure = answer.failure or frame.status
            self._done()
        elif frame.type == "saved":
            answer.saved = now
        elif frame.type == "typing":
            answer.typing = now
        elif frame.type == "error":
            answer.failure = frame.code
            if answer.saved is None:
                self._done()  # refused: no `done` will come

    def _done(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, why: str) -> None:
        if self._answer is not None:
            self._answer.failure = self._answer.failure or why
            self._done()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(LineFailure(why))

    def _send(self, code: int, payload: bytes) -> None:
        """A client's frames are masked (RFC 6455, 5.3)."""
        assert self._transport is not None
        mask, length = os.urandom(4), len(payload)
        size = bytes([128 | length]) if length < 126 else bytes([254]) + length.to_bytes(2)
        stream = (mask * (length // 4 + 1))[:length]
        masked = (int.from_bytes(payload) ^ int.from_bytes(stream)).to_bytes(length)
        self._transport.write(bytes([128 | code]) + size + mask + masked)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


def _note(answer: Answer, text: str, now: float) -> str:
    """Note all whole tokens of the text; returns what is left over."""
    *stamps, rest = text.split(" ")
    answer.stamps += map(float, stamps)
    answer.arrivals += [now] * len(stamps)
    answer.pieces += 1
    return rest


class CompletionLine(asyncio.Protocol):
    """Asks an OpenAI-shaped server itself and reads its event stream: one connection an answer."""

    _STAMP = re.compile(rb'"content": ?"(\d+\.\d{6}) "')

    def __init__(self, api_base: str, guest: Guest) -> None:
        self._host, self._port = _address(api_base)
        body = msgspec.json.encode(
            {
                "model": guest.model,
                "messages": [{"role": "user", "content": "How are you today?"}],
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        )
        self._request = (
            f"POST {urlsplit(api_base).path}/chat/completions HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        ).encode() + body
        self._transport: asyncio.Transport | None = None

    async def open(self) -> None:
        """Nothing: the request opens its connection."""

    async def ask(self, answer: Answer) -> None:
        loop = asyncio.get_running_loop()
        self._answer = answer
        self._buffer = b""
        self._waiter = loop.create_future()
        transport, _ = await loop.create_connection(lambda: self, self._host, self._port)
        self._transport = transport
        transport.write(self._request)
        await self._waiter

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        now = monotonic()
        answer = self._answer
        # An event is written in one piece, so HTTP's own chunk heads lie between events only.
        buffer = self._buffer + data
        stamps = self._STAMP.findall(buffer)
        if stamps:
            answer.stamps += map(float, stamps)
            answer.arrivals += [now] * len(stamps)
            answer.pieces += 1
        if b"data: [DONE]" in buffer:
            answer.ended = now
        self._buffer = buffer[buffer.rfind(b"\n\n") + 2 :] if b"\n\n" in buffer else buffer

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer.ended is None:
            self._answer.failure = "the stream was cut"
        if not self._waiter.done():
            self._waiter.set_result(None)
