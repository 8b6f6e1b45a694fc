"""Conversations and their messages, as their owner reads and changes them.

Synchronous and keyword-only; each function is atomic and runs inside a workspace. Every one takes
`user_id` and has it in its query: another's conversation is not refused, it is not found.
(What a turn writes is in chat.records; the list of conversations is chat.listing's, search chat.search's.)

A conversation's messages form a tree: an answer written anew and a message edited are siblings of the
first. What is read from the conversation's leaf up to the first message is the branch in use.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from msgspec import Struct

from agents import employees
from agents.models import Agent
from chat import answers, branches
from chat.models import Conversation, Message, Status
from chat.paging import PAGE_SIZE, Page, bounded, keyset, make_cursor, read_cursor
from chat.protocol import ConversationInfo

MAX_TITLE = 200


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


class InvalidTitle(ValueError):
    """A title is one to MAX_TITLE characters after trimming."""

    sentence = f"A title has 1 to {MAX_TITLE} characters."


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


@transaction.atomic
def create(*, user_id: UUID, agent_id: UUID | None = None, title: str = "") -> ConversationInfo:
    """A new, empty conversation with the employee, or with the workspace's default one.

    Raises EmployeeNotFound for an `agent_id` that is not an active employee's, InvalidTitle.
    """
    title = checked_title(title) if title else ""
    agent = employees.find_active(agent_id)
    if agent is None and agent_id is not None:
        raise EmployeeNotFound(agent_id)
    return info_of(Conversation.objects.create(user_id=user_id, agent=agent, title=title))


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
    unused = (
        _owned(user_id)
        .filter(~Exists(messages), agent=agent, title="", channel="web", archived_at=None, leaf=None)
        .first()
    )
    if unused is None:
        return create(user_id=user_id, agent_id=agent_id)
    unused.updated_at = timezone.now()
    unused.save(update_fields=["updated_at"])
    return info_of(unused)


def get(*, user_id: UUID, conversation_id: UUID) -> ConversationInfo:
    """The user's conversation of that id. Raises ConversationNotFound."""
    return info_of(_find(_owned(user_id), conversation_id))


@transaction.atomic
def delete(*, user_id: UUID, conversation_id: UUID) -> None:
    """Delete the conversation: from now on nothing finds it, and its sockets close (4004).

    It can be restored for a while (chat.listing), then it is purged with all its messages. An answer
    that is being written is stopped. Raises ConversationNotFound.
    """
    conversation = _find(_owned(user_id).select_for_update(), conversation_id)
    answers.request_stop(conversation_id=conversation_id, user_id=user_id, message_id=None)
    conversation.deleted_at = timezone.now()
    conversation.save(update_fields=["deleted_at"])


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
        rows, more = keyset(_messages(user_id, conversation_id), "created_at", cursor, size)
    else:
        rows, more = _branch(conversation, cursor, size)
    siblings = _siblings(_messages(user_id, conversation_id), rows)
    next_cursor = make_cursor(rows[-1].created_at, rows[-1].id) if more else None
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
    return info_of(conversation)


def agents_of(*, user_id: UUID, conversation_id: UUID) -> list[Agent]:
    """The employees one may meet in this conversation: those active, and those who have answered in it."""
    answered = Message.objects.filter(
        conversation_id=conversation_id,
        conversation__user_id=user_id,
        conversation__deleted_at=None,
        agent_id=OuterRef("pk"),
    )
    return list(Agent.objects.filter(Q(is_active=True) | Exists(answered)))


def storable(text: str) -> str:
    """Without NUL, which PostgreSQL cannot store, and lone surrogates, which UTF-8 cannot carry."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode()


def checked_title(title: str) -> str:
    """The title in one line. Raises InvalidTitle."""
    title = " ".join(storable(title).split())
    if not 0 < len(title) <= MAX_TITLE:
        raise InvalidTitle(title)
    return title


def info_of(row: Conversation) -> ConversationInfo:
    return ConversationInfo(**{name: getattr(row, name) for name in ConversationInfo.__struct_fields__})


# --- inside ----------------------------------------------------------------------------------------


def _owned(user_id: UUID) -> QuerySet[Conversation]:
    return Conversation.objects.filter(user_id=user_id)


def _find(owned: QuerySet[Conversation], conversation_id: UUID) -> Conversation:
    conversation = owned.filter(id=conversation_id).first()
    if conversation is None:
        raise ConversationNotFound(conversation_id)
    return conversation


def _messages(user_id: UUID, conversation_id: UUID) -> QuerySet[Message]:
    return Message.objects.filter(
        conversation_id=conversation_id, conversation__user_id=user_id, conversation__deleted_at=None
    )


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
        _, seen_id = read_cursor(cursor)
        start = messages.filter(id=seen_id).values_list("parent_id", flat=True).first()
    size = bounded(size)
    if start is None:
        return [], False
    ids = branches.ids_upwards(conversation_id=conversation.id, message_id=start, limit=size + 1)
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


def _message_info(row: Message, siblings: tuple[UUID, ...]) -> MessageInfo:
    same = [name for name in MessageInfo.__struct_fields__ if name != "siblings"]
    return MessageInfo(**{name: getattr(row, name) for name in same}, siblings=siblings)
