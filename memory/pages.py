"""Memories as their user looks through them, and their numbers. Synchronous, keyword-only; run inside a
workspace."""

import base64
import binascii
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q, QuerySet
from msgspec import Struct

from memory.errors import InvalidCursor, MemoryNotFound
from memory.models import Evidence, Kind, Memory
from memory.rows import current, info
from memory.values import Earlier, MemoryInfo

PAGE_SIZE = 30
MAX_PAGE_SIZE = 100
# Shown of what a memory has taken the place of.
MAX_HISTORY = 50


class Page(Struct, frozen=True):
    """Some memories, newest first, and the cursor of the page after them (None: this is the last)."""

    items: tuple[MemoryInfo, ...]
    next_cursor: str | None


class Counts(Struct, frozen=True):
    """How many memories there are with one employee (None: with any), of how many people."""

    agent_id: UUID | None
    facts: int
    exchanges: int
    notes: int
    people: int


def page(
    *,
    user_id: UUID | None,
    agent_id: UUID | None = None,
    kind: str = "",
    conversation_id: UUID | None = None,
    search: str = "",
    cursor: str | None = None,
    size: int = PAGE_SIZE,
) -> Page:
    """The user's memories, or, without a user, the workspace's notes; what was said last first.

    agent_id, kind, conversation_id: only those. search: only those with this text in them, upper and lower
    case alike. Raises InvalidCursor.
    """
    rows = current().filter(user_id=user_id)
    if agent_id is not None:
        rows = rows.filter(agent_id=agent_id)
    if kind:
        rows = rows.filter(kind=kind)
    if conversation_id is not None:
        rows = rows.filter(_from(conversation_id))
    if search := search.replace("\x00", "").strip():
        rows = rows.filter(text__icontains=search)
    if cursor:
        time, memory_id = _read_cursor(cursor)
        rows = rows.filter(Q(said_at__lt=time) | Q(id__lt=memory_id), said_at__lte=time)
    size = max(1, min(size, MAX_PAGE_SIZE))
    found = list(rows.order_by("-said_at", "-id")[: size + 1])
    items, more = found[:size], len(found) > size
    return Page(_with_history(items), _make_cursor(items[-1]) if more else None)


def get(*, user_id: UUID | None, memory_id: UUID) -> MemoryInfo:
    """One current memory of the user's, or, without a user, of the workspace's. Raises MemoryNotFound."""
    row = current().filter(user_id=user_id, id=memory_id).first()
    if row is None:
        raise MemoryNotFound(memory_id)
    return _with_history([row])[0]


def get_many(*, user_id: UUID, ids: Sequence[UUID]) -> list[MemoryInfo]:
    """Of these, the user's own and the workspace's, in the order asked for; history too, for an answer that
    was given it when it was not. Those forgotten since are missing."""
    rows = Memory.objects.filter(Q(user_id=user_id) | Q(user_id=None)).defer("words").in_bulk(list(ids))
    return [info(rows[memory_id]) for memory_id in ids if memory_id in rows]


def counts(*, user_id: UUID) -> list[Counts]:
    """How much each employee knows of the user."""
    return _counts(current().filter(user_id=user_id))


def counts_by_agent() -> list[Counts]:
    """How much each employee knows, of everybody together: numbers for admins, no contents. The workspace's
    own notes are counted with the employee they are for."""
    return _counts(current())


def count_of_conversation(*, user_id: UUID, conversation_id: UUID) -> int:
    """How many memories come from the conversation."""
    return current().filter(_from(conversation_id), user_id=user_id).count()


# --- inside ----------------------------------------------------------------------------------------


def _from(conversation_id: UUID) -> Q:
    says = Evidence.objects.filter(conversation_id=conversation_id).values("fact_id")
    return Q(conversation_id=conversation_id) | Q(id__in=says)


def _counts(rows: QuerySet[Memory]) -> list[Counts]:
    found = (
        rows.order_by()
        .values("agent_id")
        .annotate(
            facts=Count("id", filter=Q(kind=Kind.FACT)),
            exchanges=Count("id", filter=Q(kind=Kind.EXCHANGE)),
            notes=Count("id", filter=Q(kind=Kind.NOTE)),
            people=Count("user_id", distinct=True),
        )
    )
    return [Counts(**row) for row in found]


_HISTORY = """
WITH RECURSIVE earlier AS (
    SELECT id, superseded_by_id AS current_id FROM memory_memory WHERE superseded_by_id = ANY(%s)
  UNION
    SELECT m.id, e.current_id FROM memory_memory m JOIN earlier e ON m.superseded_by_id = e.id
)
SELECT id, current_id FROM earlier
"""


def _with_history(rows: Sequence[Memory]) -> tuple[MemoryInfo, ...]:
    history = _history(row.id for row in rows)
    return tuple(info(row, history=history[row.id]) for row in rows)


def _history(ids: Iterable[UUID]) -> dict[UUID, tuple[Earlier, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(_HISTORY, [list(ids)])
        current_of = dict(cursor.fetchall())
    found: dict[UUID, list[Earlier]] = defaultdict(list)
    earlier = Memory.objects.filter(id__in=current_of).defer("words")
    for row in earlier.order_by("-superseded_at", "-said_at", "-id"):
        if row.superseded_at is not None and len(found[current_of[row.id]]) < MAX_HISTORY:
            found[current_of[row.id]].append(
                Earlier(row.id, row.kind, row.text, row.conversation_id, row.said_at, row.superseded_at)
            )
    return defaultdict(tuple, {memory_id: tuple(rows) for memory_id, rows in found.items()})


def _make_cursor(row: Memory) -> str:
    return base64.urlsafe_b64encode(f"{row.said_at.isoformat()} {row.id.hex}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        time, memory_id = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").split(" ")
        parsed = datetime.fromisoformat(time)
        if parsed.utcoffset() is None:
            raise InvalidCursor(cursor)
        return parsed, UUID(hex=memory_id)
    except (ValueError, binascii.Error) as error:
        raise InvalidCursor(cursor) from error
