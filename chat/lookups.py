"""What a socket asks the database. Synchronous, keyword-only; run through the tenancy door.

Ownership is part of every query: a foreign conversation is the same as none.
"""

from uuid import UUID

from msgspec import Struct

from agents import employees
from chat import records
from chat.models import Conversation, Message, MessageRole, Status
from chat.protocol import Active, AgentBrief
from chat.records import Settled


class OpenConversation(Struct, frozen=True):
    """What `ready` says of a conversation."""

    agent: AgentBrief | None
    last_message_id: UUID | None
    active: Active | None


def open_conversation(*, conversation_id: UUID, user_id: UUID) -> OpenConversation | None:
    """The conversation as its user opens it; None where this user has no such conversation."""
    records.interrupt_stale(conversation_id=conversation_id)
    conversation = Conversation.objects.filter(id=conversation_id, user_id=user_id).first()
    if conversation is None:
        return None
    agent = employees.find_active(conversation.agent_id) if conversation.agent_id else None
    agent = agent or employees.find_active(None)
    running = Message.objects.filter(conversation=conversation, status=Status.RUNNING).first()
    return OpenConversation(
        agent=AgentBrief(agent.id, agent.name) if agent else None,
        last_message_id=conversation.leaf_id,
        active=Active(running.id, running.parent_id) if running else None,
    )


def find_answer(*, conversation_id: UUID, user_id: UUID, message_id: UUID) -> Settled | None:
    """The stored answer, as it ended; None where this user has no such answer there."""
    records.interrupt_stale(conversation_id=conversation_id)
    message = Message.objects.filter(
        id=message_id,
        conversation_id=conversation_id,
        conversation__user_id=user_id,
        role=MessageRole.ASSISTANT,
    ).first()
    if message is None:
        return None
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
    )


def set_feedback(
    *, conversation_id: UUID, user_id: UUID, message_id: UUID, value: str | None, comment: str | None
) -> bool:
    """Note what the user thinks of an answer (None takes it back). False: there is no such answer."""
    answers = Message.objects.filter(
        id=message_id,
        conversation_id=conversation_id,
        conversation__user_id=user_id,
        role=MessageRole.ASSISTANT,
    )
    return bool(answers.update(feedback=value or "", feedback_comment=(comment or "") if value else ""))
