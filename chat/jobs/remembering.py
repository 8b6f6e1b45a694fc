"""How the long memory is filled: after an answer, its exchange is remembered, then looked through for facts.

Two jobs, one after the other: `remember` costs an embedding, so that what was said can be recalled at once;
`distil` asks a model, which may take its time, be away, or be none of use. Each goes by the order of the
conversation, and does not wait for the other. Both read anew what is stored: a question that was answered
twice meanwhile is remembered with its newest answer, once.
"""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction

from agents.errors import AgentError, Refused, TimedOut
from agents.types import PromptMessage
from chat import embedding, ledger
from chat.jobs.exchanges import WORTH_REMEMBERING, Exchange, find_exchange
from chat.models import Message, Purpose
from konstruct.tenancy import job_keeping
from konstruct.tenancy.door import WorkspaceRef, in_workspace
from konstruct.tenancy.jobs import JobError, job
from memory import facts, store
from memory.errors import EmbedderChanged, EmbeddingError
from memory.facts import Fact, FactsUnreadable
from memory.models import Kind, Memory
from memory.values import MemoryInfo, NewFact, Vector

EMBED_SECONDS = 30.0
FACTS_SECONDS = 60.0
# Of what is known of a person so much is shown to the model, the nearest to the exchange.
KNOWN_FACTS = 25


def defer_remembering(*, workspace_id: UUID, conversation_id: UUID, reply_id: UUID) -> None:
    """Remember the exchange that this answer ends soon; part of the transaction that settles it.

    Nothing is deferred where there is nothing to remember, or its user has switched memory off.
    """
    reply = (
        Message.objects.filter(id=reply_id, conversation_id=conversation_id, status__in=WORTH_REMEMBERING)
        .exclude(text="")
        .values_list("parent_id", "agent_id", "conversation__user_id")
        .first()
    )
    if reply is None or reply[0] is None:
        return
    message_id, agent_id, user_id = reply
    if store.is_off(user_id=user_id, agent_id=agent_id, conversation_id=conversation_id):
        return
    remember.defer(
        workspace_id=workspace_id,
        lock=f"exchanges/{conversation_id}",
        queueing_lock=str(message_id),
        conversation_id=conversation_id,
        message_id=message_id,
    )


def cancel_pending(*, workspace_id: UUID, message_ids: Collection[UUID]) -> int:
    """Delete the jobs that wait to remember these messages, in the transaction that forgets them.

    One that runs at this moment finds them forgotten (memory.forgetting). Returns how many waited.
    """
    return job_keeping.cancel(workspace_id=workspace_id, argument="message_id", values=message_ids)


@job("chat.remember")
async def remember(workspace: WorkspaceRef, conversation_id: UUID, message_id: UUID) -> None:
    """Embed the exchange that began with this message, and store it; then have it looked through."""
    exchange = await in_workspace(
        workspace, find_exchange, conversation_id=conversation_id, message_id=message_id
    )
    if exchange is None:
        return
    embedder = await embedding.embedder_of(workspace)
    (vector,) = await _embed([exchange.text], embedder)
    try:
        await in_workspace(
            workspace,
            _remember,
            workspace_id=workspace.id,
            exchange=exchange,
            embedder=embedder,
            vector=vector,
        )
    except EmbedderChanged as changed:
        raise _anew(workspace, changed) from changed


@job("chat.distil")
async def distil(workspace: WorkspaceRef, conversation_id: UUID, message_id: UUID) -> None:
    """Ask a model for the lasting facts in a remembered exchange, and store those that can be believed.

    A model that declines, or twice gives what cannot be read, leaves the exchange without facts.
    """
    exchange = await in_workspace(
        workspace, _undistilled, conversation_id=conversation_id, message_id=message_id
    )
    if exchange is None:
        return
    embedder = await embedding.embedder_of(workspace)
    (vector,) = await _embed([exchange.text], embedder)
    known = await in_workspace(
        workspace,
        store.known_facts,
        user_id=exchange.user_id,
        agent_id=exchange.agent_id,
        embedder=embedder,
        vector=vector,
        limit=KNOWN_FACTS,
    )
    found = await _ask(workspace, exchange, known)
    vectors = await _embed([fact.text for fact in found], embedder)
    try:
        await in_workspace(
            workspace,
            store.remember_facts,
            message_id=message_id,
            facts=[
                NewFact(fact.text, fact.confidence, fact.supersedes, vector)
                for fact, vector in zip(found, vectors, strict=True)
            ],
            embedder=embedder,
        )
    except EmbedderChanged as changed:
        raise _anew(workspace, changed) from changed


# --- models ----------------------------------------------------------------------------------------


async def _ask(workspace: WorkspaceRef, exchange: Exchange, known: list[MemoryInfo]) -> list[Fact]:
    messages = (
        PromptMessage("system", facts.INSTRUCTIONS),
        PromptMessage("user", facts.request(said=exchange.said, answered=exchange.answered, known=known)),
    )
    for _ in range(2 if exchange.model else 0):
        try:
            answer = await ledger.complete(
                workspace,
                purpose=Purpose.FACTS,
                model=exchange.model,
                messages=messages,
                max_tokens=facts.ANSWER_TOKENS,
                timeout=FACTS_SECONDS,
                conversation_id=exchange.conversation_id,
            )
            return facts.parse(answer, said=exchange.said, known=known)
        except FactsUnreadable:
            continue
        except AgentError as error:
            if isinstance(error, Refused) or error.code == "context_too_long":
                return []
            raise _later(error) from error
    return []


async def _embed(texts: list[str], embedder: str) -> list[Vector]:
    try:
        return await embedding.embed(texts, name=embedder, timeout=EMBED_SECONDS)
    except AgentError as error:
        raise _later(error) from error
    except EmbeddingError as error:
        raise JobError(str(error), retryable=False) from error


def _later(error: AgentError) -> AgentError | JobError:
    """Another model is not asked, but this one once more, later, where it only took too long."""
    return JobError(error.sentence) if isinstance(error, TimedOut) else error


def _anew(workspace: WorkspaceRef, changed: EmbedderChanged) -> JobError:
    embedding.note_change(workspace, changed)
    return JobError("The workspace moved to another embedding model meanwhile.")


# --- inside a workspace ----------------------------------------------------------------------------


@transaction.atomic
def _remember(*, workspace_id: UUID, exchange: Exchange, embedder: str, vector: Vector) -> None:
    remembered = store.remember_exchange(
        user_id=exchange.user_id,
        agent_id=exchange.agent_id,
        conversation_id=exchange.conversation_id,
        message_id=exchange.message_id,
        text=exchange.text,
        said_at=exchange.said_at,
        embedder=embedder,
        vector=vector,
        replaces=exchange.versions,
    )
    if remembered is None:
        return
    if not exchange.model:
        store.remember_facts(message_id=exchange.message_id, facts=[], embedder=embedder)
        return
    distil.defer(
        workspace_id=workspace_id,
        lock=f"facts/{exchange.conversation_id}",
        queueing_lock=str(exchange.message_id),
        conversation_id=exchange.conversation_id,
        message_id=exchange.message_id,
    )


def _undistilled(*, conversation_id: UUID, message_id: UUID) -> Exchange | None:
    """The exchange, if it is remembered and nobody has looked for facts in it: a call that would be in
    vain is not paid for."""
    waiting = Memory.objects.filter(
        kind=Kind.EXCHANGE, message_id=message_id, distilled_at=None, superseded_at=None
    )
    if not waiting.exists():
        return None
    return find_exchange(conversation_id=conversation_id, message_id=message_id)
