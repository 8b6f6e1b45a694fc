"""Memory switched off by its user, for an employee or a conversation. Synchronous, keyword-only, atomic."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from msgspec import Struct

from memory.locks import hold_user
from memory.models import Forgotten, MemoryOff


class Offs(Struct, frozen=True):
    """With which employees, and in which conversations, nothing is remembered or recalled."""

    agent_ids: frozenset[UUID]
    conversation_ids: frozenset[UUID]


@transaction.atomic
def set_off(
    *, user_id: UUID, agent_id: UUID | None = None, conversation_id: UUID | None = None, off: bool
) -> None:
    """Switch the user's memory off, or on again, with one employee or in one conversation.

    What is remembered stays. What is said meanwhile is not remembered later either, by whichever job.
    Raises ValueError unless one of the two is given.
    """
    if (agent_id is None) == (conversation_id is None):
        raise ValueError("Memory is switched off for an employee or for a conversation.")
    hold_user(user_id)
    what: dict[str, Any] = {"user_id": user_id, "agent_id": agent_id, "conversation_id": conversation_id}
    if off:
        MemoryOff.objects.get_or_create(**what)
        return
    row = MemoryOff.objects.filter(**what).first()
    if row is not None:
        Forgotten.objects.create(**what, since=row.created_at)
        row.delete()


def offs(*, user_id: UUID) -> Offs:
    """All that the user has switched off."""
    rows = list(MemoryOff.objects.filter(user_id=user_id).values_list("agent_id", "conversation_id"))
    return Offs(
        frozenset(agent_id for agent_id, _ in rows if agent_id),
        frozenset(conversation_id for _, conversation_id in rows if conversation_id),
    )


def is_off(*, user_id: UUID, agent_id: UUID | None, conversation_id: UUID | None) -> bool:
    """Whether nothing is to be remembered or recalled there."""
    where = Q(agent_id=agent_id, agent_id__isnull=False)
    where |= Q(conversation_id=conversation_id, conversation_id__isnull=False)
    return MemoryOff.objects.filter(where, user_id=user_id).exists()
