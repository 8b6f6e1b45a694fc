"""Memories and their vectors as rows: what several modules of this room do with them."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from memory.models import DIMENSIONS, Memory, MemoryVector
from memory.values import MemoryInfo, Vector

_SAME = [name for name in MemoryInfo.__struct_fields__ if name != "history"]


def info(row: Memory, **more: Any) -> MemoryInfo:
    """The row as a value."""
    return MemoryInfo(**{name: getattr(row, name) for name in _SAME}, **more)


def current() -> QuerySet[Memory]:
    """All memories that are not history; without the words, which only the database reads."""
    return Memory.objects.filter(superseded_at=None).defer("words")


def put_vector(row: Memory, embedder: str, vector: Vector) -> None:
    """Make this the row's only vector: one of another embedder would be of another text."""
    if len(vector) != DIMENSIONS:
        raise ValueError(f"A vector has {DIMENSIONS} coordinates, not {len(vector)}.")
    MemoryVector.objects.filter(memory=row).delete()
    MemoryVector.objects.create(
        memory=row,
        user_id=row.user_id,
        agent_id=row.agent_id,
        embedder=embedder,
        embedding=[float(coordinate) for coordinate in vector],
    )


def supersede(rows: Iterable[Memory], by: Memory) -> None:
    """Make history of these rows: they keep their text and lose their vectors."""
    ids = [row.id for row in rows]
    # The rows first: their lock is what `memory.moving` looks at before it adds vectors.
    Memory.objects.filter(id__in=ids).update(superseded_by=by, superseded_at=timezone.now())
    MemoryVector.objects.filter(memory_id__in=ids).delete()


# Deleted by hand, children first: Django would read every row that goes. Locked before, in one order for
# all, so that no vector comes in between (`memory.moving`) and nobody waits in a circle.
_ERASE = (
    "SELECT id FROM memory_memory WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE",
    "DELETE FROM memory_memoryvector WHERE memory_id = ANY(%(ids)s)",
    "DELETE FROM memory_evidence WHERE fact_id = ANY(%(ids)s)",
    "DELETE FROM memory_memory WHERE id = ANY(%(ids)s)",
)


def erase(ids: Sequence[UUID]) -> None:
    """Delete the memories with their vectors and evidence. What they superseded must be among them."""
    with connection.cursor() as cursor:
        for statement in _ERASE:
            cursor.execute(statement, {"ids": list(ids)})
