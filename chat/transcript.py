"""A conversation as it is read back: a page of messages, oldest first, on the branch in use or beside it."""

from uuid import UUID

import msgspec
from django.db.models import Q

from chat.models import Conversation, Message

PAGE = 200


class Line(msgspec.Struct, frozen=True):
    """A message and whether it is on the branch in use. One beside it was edited away or written anew."""

    message: Message
    in_use: bool


class Transcript(msgspec.Struct, frozen=True):
    """lines: oldest first. older: the id to ask for as `before` to get what comes before, if anything."""

    lines: list[Line]
    older: UUID | None


def read(conversation: Conversation, *, before: UUID | None = None, size: int = PAGE) -> Transcript:
    """The newest `size` messages, or the newest of those older than the message `before`.

    Raises Message.DoesNotExist where `before` is not a message of the conversation.
    """
    messages = Message.objects.filter(conversation=conversation)
    if before is not None:
        mark = messages.only("created_at").get(id=before)
        messages = messages.filter(
            Q(created_at__lt=mark.created_at) | Q(created_at=mark.created_at, id__lt=mark.id)
        )
    newest_first = list(messages.select_related("agent").order_by("-created_at", "-id")[: size + 1])
    page, more = newest_first[:size], len(newest_first) > size
    branch = _branch(conversation)
    return Transcript(
        lines=[Line(message, branch is None or message.id in branch) for message in reversed(page)],
        older=page[-1].id if more else None,
    )


def _branch(conversation: Conversation) -> set[UUID] | None:
    """The ids of all messages from the conversation's leaf to its root; None where no leaf is set."""
    if conversation.leaf_id is None:
        return None
    parents = dict(Message.objects.filter(conversation=conversation).values_list("id", "parent_id"))
    branch: set[UUID] = set()
    at: UUID | None = conversation.leaf_id
    # `not in branch`: a circle of parents, which only plain SQL could make, must not hang the page.
    while at is not None and at not in branch:
        branch.add(at)
        at = parents.get(at)
    return branch
