"""Titles of conversations: a short call of the employee's model, after the first answer."""

import logging
import re
from uuid import UUID

from django.db import transaction

from agents.employees import load
from agents.errors import AgentError
from agents.types import PromptMessage
from chat import ledger, news
from chat.models import Conversation, Message, MessageRole, Purpose
from konstruct.tenancy.door import WorkspaceRef, in_workspace
from konstruct.tenancy.jobs import job

logger = logging.getLogger(__name__)

TITLE_TOKENS = 24
TITLE_SECONDS = 30.0
MAX_TITLE = 80
_ASK_FOR_TITLE = (
    "Write a title of two to six words for a conversation that begins with the message below."
    " Answer with the title alone."
)


def defer_title(*, workspace_id: UUID, conversation_id: UUID) -> None:
    """Find a title for the conversation soon; part of the caller's transaction, and not twice."""
    find_title.defer(
        workspace_id=workspace_id, queueing_lock=str(conversation_id), conversation_id=conversation_id
    )


@job("chat.find_title", tries=3)
async def find_title(workspace: WorkspaceRef, conversation_id: UUID) -> None:
    """Ask the employee's model for a short title; a model that cannot gives way to the first words."""
    begun = await in_workspace(workspace, _untitled, conversation_id=conversation_id)
    if begun is None:
        return
    question, model = begun
    title = ""
    try:
        answer = await ledger.complete(
            workspace,
            purpose=Purpose.TITLE,
            model=model,
            messages=(PromptMessage("system", _ASK_FOR_TITLE), PromptMessage("user", question[:2000])),
            max_tokens=TITLE_TOKENS,
            timeout=TITLE_SECONDS,
            conversation_id=conversation_id,
        )
        title = tidy_title(answer)
    except AgentError as error:
        logger.info("No title from the model (%s)", error.code)
    await in_workspace(
        workspace, _set_title, conversation_id=conversation_id, title=title or first_words(question)
    )


def tidy_title(answer: str) -> str:
    """The title in a model's answer, or "" where it gave none that can be shown."""
    lines = [line.strip() for line in answer.strip().splitlines() if line.strip()]
    if not lines:
        return ""
    title = re.sub(r"^(title|título)\s*:\s*", "", lines[0].strip("#*_`\"'“”«» "), flags=re.IGNORECASE)
    title = title.strip("#*_`\"'“”«» ").rstrip(".:")
    return title if 0 < len(title) <= MAX_TITLE and len(title.split()) <= 10 else ""


def first_words(text: str) -> str:
    """The beginning of the message, cut between words."""
    line = " ".join(text.split())
    if len(line) <= 60:
        return line
    return line[:60].rsplit(" ", 1)[0] + "…"


def _untitled(*, conversation_id: UUID) -> tuple[str, str] | None:
    """The first message and the model to ask, or None where there is nothing to do."""
    conversation = Conversation.objects.filter(id=conversation_id, title="").select_related("agent").first()
    if conversation is None or conversation.agent is None:
        return None
    first = (
        Message.objects.filter(conversation=conversation, role=MessageRole.USER)
        .order_by("created_at")
        .first()
    )
    return (first.text, load(conversation.agent).models[0]) if first else None


def _set_title(*, conversation_id: UUID, title: str) -> None:
    # Only where there is none: a person's own title, given meanwhile, stays.
    with transaction.atomic():
        if Conversation.objects.filter(id=conversation_id, title="").update(title=title[:200]):
            news.title_found(conversation_id=conversation_id, title=title[:200])
