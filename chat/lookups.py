"""What a socket asks the database. Synchronous, keyword-only; run through the tenancy door.

Ownership is part of every query: a foreign conversation is the same as none.
"""

from datetime import timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now
from msgspec import Struct

from agents import employees
from chat import answers
from chat.answers import Settled
from chat.models import Conversation, Message, MessageRole, Status
from chat.protocol import Active, AgentBrief, NewMessage, Typing


class OpenConversation(Struct, frozen=True):
    """What `ready` says of a conversation."""

    id: UUID
    agent: AgentBrief | None
    last_message_id: UUID | None
    active: Active | None


def open_conversation(*, conversation_id: UUID, user_id: UUID) -> OpenConversation | None:
    """The conversation as its user opens it; None where this user has no such conversation."""
    answers.interrupt_stale(conversation_id=conversation_id)
    conversation = Conversation.objects.filter(id=conversation_id, user_id=user_id).first()
    if conversation is None:
        return None
    agent = employees.find_active(conversation.agent_id) if conversation.agent_id else None
    agent = agent or employees.find_active(None)
    running = Message.objects.filter(conversation=conversation, status=Status.RUNNING).first()
    return OpenConversation(
        id=conversation.id,
        agent=AgentBrief(agent.id, agent.name) if agent else None,
        last_message_id=conversation.leaf_id,
        active=Active(running.id, running.parent_id) if running else None,
    )


def find_answer(*, conversation_id: UUID, user_id: UUID, message_id: UUID) -> Settled | None:
    """The stored answer, as it ended or as it stands; None where this user has no such answer there."""
    answers.interrupt_stale(conversation_id=conversation_id)
    message = _answers_of(conversation_id, user_id).filter(id=message_id).first()
    return _settled(message) if message is not None else None


class Exchange(Struct, frozen=True):
    """A user's message and its answer, as those who did not ask are told of them."""

    said: NewMessage | None
    typing: Typing
    answer: Settled


def find_exchange(*, conversation_id: UUID, user_id: UUID, reply_id: UUID) -> Exchange | None:
    """The answer and what it replies to; None where this user has no such answer there."""
    reply = _answers_of(conversation_id, user_id).filter(id=reply_id).select_related("parent").first()
    if reply is None:
        return None
    said = reply.parent
    return Exchange(
        said=NewMessage(
            message_id=said.id,
            role=said.role,
            text=said.text,
            created_at=said.created_at,
            parent_id=said.parent_id,
        )
        if said
        else None,
        typing=Typing(
            conversation_id=conversation_id,
            message_id=reply.id,
            reply_to=reply.parent_id,
            agent_id=reply.agent_id,
        ),
        answer=_settled(reply),
    )


def answers_since(*, conversation_id: UUID, user_id: UUID, seconds: float) -> list[UUID] | None:
    """The answers that began in the last `seconds`, by the database's clock, oldest first.

    None: this user has no such conversation (any more).
    """
    if not Conversation.objects.filter(id=conversation_id, user_id=user_id).exists():
        return None
    since = Now() - timedelta(seconds=seconds)
    recent = _answers_of(conversation_id, user_id).filter(created_at__gt=since).order_by("created_at")
    return list(recent.values_list("id", flat=True))


def _answers_of(conversation_id: UUID, user_id: UUID) -> QuerySet[Message]:
    return Message.objects.filter(
        conversation_id=conversation_id,
        conversation__user_id=user_id,
        conversation__deleted_at=None,
        role=MessageRole.ASSISTANT,
    )


def _settled(message: Message) -> Settled:
    return Settled(
        text=message.text,
        status=message.status,
        error_code=message.error_code,
        model=message.model,
        finish_reason=message.finish_reason,
        prompt_tokens=message.prompt_tokens,
        completion_tokens=message.completion_tokens,
        usage_estimated=message.usage_estimated,
        cost_usd=float(message.cost_usd) if message.cost_usd is not None else None,
        duration_ms=message.duration_ms,
        memories=tuple(message.memories),
    )


def set_feedback(
    *, conversation_id: UUID, user_id: UUID, message_id: UUID, value: str | None, comment: str | None
) -> bool:
    """Note what the user thinks of an answer (None takes it back). False: there is no such answer."""
    answer = _answers_of(conversation_id, user_id).filter(id=message_id)
    return bool(answer.update(feedback=value or "", feedback_comment=(comment or "") if value else ""))
