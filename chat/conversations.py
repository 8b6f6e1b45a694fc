"""Conversations and their messages, as their owner reads and changes them.

Synchronous and keyword-only; each function is atomic and runs inside a workspace. Every one takes
`user_id` and has it in its query: another's conversation is not refused, it is not found.
(What a turn writes is in chat.records.)
"""

import base64
import binascii
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Generic, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.utils import timezone
from msgspec import Struct

from agents import employees
from agents.models import Agent
from chat.models import Conversation, Message

PAGE_SIZE = 30
MAX_PAGE_SIZE = 100
MAX_TITLE = 200

T = TypeVar("T")
Row = TypeVar("Row", bound=Model)


class ConversationNotFound(LookupError):
    """There is no such conversation for this user: unknown, deleted, or someone else's."""

    sentence = "There is no such conversation."


class EmployeeNotFound(LookupError):
    """There is no such active employee in this workspace."""

    sentence = "There is no such employee."


class InvalidCursor(ValueError):
    """The cursor was not made by this module."""

    sentence = "This cursor is not one that an earlier page gave."


class InvalidTitle(ValueError):
    """A title is one to MAX_TITLE characters after trimming."""

    sentence = f"A title has 1 to {MAX_TITLE} characters."


class ConversationInfo(Struct, frozen=True):
    """A conversation as it is listed. `leaf_id`: the last message of the branch in use."""

    id: UUID
    title: str
    agent_id: UUID | None
    channel: str
    leaf_id: UUID | None
    created_at: datetime
    updated_at: datetime


class MessageInfo(Struct, frozen=True):
    """A message. An answer that is being written has status `running` and the text stored so far."""

    id: UUID
    parent_id: UUID | None
    client_id: UUID | None
    role: str
    text: str
    status: str
    error_code: str
    agent_id: UUID | None
    model: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: Decimal | None
    duration_ms: int | None
    created_at: datetime


class Page(Struct, Generic[T], frozen=True):
    """Some items in order, and the cursor of the page after them (None: this is the last)."""

    items: tuple[T, ...]
    next_cursor: str | None


@transaction.atomic
def create(*, user_id: UUID, agent_id: UUID | None = None, title: str = "") -> ConversationInfo:
    """A new, empty conversation with the employee, or with the workspace's default one.

    Raises EmployeeNotFound for an `agent_id` that is not an active employee's, InvalidTitle.
    """
    title = _checked_title(title) if title else ""
    agent = employees.find_active(agent_id)
    if agent is None and agent_id is not None:
        raise EmployeeNotFound(agent_id)
    return _conversation_info(Conversation.objects.create(user_id=user_id, agent=agent, title=title))


@transaction.atomic
def begin(*, user_id: UUID, agent_id: UUID | None = None) -> ConversationInfo:
    """An empty conversation with the employee: one that was never used, or else a new one.

    For the portal, where each click on an employee would leave an empty conversation behind.
    Raises EmployeeNotFound.
    """
    agent = employees.find_active(agent_id)
    if agent is None and agent_id is not None:
        raise EmployeeNotFound(agent_id)
    messages = Message.objects.filter(conversation=OuterRef("pk"))
    unused = _owned(user_id).filter(~Exists(messages), agent=agent, title="", channel="web").first()
    if unused is None:
        return create(user_id=user_id, agent_id=agent_id)
    unused.updated_at = timezone.now()
    unused.save(update_fields=["updated_at"])
    return _conversation_info(unused)


def page(
    *, user_id: UUID, search: str = "", cursor: str | None = None, size: int = PAGE_SIZE
) -> Page[ConversationInfo]:
    """The user's conversations, the one with the latest message first.

    search: only those with this text in the title or in a message, upper and lower case alike.
    Raises InvalidCursor.
    """
    found = _owned(user_id)
    if search := _storable(search).strip():
        within = Message.objects.filter(conversation=OuterRef("pk"), text__icontains=search)
        found = found.filter(Q(title__icontains=search) | Exists(within))
    return _keyset_page(found, "updated_at", cursor, size, _conversation_info)


def get(*, user_id: UUID, conversation_id: UUID) -> ConversationInfo:
    """The user's conversation of that id. Raises ConversationNotFound."""
    return _conversation_info(_find(_owned(user_id), conversation_id))


