"""Exchanges as the long memory has them: a question and its newest answer, masked and cut. Synchronous;
run inside a workspace.
"""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from msgspec import Struct

from agents.employees import load
from chat.models import Conversation, Message, MessageRole, Status
from konstruct.tenancy.models import User
from memory.hygiene import masked

# Answers whose end the person wanted. What failed or broke off is no exchange.
WORTH_REMEMBERING = (Status.COMPLETE, Status.STOPPED)
# Characters, after masking; together with the names below memory.values.MAX_EXCHANGE.
SAID_CHARS = 3_000
ANSWERED_CHARS = 4_500


class Exchange(Struct, frozen=True):
    """A question and its newest answer, as they are remembered. `said`, `answered`: masked and cut.

    versions: the messages that are other versions of the question. model: who looks for facts, "" for nobody.
    """

    user_id: UUID
    agent_id: UUID | None
    conversation_id: UUID
    message_id: UUID
    said_at: datetime
    person: str
    said: str
    employee: str
    answered: str
    versions: tuple[UUID, ...]
    model: str

    @property
    def text(self) -> str:
        return f"{self.person}: {self.said}\n{self.employee}: {self.answered}"


def find_exchange(*, conversation_id: UUID, message_id: UUID) -> Exchange | None:
    """The exchange that began with this message, or None where there is none (any more)."""
    question = Message.objects.filter(
        id=message_id, conversation_id=conversation_id, role=MessageRole.USER
    ).first()
    conversation = Conversation.objects.filter(id=conversation_id).first()
    if question is None or conversation is None:
        return None
    reply = (
        Message.objects.filter(parent_id=message_id, status__in=WORTH_REMEMBERING)
        .exclude(text="")
        .select_related("agent")
        .order_by("-created_at", "-id")
        .first()
    )
    person = User.objects.filter(id=conversation.user_id).first()
    if reply is None or person is None:
        return None
    versions = Message.objects.filter(
        conversation_id=conversation_id, parent_id=question.parent_id, role=MessageRole.USER
    ).exclude(id=message_id)
    model = settings.KONSTRUCT_MEMORY_MODEL or (load(reply.agent).models[0] if reply.agent else "")
    return Exchange(
        user_id=conversation.user_id,
        agent_id=reply.agent_id,
        conversation_id=conversation_id,
        message_id=message_id,
        said_at=question.created_at,
        person=person.name,
        said=_cut(masked(question.text), SAID_CHARS),
        employee=reply.agent.name if reply.agent else "Konstruct",
        answered=_cut(masked(reply.text), ANSWERED_CHARS),
        versions=tuple(versions.values_list("id", flat=True)),
        # The embedded one is too weak: it would make facts up.
        model="" if model == settings.LOCAL_MODEL_NAME else model,
    )


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
