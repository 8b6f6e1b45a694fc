"""What happens later: jobs in the same PostgreSQL, deferred with what causes them (design decision 6).

A job's arguments name the workspace; inside, tenant data is reached through the tenancy door. A job
of a workspace that is suspended or gone does nothing.
"""

import logging
import re
from uuid import UUID

from django.db import transaction
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from agents import llm
from agents.employees import load, model_choice
from agents.errors import AgentError
from agents.types import PromptMessage
from chat import answers, news
from chat.models import Conversation, Message, MessageRole
from konstruct.tenancy.door import in_shared, in_workspace
from konstruct.tenancy.workspaces import active_workspaces, find_active_workspace

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
    job = find_title.configure(queueing_lock=f"title-{conversation_id}")
    try:
        with transaction.atomic():
            job.defer(workspace_id=str(workspace_id), conversation_id=str(conversation_id))
    except AlreadyEnqueued:
        return


@app.task(name="chat.find_title", retry=RetryStrategy(max_attempts=3, exponential_wait=5))
async def find_title(workspace_id: str, conversation_id: str) -> None:
    """Ask the employee's model for a short title; a model that cannot gives way to the first words."""
    workspace = await in_shared(find_active_workspace, workspace_id=UUID(workspace_id))
    if workspace is None:
        return
    begun = await in_workspace(workspace, _untitled, conversation_id=UUID(conversation_id))
    if begun is None:
        return
    question, model = begun
    title = ""
    try:
        answer, _ = await llm.complete(
            model_choice(model),
            (PromptMessage("system", _ASK_FOR_TITLE), PromptMessage("user", question[:2000])),
            TITLE_TOKENS,
            TITLE_SECONDS,
        )
        title = tidy_title(answer)
    except AgentError as error:
        logger.info("No title from the model (%s)", error.code)
    await in_workspace(
        workspace,
        _set_title,
        conversation_id=UUID(conversation_id),
        title=title or first_words(question),
    )


@app.periodic(cron="* * * * *")
@app.task(name="chat.sweep", queueing_lock="chat.sweep", pass_context=False)
async def sweep(timestamp: int) -> None:
    """Each minute: end the answers whose process has died, in every workspace."""
    for workspace in await in_shared(active_workspaces):
        for message_id in await in_workspace(workspace, answers.interrupt_stale):
            logger.warning("Answer %s of %s was left by a process that died", message_id, workspace.slug)


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
