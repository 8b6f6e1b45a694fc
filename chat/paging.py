"""Pages of rows by time and id, both descending, and the cursors between them.

A cursor names the last row seen rather than a count, so that a page costs the same however far down it is,
and rows that arrive meanwhile shift nothing.
"""

import base64
import binascii
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from msgspec import Struct

PAGE_SIZE = 30
MAX_PAGE_SIZE = 100

T = TypeVar("T")
Row = TypeVar("Row", bound=Model)


class InvalidCursor(ValueError):
    """The cursor was not made by this module."""

    sentence = "This cursor is not one that an earlier page gave."


class Page(Struct, Generic[T], frozen=True):
    """Some items in order, and the cursor of the page after them (None: this is the last)."""

    items: tuple[T, ...]
    next_cursor: str | None


def bounded(size: int) -> int:
    return max(1, min(size, MAX_PAGE_SIZE))


def keyset(rows: QuerySet[Row], time_field: str, cursor: str | None, size: int) -> tuple[list[Row], bool]:
    """The `size` rows that follow the cursor; whether there are more. Raises InvalidCursor."""
    if cursor:
        time, row_id = read_cursor(cursor)
        # The first condition bounds the index scan; the second decides between rows of one instant.
        earlier = Q(**{f"{time_field}__lt": time}) | Q(id__lt=row_id)
        rows = rows.filter(earlier, **{f"{time_field}__lte": time})
    size = bounded(size)
    found = list(rows.order_by(f"-{time_field}", "-id")[: size + 1])
    return found[:size], len(found) > size


def make_cursor(time: datetime, row_id: UUID) -> str:
    return base64.urlsafe_b64encode(f"{time.isoformat()} {row_id.hex}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[datetime, UUID]:
    """The time and id in it. Raises InvalidCursor."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        time, row_id = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").split(" ")
        parsed = datetime.fromisoformat(time)
        if parsed.utcoffset() is None:
            raise InvalidCursor(cursor)
        return parsed, UUID(hex=row_id)
    except (ValueError, binascii.Error) as error:
        raise InvalidCursor(cursor) from error
