"""Moving a workspace from one embedder to another while it is in use. Synchronous, keyword-only; run inside
a workspace.

New vectors are added beside the old ones, batch by batch, each in a transaction of its own (`missing`,
`add`). What is remembered meanwhile gets a vector of the old embedder and is missing one of the new, so it
is caught up with. `change` then locks out all writers for as long as the last few take, and from its commit
on the new vectors are the ones that are searched and written. `drop_others` removes the old ones.

Each step can be broken off at any point, and the whole begun again: what is done is found done.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from msgspec import Struct

from konstruct.tenancy.isolation import current_schema
from memory.locks import hold_everybody
from memory.models import MemoryPolicy, MemoryVector
from memory.policy import policy
from memory.rows import current
from memory.values import Vector

# Texts to vectors; None for a text that has none.
Embed = Callable[[Sequence[str]], Sequence[Vector | None]]


class Unembedded(Struct, frozen=True):
    """A memory that lacks a vector."""

    id: UUID
    text: str


class AlreadyMoving(RuntimeError):
    """Another process is moving this workspace."""


@contextmanager
def alone() -> Iterator[None]:
    """While it lasts nobody else moves this workspace. Raises AlreadyMoving. For one connection."""
    name = [f"{current_schema()}.memory.moving"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", name)
        if not cursor.fetchone()[0]:
            raise AlreadyMoving
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", name)


def count() -> int:
    """How many memories have, or should have, a vector."""
    return current().count()


_MISSING = """
SELECT id, text FROM memory_memory m
WHERE superseded_at IS NULL AND id > %(after)s AND id <> ALL(%(besides)s::uuid[])
    AND NOT EXISTS (SELECT FROM memory_memoryvector v WHERE v.memory_id = m.id AND v.embedder = %(embedder)s)
ORDER BY id LIMIT %(limit)s
"""
_NONE = UUID(int=0)


def missing(
    *, embedder: str, limit: int, after: UUID = _NONE, besides: Collection[UUID] = ()
) -> list[Unembedded]:
    """Memories without a vector of that embedder, by id from `after` on; `besides`: known to have none."""
    current_schema()
    with connection.cursor() as cursor:
        arguments: dict[str, Any] = {
            "embedder": embedder,
            "limit": limit,
            "after": after,
            "besides": list(besides),
        }
        cursor.execute(_MISSING, arguments)
        return [Unembedded(*row) for row in cursor.fetchall()]


# Those that are being changed or forgotten at this moment are left out: waiting for them could make others
# wait for us, and they are missing again next time, if they still are.
_STILL = """
SELECT id, text, user_id, agent_id FROM memory_memory
WHERE id = ANY(%s) AND superseded_at IS NULL FOR SHARE SKIP LOCKED
"""


@transaction.atomic
def add(*, embedder: str, memories: Sequence[Unembedded], vectors: Sequence[Vector | None]) -> int:
    """Add these vectors to the memories that still say what was embedded; how many there were."""
    current_schema()
    embedded = {
        memory.id: (memory.text, vector)
        for memory, vector in zip(memories, vectors, strict=True)
        if vector is not None
    }
    with connection.cursor() as cursor:
        cursor.execute(_STILL, [list(embedded)])
        rows = cursor.fetchall()
    made = [
        MemoryVector(
            memory_id=memory_id,
            user_id=user_id,
            agent_id=agent_id,
            embedder=embedder,
            embedding=list(embedded[memory_id][1]),
        )
        for memory_id, text, user_id, agent_id in rows
        if text == embedded[memory_id][0]
    ]
    MemoryVector.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)


@transaction.atomic
def change(*, embedder: str, embed: Embed, most: int, besides: Collection[UUID] = ()) -> bool:
    """Make this the workspace's embedder, once no memory lacks its vector; whether it is.

    Nothing is remembered meanwhile, so it goes on only with at most `most` missing, which it embeds itself.
    """
    policy()
    hold_everybody()
    left = missing(embedder=embedder, limit=most + 1, besides=besides)
    if len(left) > most:
        return False
    if left:
        add(embedder=embedder, memories=left, vectors=embed([memory.text for memory in left]))
        if missing(embedder=embedder, limit=1, besides=besides):
            return False
    MemoryPolicy.objects.filter(id=1).update(embedder=embedder)
    return True


def drop_others(*, embedder: str, batch: int) -> int:
    """Delete up to `batch` vectors of any other embedder than this, which must be the workspace's; how many.

    Raises ValueError where it is not."""
    with transaction.atomic():
        if policy().embedder != embedder:
            raise ValueError(f"{embedder} is not the workspace's embedder.")
        others = MemoryVector.objects.exclude(embedder=embedder).values("id")[:batch]
        return MemoryVector.objects.filter(id__in=others).delete()[0]
