"""A user's list of conversations: its pages, what is pinned, archived, deleted and restored.

Synchronous and keyword-only; atomic; runs inside a workspace. Whoever looks at a list elsewhere hears of
each change (chat.news): triggers tell it.
"""

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from chat.conversations import ConversationNotFound, checked_title, info_of
from chat.models import Conversation
from chat.paging import PAGE_SIZE, InvalidCursor, Page, bounded, keyset, make_cursor
from chat.protocol import ConversationInfo

# How long a deleted conversation can be restored; then it is purged.
RESTORABLE = timedelta(days=1)
# The parts of a list, in order; a cursor begins with the letter of the part it is in.
_LISTED, _ARCHIVED = ("p", "l"), ("a",)


def page(
    *, user_id: UUID, archived: bool = False, cursor: str | None = None, size: int = PAGE_SIZE
) -> Page[ConversationInfo]:
    """The user's conversations: the pinned ones first, then the one with the latest message first.

    archived: those in the archive instead. Raises InvalidCursor.
    """
    parts: tuple[str, ...] = _ARCHIVED if archived else _LISTED
    after: str | None = None
    if cursor:
        part, _, after = cursor.partition(".")
        if part not in parts:
            raise InvalidCursor(cursor)
        parts = parts[parts.index(part) :]
    size = bounded(size)
    found: list[Conversation] = []
    for part in parts:
        rows, more = keyset(_part(user_id, part), "updated_at", after, size - len(found))
        found += rows
        after = None
        if more:
            return Page(tuple(map(info_of, found)), _cursor(part, found[-1]))
        if len(found) == size and part != parts[-1]:
            # The next part begins the next page, if there is anything in it.
            rest = parts[parts.index(part) + 1]
            is_more = _part(user_id, rest).exists()
            return Page(tuple(map(info_of, found)), f"{rest}." if is_more else None)
    return Page(tuple(map(info_of, found)), None)


@transaction.atomic
def change(
    *,
    user_id: UUID,
    conversation_id: UUID,
    title: str | None = None,
    pinned: bool | None = None,
    archived: bool | None = None,
) -> ConversationInfo:
    """Give the conversation a title of the user's own, pin it, put it into the archive, or undo these.

    None: as it is. What is put into the archive is not pinned any more, and the other way round.
    Raises ConversationNotFound, InvalidTitle.
    """
    conversation = _find(Conversation.objects.select_for_update(), user_id, conversation_id)
    if title is not None:
        conversation.title = checked_title(title)
    if pinned is not None:
        conversation.pinned_at = (conversation.pinned_at or timezone.now()) if pinned else None
        conversation.archived_at = None if pinned else conversation.archived_at
    if archived is not None:
        conversation.archived_at = (conversation.archived_at or timezone.now()) if archived else None
        conversation.pinned_at = None if archived else conversation.pinned_at
    conversation.save(update_fields=["title", "pinned_at", "archived_at"])
    return info_of(conversation)


@transaction.atomic
def restore(*, user_id: UUID, conversation_id: UUID) -> ConversationInfo:
    """Take back that the conversation was deleted. Raises ConversationNotFound, also once it is purged."""
    deleted = Conversation.with_deleted.select_for_update().filter(deleted_at__gt=timezone.now() - RESTORABLE)
    conversation = _find(deleted, user_id, conversation_id)
    conversation.deleted_at = None
    conversation.save(update_fields=["deleted_at"])
    return info_of(conversation)


def purge_deleted() -> int:
    """Delete for good what was deleted too long ago to be restored; how many conversations that were."""
    old = Conversation.with_deleted.filter(deleted_at__lte=timezone.now() - RESTORABLE)
    purged = 0
    for conversation_id in list(old.values_list("id", flat=True)):
        with transaction.atomic():
            # Locked and looked at again: it may be restored at this moment.
            if row := old.filter(id=conversation_id).select_for_update(skip_locked=True).first():
                row.delete()
                purged += 1
    return purged


# --- inside ----------------------------------------------------------------------------------------


def _part(user_id: UUID, part: str) -> QuerySet[Conversation]:
    rows = Conversation.objects.filter(user_id=user_id)
    if part == "a":
        return rows.filter(archived_at__isnull=False)
    return rows.filter(archived_at=None, pinned_at__isnull=part == "l")


def _cursor(part: str, last: Conversation) -> str:
    return f"{part}.{make_cursor(last.updated_at, last.id)}"


def _find(rows: QuerySet[Conversation], user_id: UUID, conversation_id: UUID) -> Conversation:
    conversation = rows.filter(user_id=user_id, id=conversation_id).first()
    if conversation is None:
        raise ConversationNotFound(conversation_id)
    return conversation
