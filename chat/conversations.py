"""Conversations and their messages, as their owner reads and changes them.

Synchronous and keyword-only; each function is atomic and runs inside a workspace. Every one takes
`user_id` and has it in its query: another's conversation is not refused, it is not found.
(What a turn writes is in chat.records.)

A conversation's messages form a tree: an answer written anew and a message edited are siblings of the
first. What is read from the conversation's leaf up to the first message is the branch in use.
"""

import base64
import binascii
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Generic, TypeVar
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.utils import timezone
from msgspec import Struct

from agents import employees
from agents.models import Agent
from chat import answers
from chat.models import Conversation, Message, Status

PAGE_SIZE = 30
MAX_PAGE_SIZE = 100
MAX_TITLE = 200

T = TypeVar("T")
Row = TypeVar("Row", bound=Model)


class ConversationNotFound(LookupError):
    """There is no such conversation for this user: unknown, deleted, or someone else's."""

    sentence = "There is no such conversation."


class MessageNotFound(LookupError):
    """There is no such message in this conversation."""

    sentence = "There is no such message in this conversation."


class AnswerRunning(Exception):
    """An answer is being written; until it ends, the conversation stays on its branch."""

    sentence = "An answer is being written in this conversation. Wait for it or stop it."


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
    """A message. An answer that is being written has status `running` and the text stored so far.

    `siblings`: the ids of all messages in its place in the tree, itself among them, oldest first.
    `memories`: those that its prompt held; they may have been forgotten since.
    """

    id: UUID
    parent_id: UUID | None
    siblings: tuple[UUID, ...]
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
    feedback: str
    feedback_comment: str
    memories: list[UUID]
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
    *,
    user_id: UUID,
    conversation_id: UUID,
    cursor: str | None = None,
    size: int = PAGE_SIZE,
    everything: bool = False,
) -> Page[MessageInfo]:
    """The messages of the branch in use, the last one first; with `everything`, of all, newest first.

    A cursor continues upwards from the message it names, whichever branch is in use meanwhile.
    Raises ConversationNotFound, InvalidCursor.
    """
    conversation = _find(_owned(user_id), conversation_id)
    if everything:
        rows, more = _keyset(_messages(user_id, conversation_id), "created_at", cursor, size)
    else:
        rows, more = _branch(conversation, cursor, size)
    siblings = _siblings(_messages(user_id, conversation_id), rows)
    next_cursor = _make_cursor(rows[-1].created_at, rows[-1].id) if more else None
    return Page(tuple(_message_info(row, siblings[row.parent_id]) for row in rows), next_cursor)


@transaction.atomic
def select_version(*, user_id: UUID, conversation_id: UUID, message_id: UUID) -> ConversationInfo:
    """Put the branch in use that this message is on: its newest end becomes the conversation's leaf.

    Raises ConversationNotFound, MessageNotFound, AnswerRunning.
    """
    conversation = _find(_owned(user_id).select_for_update(), conversation_id)
    if not _messages(user_id, conversation_id).filter(id=message_id).exists():
        raise MessageNotFound(message_id)
    running = _messages(user_id, conversation_id).filter(status=Status.RUNNING)
    if running.exists() and not answers.interrupt_stale(conversation_id=conversation_id):
        raise AnswerRunning(conversation_id)
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST_LEAF, {"message": message_id, "conversation": conversation_id})
        (conversation.leaf_id,) = cursor.fetchone()
    conversation.save(update_fields=["leaf"])
    return _conversation_info(conversation)


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


def _messages(user_id: UUID, conversation_id: UUID) -> QuerySet[Message]:
    return Message.objects.filter(conversation_id=conversation_id, conversation__user_id=user_id)


# From a message up to the first one, `limit` of them.
_BRANCH = """
WITH RECURSIVE branch AS (
    SELECT id, parent_id, 1 AS depth FROM chat_message
    WHERE id = %(message)s AND conversation_id = %(conversation)s
  UNION ALL
    SELECT m.id, m.parent_id, b.depth + 1
    FROM chat_message m JOIN branch b ON m.id = b.parent_id WHERE b.depth < %(limit)s
)
SELECT id FROM branch ORDER BY depth
"""

# Of all that follows a message, the newest without a successor: itself, where nothing follows it.
_NEWEST_LEAF = """
WITH RECURSIVE below AS (
    SELECT id, created_at FROM chat_message
    WHERE id = %(message)s AND conversation_id = %(conversation)s
  UNION ALL
    SELECT m.id, m.created_at FROM chat_message m JOIN below b ON m.parent_id = b.id
)
SELECT id FROM below b WHERE NOT EXISTS (SELECT FROM chat_message m WHERE m.parent_id = b.id)
ORDER BY created_at DESC, id DESC LIMIT 1
"""


def _branch(conversation: Conversation, cursor: str | None, size: int) -> tuple[list[Message], bool]:
    """The `size` messages from the leaf upwards, or above the cursor's; whether there are more."""
    start = conversation.leaf_id
    messages = _messages(conversation.user_id, conversation.id)
    if cursor:
        _, seen_id = _read_cursor(cursor)
        start = messages.filter(id=seen_id).values_list("parent_id", flat=True).first()
    size = max(1, min(size, MAX_PAGE_SIZE))
    if start is None:
        return [], False
    with connection.cursor() as database:
        limits: dict[str, UUID | int] = {"message": start, "conversation": conversation.id, "limit": size + 1}
        database.execute(_BRANCH, limits)
        ids = [row[0] for row in database.fetchall()]
    found = messages.in_bulk(ids)
    rows = [found[message_id] for message_id in ids if message_id in found]
    return rows[:size], len(rows) > size


def _siblings(messages: QuerySet[Message], rows: Iterable[Message]) -> dict[UUID | None, tuple[UUID, ...]]:
    """The ids in each of the rows' places in the tree, by the parent's id (None: the first messages)."""
    parents = {row.parent_id for row in rows}
    places = Q(parent_id__in=parents - {None})
    if None in parents:
        places |= Q(parent_id__isnull=True)
    found: dict[UUID | None, list[UUID]] = defaultdict(list)
    for parent_id, message_id in (
        messages.filter(places).order_by("created_at", "id").values_list("parent_id", "id")
    ):
        found[parent_id].append(message_id)
    return {parent_id: tuple(ids) for parent_id, ids in found.items()}


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
    items, more = _keyset(rows, time_field, cursor, size)
    next_cursor = _make_cursor(getattr(items[-1], time_field), items[-1].pk) if more else None
    return Page(tuple(map(info, items)), next_cursor)


def _keyset(rows: QuerySet[Row], time_field: str, cursor: str | None, size: int) -> tuple[list[Row], bool]:
    """The `size` rows that follow the cursor, by time and id, both descending; whether there are more.

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
    return found[:size], len(found) > size


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


def _message_info(row: Message, siblings: tuple[UUID, ...]) -> MessageInfo:
    same = [name for name in MessageInfo.__struct_fields__ if name != "siblings"]
    return MessageInfo(**{name: getattr(row, name) for name in same}, siblings=siblings)
