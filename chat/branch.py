"""A branch of a conversation as the prompt and the summaries need it: from a message upwards to the newest
summary on it, or to its beginning. Synchronous; run inside a workspace.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db import connection
from msgspec import Struct

from chat.models import Message, Status
from konstruct.tenancy.isolation import current_schema
from memory.models import Summary
from memory.window import BYTES_A_TOKEN, Said, Window

# How far a branch is followed without a summary in sight, and how much text is read of it: what no prompt
# has room for is left where it is.
MAX_STEPS = 4_000
MAX_BYTES = 24_000 * BYTES_A_TOKEN

_WALK = f"""
WITH RECURSIVE branch AS (
    SELECT m.id, m.parent_id, 1 AS depth, octet_length(m.text)::bigint AS bytes, s.id AS summary_id
    FROM chat_message m LEFT JOIN {Summary._meta.db_table} s ON s.upto_id = m.id
    WHERE m.id = %(leaf)s
  UNION ALL
    SELECT m.id, m.parent_id, b.depth + 1, b.bytes + octet_length(m.text), s.id
    FROM branch b JOIN chat_message m ON m.id = b.parent_id
    LEFT JOIN {Summary._meta.db_table} s ON s.upto_id = m.id
    WHERE b.summary_id IS NULL AND b.depth < %(steps)s
)"""
_READ = f"""{_WALK}
SELECT b.id, b.parent_id, m.role, m.status, m.text, s.text
FROM branch b JOIN chat_message m ON m.id = b.id LEFT JOIN {Summary._meta.db_table} s ON s.id = b.summary_id
WHERE b.bytes <= %(bytes)s OR b.summary_id IS NOT NULL ORDER BY b.depth DESC
"""
_SIZES = f"""{_WALK}
SELECT b.id, m.role, octet_length(m.text), b.parent_id, s.text
FROM branch b JOIN chat_message m ON m.id = b.id LEFT JOIN {Summary._meta.db_table} s ON s.id = b.summary_id
ORDER BY b.depth DESC
"""


def kept_text(status: str, text: str) -> str:
    """What is said again of a message: nothing of an answer that failed, all that a person was left with
    (stopped, interrupted)."""
    return "" if status in (Status.FAILED, Status.RUNNING) else text


def window_up_to(leaf_id: UUID | None) -> Window:
    """The newest summary on the branch that ends with this message, and what was said since.

    Not whole where that is more than MAX_BYTES, or MAX_STEPS away. One query.
    """
    current_schema()
    if leaf_id is None:
        return Window()
    with connection.cursor() as cursor:
        cursor.execute(_READ, {"leaf": leaf_id, "steps": MAX_STEPS, "bytes": MAX_BYTES})
        rows = cursor.fetchall()
    base_id, summary = None, ""
    if rows and rows[0][5] is not None:
        (base_id, *_, summary), *rows = rows
    said = tuple(Said(row[0], row[1], row[2], kept_text(row[3], row[4])) for row in rows)
    begins_with = said[0].parent_id if said else leaf_id
    return Window(said, base_id, summary, whole=begins_with == base_id)


class Step(Struct, frozen=True):
    """A message of a branch without its text, whose size is in bytes."""

    id: UUID
    role: str
    bytes: int


class Unfolded(Struct, frozen=True):
    """What follows the newest summary of a branch, oldest first.

    whole: False where MAX_STEPS did not reach so far.
    """

    summary: str
    steps: tuple[Step, ...]
    whole: bool


def unfolded(leaf_id: UUID) -> Unfolded:
    """All messages between the newest summary on the branch and this message, which is among them."""
    current_schema()
    with connection.cursor() as cursor:
        cursor.execute(_SIZES, {"leaf": leaf_id, "steps": MAX_STEPS})
        rows = cursor.fetchall()
    summary, has_summary = "", bool(rows) and rows[0][4] is not None
    whole = has_summary or (bool(rows) and rows[0][3] is None)
    if has_summary:
        (*_, summary), *rows = rows
    return Unfolded(summary, tuple(Step(row[0], row[1], row[2]) for row in rows), whole)


def texts(ids: Sequence[UUID]) -> list[Said]:
    """These messages, in this order; those deleted meanwhile are left out."""
    found = Message.objects.in_bulk(ids)
    messages = [found[one] for one in ids if one in found]
    return [Said(m.id, m.parent_id, m.role, kept_text(m.status, m.text)) for m in messages]  # type: ignore[arg-type]
