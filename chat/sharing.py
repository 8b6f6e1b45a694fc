"""Conversations shared within the workspace: a link that its members may read and nobody may write by.

Synchronous and keyword-only; atomic; runs inside a workspace. A link shows the branch that was in use when
it was made, up to its last message then; what is said later, and other versions, are not shared. It ends
when it is revoked, when the conversation is deleted, and when its owner leaves the workspace.
"""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from msgspec import Struct

from agents.models import Agent
from chat import branches
from chat.conversations import ConversationNotFound
from chat.models import Conversation, Message, Share, Status
from chat.paging import PAGE_SIZE, Page, bounded, keyset, make_cursor, read_cursor
from konstruct.tenancy.workspaces import find_membership


class ShareNotFound(LookupError):
    """There is no such link: unknown, revoked, of another workspace, or, to revoke it, someone else's."""

    sentence = "There is no such shared conversation."


class NothingToShare(ValueError):
    """The conversation is empty, or its only answer is still being written."""

    sentence = "There is nothing to share in this conversation yet."


class ShareInfo(Struct, frozen=True):
    """A link as its owner sees it."""

    id: UUID
    conversation_id: UUID
    title: str
    created_at: datetime


class SharedInfo(Struct, frozen=True):
    """What a reader learns of a shared conversation besides its messages."""

    id: UUID
    title: str
    shared_by: str
    owner_id: UUID
    created_at: datetime


class SharedMessage(Struct, frozen=True):
    """A message as readers see it: what was said, by whom and when, and nothing else."""

    id: UUID
    role: str
    text: str
    status: str
    agent_id: UUID | None
    created_at: datetime


@transaction.atomic
def share(*, user_id: UUID, conversation_id: UUID) -> ShareInfo:
    """A new link to the branch in use, up to its last message that stands.

    Raises ConversationNotFound, NothingToShare.
    """
    conversation = (
        Conversation.objects.select_for_update().filter(user_id=user_id, id=conversation_id).first()
    )
    if conversation is None:
        raise ConversationNotFound(conversation_id)
    ends = branches.ids_upwards(conversation_id=conversation_id, message_id=conversation.leaf_id, limit=2)
    standing = set(
        Message.objects.filter(id__in=ends).exclude(status=Status.RUNNING).values_list("id", flat=True)
    )
    leaf_id = next((one for one in ends if one in standing), None)
    if leaf_id is None:
        raise NothingToShare(conversation_id)
    return _info(Share.objects.create(conversation=conversation, leaf_id=leaf_id, user_id=user_id))


def page(
    *, user_id: UUID, conversation_id: UUID | None = None, cursor: str | None = None, size: int = PAGE_SIZE
) -> Page[ShareInfo]:
    """The user's links, the newest first; of one conversation or of all.

    Raises ConversationNotFound for a conversation that is not this user's, InvalidCursor.
    """
    shares = _shares(user_id)
    if conversation_id is not None:
        if not Conversation.objects.filter(user_id=user_id, id=conversation_id).exists():
            raise ConversationNotFound(conversation_id)
        shares = shares.filter(conversation_id=conversation_id)
    rows, more = keyset(shares, "created_at", cursor, size)
    next_cursor = make_cursor(rows[-1].created_at, rows[-1].id) if more else None
    return Page(tuple(map(_info, rows)), next_cursor)


@transaction.atomic
def revoke(*, user_id: UUID, share_id: UUID) -> None:
    """End the link. Raises ShareNotFound."""
    if not Share.objects.filter(user_id=user_id, id=share_id).delete()[0]:
        raise ShareNotFound(share_id)


def open_share(*, share_id: UUID, workspace_id: UUID) -> SharedInfo:
    """The shared conversation, for any member of the workspace. Raises ShareNotFound."""
    row = _live(share_id)
    owner = find_membership(user_id=row.user_id, workspace_id=workspace_id)
    if owner is None:
        raise ShareNotFound(share_id)
    return SharedInfo(row.id, row.conversation.title, owner.user.name, row.user_id, row.created_at)


def messages_page(
    *, share_id: UUID, workspace_id: UUID, cursor: str | None = None, size: int = PAGE_SIZE
) -> Page[SharedMessage]:
    """The shared messages, the last one first. Raises ShareNotFound, InvalidCursor."""
    open_share(share_id=share_id, workspace_id=workspace_id)
    row = _live(share_id)
    start: UUID | None = row.leaf_id
    messages = Message.objects.filter(conversation_id=row.conversation_id)
    if cursor:
        _, seen_id = read_cursor(cursor)
        start = messages.filter(id=seen_id).values_list("parent_id", flat=True).first()
        # Another branch's message names no place in this one.
        on_branch = start and branches.distance(
            conversation_id=row.conversation_id, leaf_id=row.leaf_id, message_id=start
        )
        start = start if on_branch is not None else None
    size = bounded(size)
    ids = branches.ids_upwards(conversation_id=row.conversation_id, message_id=start, limit=size + 1)
    found = messages.in_bulk(ids[:size])
    rows = [found[one] for one in ids[:size] if one in found]
    more = len(ids) > size
    next_cursor = make_cursor(rows[-1].created_at, rows[-1].id) if more else None
    return Page(tuple(map(_message, rows)), next_cursor)


def agents_who_spoke(*, share_id: UUID, workspace_id: UUID) -> list[Agent]:
    """The employees who have answered in the shared conversation, active or not. Raises ShareNotFound."""
    open_share(share_id=share_id, workspace_id=workspace_id)
    answered = Message.objects.filter(
        conversation_id=_live(share_id).conversation_id, agent_id=OuterRef("pk")
    )
    return list(Agent.objects.filter(Exists(answered)))


# --- inside ----------------------------------------------------------------------------------------


def _shares(user_id: UUID) -> QuerySet[Share]:
    return Share.objects.filter(user_id=user_id, conversation__deleted_at=None).select_related("conversation")


def _live(share_id: UUID) -> Share:
    row = (
        Share.objects.filter(id=share_id, conversation__deleted_at=None)
        .select_related("conversation")
        .first()
    )
    if row is None:
        raise ShareNotFound(share_id)
    return row


def _info(row: Share) -> ShareInfo:
    return ShareInfo(row.id, row.conversation_id, row.conversation.title, row.created_at)


def _message(row: Message) -> SharedMessage:
    return SharedMessage(**{name: getattr(row, name) for name in SharedMessage.__struct_fields__})
