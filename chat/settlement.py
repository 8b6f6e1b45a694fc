"""How an answer ends: what is stored of it, and what its followers are told."""

import asyncio
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction

from agents.employees import NO_EMPLOYEE
from agents.errors import SENTENCES
from agents.llm import estimate_usage
from agents.types import RunRequest, Usage
from chat import answers
from chat.answers import Settled
from chat.generation import Generation
from chat.jobs import folding, remembering, titles
from chat.prompting import Prompted
from chat.protocol import Code, Done, UsageReport
from konstruct.tenancy.door import WorkspaceRef, in_workspace

MaybeUsage = Usage | None
DATABASE_AWAY = (OperationalError, InterfaceError)
# How long a finished answer waits for a database that is away (seconds).
PATIENCE = 30.0

# What a person is told of a failed answer, now and whenever it is looked at again.
_SENTENCES = SENTENCES | {
    Code.MODEL_TIMEOUT: "Agent did not respond in time. Please try again.",
    Code.NO_AGENT: NO_EMPLOYEE,
}


def sentence(code: str) -> str:
    """The sentence for an error code of an answer."""
    return _SENTENCES.get(code, SENTENCES["internal"])


def settled(
    generation: Generation, *, status: str, code: str, usage: MaybeUsage, prompted: Prompted | None
) -> Settled:
    """The generation's text and figures under the given status, with what its prompt held."""
    finished = generation.finished
    return Settled(
        text=generation.answer.text,
        status=status,
        error_code=code,
        model=finished.model if finished else "",
        finish_reason=(finished.finish_reason or "")[:40] if finished else "",
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
        usage_estimated=bool(usage and usage.estimated),
        cost_usd=usage.cost_usd if usage else None,
        first_token_ms=generation.first_token_ms,
        duration_ms=generation.duration_ms,
        memories=prompted.memories if prompted else (),
        recall_ms=prompted.recall_ms if prompted else None,
        recall_late=prompted.recall_late if prompted else False,
    )


def estimate(request: RunRequest, text: str) -> Usage:
    """What an answer that was cut short has cost: counted here, since no provider will say it now."""
    return estimate_usage(request.models[0].name, request.messages, text)


def settle_and_defer(
    *,
    conversation_id: UUID,
    reply_id: UUID,
    settled: Settled,
    workspace_id: UUID,
    fold_for: UUID | None = None,
) -> None:
    """Settle the answer and, in the same transaction, defer what must happen later.

    fold_for: the employee whose window the conversation has outgrown, if it has.
    """
    with transaction.atomic():
        wants_title = answers.settle(conversation_id=conversation_id, reply_id=reply_id, settled=settled)
        if wants_title:
            titles.defer_title(workspace_id=workspace_id, conversation_id=conversation_id)
        remembering.defer_remembering(
            workspace_id=workspace_id, conversation_id=conversation_id, reply_id=reply_id
        )
        if fold_for is not None:
            folding.defer_fold(workspace_id=workspace_id, conversation_id=conversation_id, agent_id=fold_for)


async def store(
    workspace: WorkspaceRef,
    conversation_id: UUID,
    reply_id: UUID,
    settled: Settled,
    *,
    fold_for: UUID | None = None,
) -> None:
    """Store how the answer ended, waiting up to PATIENCE for a database that is away, then raise."""
    loop = asyncio.get_running_loop()
    deadline, delay = loop.time() + PATIENCE, 0.1
    while True:
        try:
            return await in_workspace(
                workspace,
                settle_and_defer,
                conversation_id=conversation_id,
                reply_id=reply_id,
                settled=settled,
                workspace_id=workspace.id,
                fold_for=fold_for,
            )
        except DATABASE_AWAY:
            if loop.time() + delay > deadline:
                raise
            await asyncio.sleep(delay)
            delay = min(delay * 2, 2.0)


def done_frame(conversation_id: UUID, reply_id: UUID, settled: Settled) -> Done:
    """The terminal frame for this end."""
    usage = None
    if settled.prompt_tokens is not None and settled.completion_tokens is not None:
        usage = UsageReport(
            prompt_tokens=settled.prompt_tokens,
            completion_tokens=settled.completion_tokens,
            cost_usd=settled.cost_usd,
            estimated=settled.usage_estimated,
        )
    return Done(
        text=settled.text,
        conversation_id=conversation_id,
        message_id=reply_id,
        status=settled.status,
        usage=usage,
        finish_reason=settled.finish_reason or None,
        model=settled.model or None,
        duration_ms=settled.duration_ms,
        memories=settled.memories,
    )
