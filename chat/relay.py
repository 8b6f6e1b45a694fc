"""Slices of running answers through Redis, from the process that writes one to those that follow it.

A stream an answer, workspace and conversation in its key, bounded and expiring; only where REDIS_URL is
set. It makes following quick, and is never the only copy: the text lies with its turn, and about once a
second in the database. Whatever fails here is logged, and the answer goes on without it.
"""

import asyncio
import logging
from typing import Any
from uuid import UUID

import redis.asyncio as redis
from msgspec import Struct
from redis.exceptions import RedisError

from chat.hub import Room
from chat.stream import Answer, Cursor

logger = logging.getLogger(__name__)

PACE = 0.02
# Slices kept: at this pace ten seconds of them, while the database is a second behind at most.
KEPT = 500
EXPIRES = 120
DEADLINE = 2.0
AGAIN_AFTER = 1.0
BLOCK_SECONDS = 1.0
# Each answer that is followed from elsewhere waits on a connection of its own.
MAX_CONNECTIONS = 4096

UNREACHABLE = (RedisError, OSError, asyncio.TimeoutError)


class Slice(Struct, frozen=True):
    """A piece of an answer; `offset` in code points. `last`: the answer has ended and is stored."""

    entry: bytes
    offset: int
    text: str
    last: bool


class Relay:
    """One a process. Its connections are pooled; `close` gives them back."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(
            url,
            protocol=2,
            socket_connect_timeout=DEADLINE,
            socket_timeout=DEADLINE + BLOCK_SECONDS,
            max_connections=MAX_CONNECTIONS,
        )

    async def publish(self, room: Room, answer: Answer) -> None:
        """Append the answer's slices to its stream as it grows, and a last entry when it has ended."""
        key, cursor, grown = _key(room, answer.message_id), Cursor(answer, 0), asyncio.Event()
        answer.listen(grown, grown.set)
        try:
            while True:
                ended = cursor.ended
                try:
                    if cursor.pending:
                        await self._append(key, cursor)
                    if ended:
                        await self._add(key, {"o": cursor.offset, "t": "", "end": 1})
                        return
                except UNREACHABLE as error:
                    logger.warning("An answer cannot be relayed (%s)", type(error).__name__)
                    if ended:
                        return
                    await asyncio.sleep(AGAIN_AFTER)
                    continue
                await grown.wait()
                grown.clear()
                await asyncio.sleep(PACE)
        finally:
            answer.forget(grown)

    async def read(self, room: Room, message_id: UUID, after: bytes) -> list[Slice]:
        """The slices past the entry `after` (b"0": all that are kept); waits up to BLOCK_SECONDS for one.

        Empty: none came. Raises one of UNREACHABLE.
        """
        key = _key(room, message_id)
        found: Any = await self._redis.xread({key: after}, block=round(BLOCK_SECONDS * 1000), count=KEPT)
        return [
            Slice(entry, int(fields[b"o"]), fields[b"t"].decode(), b"end" in fields)
            for _, entries in found
            for entry, fields in entries
        ]

    async def close(self) -> None:
        await self._redis.aclose()

    async def _append(self, key: str, cursor: Cursor) -> None:
        """Only once it is there does the cursor move: after a failure the same text is sent again."""
        offset = cursor.offset
        text = cursor.answer.read(offset)
        await self._add(key, {"o": offset, "t": text})
        cursor.offset = offset + len(text)

    async def _add(self, key: str, fields: dict[str, str | int]) -> None:
        async with asyncio.timeout(DEADLINE), self._redis.pipeline(transaction=False) as pipe:
            pipe.xadd(key, fields, maxlen=KEPT, approximate=True)  # type: ignore[arg-type]
            pipe.expire(key, EXPIRES)
            await pipe.execute()


def _key(room: Room, message_id: UUID) -> str:
    return f"konstruct:answer:{room.schema_name}:{room.conversation_id}:{message_id}"
