"""Windows at hand, so that a turn need not ask PostgreSQL for its branch: in Redis where several processes
share one, else in this process. Never the only copy, and never believed unseen: a window says which message
it ends with, and whoever uses it compares (`chat.records`).
"""

import asyncio
import logging
import time
from collections import OrderedDict
from typing import Any, Protocol
from uuid import UUID

import msgspec
import redis.asyncio as redis
from msgspec import Struct
from redis.exceptions import RedisError

from memory.window import Said, Window

logger = logging.getLogger(__name__)

# Of one process, where there is no Redis.
MAX_WINDOWS = 5_000
MAX_BYTES = 64 * 2**20
# In Redis: seconds after the last turn, and elements (messages and a head) of one window.
EXPIRES = 3600
MAX_ELEMENTS = 600
# Seconds. A turn waits for a window no longer than PostgreSQL would take on a bad day.
DEADLINE = 0.1
SCAN_DEADLINE = 10.0
AGAIN_AFTER = 1.0

UNREACHABLE = (RedisError, OSError, asyncio.TimeoutError)


class Key(Struct, frozen=True):
    """Whose window: conversation ids are only unique within a workspace."""

    schema_name: str
    agent_id: UUID | None
    user_id: UUID
    conversation_id: UUID


class Hot(Protocol):
    """Where windows are at hand."""

    async def read(self, key: Key) -> Window | None:
        """What is there, whole and linked; None where there is nothing of use."""

    async def replace(self, key: Key, window: Window) -> None:
        """From now on it is this one."""

    async def append(self, key: Key, window: Window, new: int) -> None:
        """It was all but the last `new` messages of this one, and now is all of it."""

    async def drop(self, key: Key) -> None:
        """Nothing is there any more."""

    async def drop_conversation(self, schema_name: str, conversation_id: UUID) -> None:
        """Nothing of this conversation is there any more, with whichever employee."""

    async def close(self) -> None: ...


class InProcess:
    """The least recently used go first. Used on the event loop only."""

    def __init__(self) -> None:
        self._windows: OrderedDict[Key, tuple[Window, int]] = OrderedDict()
        self._bytes = 0

    async def read(self, key: Key) -> Window | None:
        found = self._windows.get(key)
        if found is None:
            return None
        self._windows.move_to_end(key)
        return found[0]

    async def replace(self, key: Key, window: Window) -> None:
        self._forget(key)
        size = _size(window)
        self._windows[key] = (window, size)
        self._bytes += size
        while len(self._windows) > MAX_WINDOWS or self._bytes > MAX_BYTES:
            self._forget(next(iter(self._windows)))

    async def append(self, key: Key, window: Window, new: int) -> None:
        await self.replace(key, window)

    async def drop(self, key: Key) -> None:
        self._forget(key)

    async def drop_conversation(self, schema_name: str, conversation_id: UUID) -> None:
        for key in [one for one in self._windows if one.conversation_id == conversation_id]:
            if key.schema_name == schema_name:
                self._forget(key)

    async def close(self) -> None:
        self._windows.clear()
        self._bytes = 0

    def _forget(self, key: Key) -> None:
        found = self._windows.pop(key, None)
        if found is not None:
            self._bytes -= found[1]


class _Head(Struct, frozen=True, array_like=True):
    """The first element of a list in Redis."""

    base_id: UUID | None
    summary: str


_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(_Head).decode
_decode_said = msgspec.msgpack.Decoder(Said).decode


class InRedis:
    """A list a window: its head, then its messages. Read in one round trip, written in one transaction.

    Where Redis is away there is nothing at hand, and it is not asked again for a second.
    """

    def __init__(self, url: str) -> None:
        self._redis: Any = redis.Redis.from_url(
            url, protocol=2, socket_connect_timeout=DEADLINE, socket_timeout=DEADLINE
        )
        self._away_until = float("-inf")

    async def read(self, key: Key) -> Window | None:
        if self._is_away:
            return None
        try:
            async with asyncio.timeout(DEADLINE):
                elements = await self._redis.lrange(_name(key), 0, -1)
        except UNREACHABLE as error:
            self._gone(error)
            return None
        return _window(elements) if elements else None

    async def replace(self, key: Key, window: Window) -> None:
        head = _encode(_Head(window.base_id, window.summary))
        name = _name(key)
        await self._write(key, ("delete", name), ("rpush", name, head, *map(_encode, window.said)))

    async def append(self, key: Key, window: Window, new: int) -> None:
        # Only to a list that is there: one that has expired meanwhile must not begin in the middle.
        await self._write(key, ("rpushx", _name(key), *map(_encode, window.said[-new:])))

    async def drop(self, key: Key) -> None:
        await self._write(key, ("delete", _name(key)))

    async def drop_conversation(self, schema_name: str, conversation_id: UUID) -> None:
        if self._is_away:
            return
        pattern = f"konstruct:window:{schema_name}:*:{conversation_id}"
        try:
            async with asyncio.timeout(SCAN_DEADLINE):
                async for name in self._redis.scan_iter(match=pattern, count=1000):
                    await self._redis.delete(name)
        except UNREACHABLE as error:
            # What is left expires.
            self._gone(error)

    async def close(self) -> None:
        await self._redis.aclose()

    async def _write(self, key: Key, *commands: tuple[Any, ...]) -> None:
        if self._is_away:
            return
        name = _name(key)
        try:
            async with asyncio.timeout(DEADLINE), self._redis.pipeline(transaction=True) as pipe:
                for command, *arguments in commands:
                    getattr(pipe, command)(*arguments)
                # A list that grew too long loses its head, which `_window` notices.
                pipe.ltrim(name, -MAX_ELEMENTS, -1)
                pipe.expire(name, EXPIRES)
                await pipe.execute()
        except UNREACHABLE as error:
            self._gone(error)

    @property
    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until

    def _gone(self, error: BaseException) -> None:
        self._away_until = time.monotonic() + AGAIN_AFTER
        logger.warning("Windows are read from the database: Redis is away (%s)", type(error).__name__)


def _window(elements: list[bytes]) -> Window | None:
    """The window in a list; None where it is not one, or two writers have crossed."""
    try:
        head = _decode_head(elements[0])
        window = Window(tuple(map(_decode_said, elements[1:])), head.base_id, head.summary)
    except msgspec.DecodeError:
        return None
    return window if window.is_linked else None


def _name(key: Key) -> str:
    return f"konstruct:window:{key.schema_name}:{key.agent_id}:{key.user_id}:{key.conversation_id}"


def _size(window: Window) -> int:
    """Bytes, about: texts at their widest, and the objects around them."""
    return 500 + 4 * len(window.summary) + sum(400 + 4 * len(one.text) for one in window.said)
