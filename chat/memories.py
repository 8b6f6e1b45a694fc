"""Memories together with what only this room knows of them: employees, conversations, jobs.

Synchronous, keyword-only, atomic; run inside a workspace. What is forgotten takes along the jobs that
still wait to remember or distil it, in one transaction; those that run already find the tombstone
(memory.forgetting).
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from msgspec import Struct

from agents.models import Agent
from chat.jobs.remembering import cancel_pending
from chat.jobs.vectors import defer_vector
from chat.models import Conversation, Message
from konstruct.tenancy import job_keeping
from memory import authoring, store
from memory.values import MemoryInfo


class Sources(Struct, frozen=True):
    """What memories are shown with, by id: employees' names; titles of the user's conversations that
    still exist."""

    employees: dict[UUID, str]
    conversations: dict[UUID, str]


def sources(*, user_id: UUID, memories: Iterable[MemoryInfo]) -> Sources:
    """Of the memories and of what they have taken the place of."""
    memories = list(memories)
    places = {one.conversation_id for one in memories if one.conversation_id}
    places |= {one.conversation_id for known in memories for one in known.history if one.conversation_id}
    titles = Conversation.objects.filter(user_id=user_id, id__in=places)
    names = Agent.objects.filter(id__in={one.agent_id for one in memories if one.agent_id})
    return Sources(dict(names.values_list("id", "name")), dict(titles.values_list("id", "title")))


@transaction.atomic
def forget(*, workspace_id: UUID, user_id: UUID | None, memory_id: UUID) -> None:
    """Forget one memory of the user's, or, without a user, a note of the workspace's own, which the caller
    has checked that this person may look after. Raises MemoryNotFound."""
    message_ids = store.forget(user_id=user_id, memory_id=memory_id)
    cancel_pending(workspace_id=workspace_id, message_ids=message_ids)
    job_keeping.cancel(workspace_id=workspace_id, argument="memory_id", values=[memory_id])


@transaction.atomic
def forget_all(*, workspace_id: UUID, user_id: UUID, agent_id: UUID | None = None) -> None:
    """Forget all of the user, or all that one employee knows of the user."""
    messages = Message.objects.filter(conversation__user_id=user_id)
    if agent_id is not None:
        messages = messages.filter(Q(agent_id=agent_id) | Q(children__agent_id=agent_id))
    message_ids = store.forget_all(user_id=user_id, agent_id=agent_id)
    cancel_pending(workspace_id=workspace_id, message_ids=[*message_ids, *_recent(messages)])


@transaction.atomic
def forget_conversation(*, workspace_id: UUID, user_id: UUID, conversation_id: UUID) -> None:
    """Forget what is known from one conversation of the user's, which need not exist any more."""
    messages = Message.objects.filter(conversation__user_id=user_id, conversation_id=conversation_id)
    message_ids = store.forget_conversation(user_id=user_id, conversation_id=conversation_id)
    cancel_pending(workspace_id=workspace_id, message_ids=[*message_ids, *_recent(messages)])


def employee_deleted(instance: Agent, **kwargs: Any) -> None:
    """Receiver of Django's `post_delete`: nobody can recall or forget what a deleted employee knew."""
    store.employee_removed(agent_id=instance.id)


def embed_later(workspace_id: UUID) -> authoring.Later:
    """For `memory.authoring`: have a memory's vector made by a job."""
    return lambda memory_id: defer_vector(workspace_id=workspace_id, memory_id=memory_id)


# --- inside ----------------------------------------------------------------------------------------


def _recent(messages: QuerySet[Message]) -> list[UUID]:
    """Of these messages, those that a job may still be about."""
    since = timezone.now() - timedelta(days=job_keeping.FAILURES_KEPT)
    return list(messages.filter(created_at__gte=since).values_list("id", flat=True))