@transaction.atomic
def rename(*, user_id: UUID, conversation_id: UUID, title: str) -> ConversationInfo:
    """Give the conversation a title of the user's own. Raises ConversationNotFound, InvalidTitle."""
    conversation = _find(_owned(user_id).select_for_update(), conversation_id)
    conversation.title = _checked_title(title)
    conversation.save(update_fields=["title"])
    return _conversation_info(conversation)


@transaction.atomic
def delete(*, user_id: UUID, conversation_id: UUID) -> None:
    """Delete the conversation with all its messages, for good. Raises ConversationNotFound."""
    _find(_owned(user_id).select_for_update(), conversation_id).delete()


def messages_page(
    *, user_id: UUID, conversation_id: UUID, cursor: str | None = None, size: int = PAGE_SIZE
) -> Page[MessageInfo]:
    """The conversation's messages on all branches, newest first.

    Raises ConversationNotFound, InvalidCursor.
    """
    get(user_id=user_id, conversation_id=conversation_id)
    messages = Message.objects.filter(conversation_id=conversation_id, conversation__user_id=user_id)
    return _keyset_page(messages, "created_at", cursor, size, _message_info)


def agents_of(*, user_id: UUID, conversation_id: UUID) -> list[Agent]:
    """The employees one may meet in this conversation: those active, and those who have answered in it."""
    answered = Message.objects.filter(
        conversation_id=conversation_id, conversation__user_id=user_id, agent_id=OuterRef("pk")
    )
    return list(Agent.objects.filter(Q(is_active=True) | Exists(answered)))


# --- inside ----------------------------------------------------------------------------------------


def _owned(user_id: UUID) -> QuerySet[Conversation]:
    return Conversation.objects.filter(user_id=user_id)


def _find(owned: QuerySet[Conversation], conversation_id: UUID) -> Conversation:
    conversation = owned.filter(id=conversation_id).first()
    if conversation is None:
        raise ConversationNotFound(conversation_id)
    return conversation


def _storable(text: str) -> str:
    """Without NUL, which PostgreSQL cannot store, and lone surrogates, which UTF-8 cannot carry."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode()


def _checked_title(title: str) -> str:
    title = " ".join(_storable(title).split())
    if not 0 < len(title) <= MAX_TITLE:
        raise InvalidTitle(title)
    return title


def _keyset_page(
    rows: QuerySet[Row], time_field: str, cursor: str | None, size: int, info: Callable[[Row], T]
) -> Page[T]:
    """The `size` rows that follow the cursor, by time and id, both descending.

    A cursor names the last row seen rather than a count, so that a page costs the same however far
    down it is, and rows that arrive meanwhile shift nothing.
    """
    if cursor:
        time, row_id = _read_cursor(cursor)
        # The first condition bounds the index scan; the second decides between rows of one instant.
        earlier = Q(**{f"{time_field}__lt": time}) | Q(id__lt=row_id)
        rows = rows.filter(earlier, **{f"{time_field}__lte": time})
    size = max(1, min(size, MAX_PAGE_SIZE))
    found = list(rows.order_by(f"-{time_field}", "-id")[: size + 1])
    items, more = found[:size], len(found) > size
    next_cursor = _make_cursor(getattr(items[-1], time_field), items[-1].pk) if more else None
    return Page(tuple(map(info, items)), next_cursor)


def _make_cursor(time: datetime, row_id: UUID) -> str:
    return base64.urlsafe_b64encode(f"{time.isoformat()} {row_id.hex}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        time, row_id = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").split(" ")
        parsed = datetime.fromisoformat(time)
        if parsed.utcoffset() is None:
            raise InvalidCursor(cursor)
        return parsed, UUID(hex=row_id)
    except (ValueError, binascii.Error) as error:
        raise InvalidCursor(cursor) from error


def _conversation_info(row: Conversation) -> ConversationInfo:
    return ConversationInfo(**{name: getattr(row, name) for name in ConversationInfo.__struct_fields__})


def _message_info(row: Message) -> MessageInfo:
    return MessageInfo(**{name: getattr(row, name) for name in MessageInfo.__struct_fields__})
