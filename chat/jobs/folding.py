"""Summaries: what falls out of a conversation's window is folded into a running one, so that the employee
still knows how a long conversation began. The chat waits for none of it.
"""

from collections.abc import Sequence
from uuid import UUID

from django.conf import settings
from django.db import transaction
from msgspec import Struct

from agents import summarising
from agents.employees import Employee, load
from agents.models import Agent
from agents.types import PromptMessage
from chat import branch, ledger
from chat.models import Conversation, Purpose
from chat.prompting import is_local, window_budget
from konstruct.tenancy.door import WorkspaceRef, in_workspace
from konstruct.tenancy.jobs import job
from memory import summaries
from memory.window import BYTES_A_TOKEN, TOKENS_A_MESSAGE, Said

# Of one call: what it reads at most (tokens), of one message (characters), and what it may write.
STEP_TOKENS = 8_000
MESSAGE_CHARS = 6_000
SUMMARY_WORDS = 350
SUMMARY_TOKENS = 900
SUMMARY_SECONDS = 60.0
# Of a summary without a model (characters): the embedded model reads slowly.
EXTRACT_CHARS = 400


class _Fold(Struct, frozen=True):
    """What is to be folded next: `said` into `previous`, up to the message `upto_id`. model: "" for none."""

    previous: str
    said: tuple[Said, ...]
    upto_id: UUID
    model: str


def defer_fold(*, workspace_id: UUID, conversation_id: UUID, agent_id: UUID) -> None:
    """Fold what this employee's window has no room for soon; part of the caller's transaction."""
    conversation = str(conversation_id)
    fold.defer(
        workspace_id=workspace_id,
        lock=f"fold/{conversation}",
        queueing_lock=conversation,
        conversation_id=conversation_id,
        agent_id=agent_id,
    )


@job("chat.fold")
async def fold(workspace: WorkspaceRef, conversation_id: UUID, agent_id: UUID) -> None:
    """Fold in steps until the rest has room. Each step is kept, so that a failure repeats only its own."""
    asked: dict[str, UUID] = {"conversation_id": conversation_id, "agent_id": agent_id}
    while (next_one := await in_workspace(workspace, _next, **asked)) is not None:
        text = await _summarise(workspace, conversation_id, next_one)
        kept = await in_workspace(
            workspace,
            _keep,
            conversation_id=conversation_id,
            upto_id=next_one.upto_id,
            text=text,
        )
        if not kept:
            return


async def _summarise(workspace: WorkspaceRef, conversation_id: UUID, what: _Fold) -> str:
    if not what.model:
        return summaries.extract(previous=what.previous, said=what.said, limit=EXTRACT_CHARS)
    said = [PromptMessage(one.role, _cut(one.text)) for one in what.said if one.text]
    if not said:
        return what.previous
    answer = await ledger.complete(
        workspace,
        purpose=Purpose.SUMMARY,
        model=what.model,
        messages=summarising.build(previous=what.previous, said=said, words=SUMMARY_WORDS),
        max_tokens=SUMMARY_TOKENS,
        timeout=SUMMARY_SECONDS,
        conversation_id=conversation_id,
    )
    # A model that says nothing has not summarised: how the messages begin is better than nothing.
    return answer.strip() or summaries.extract(
        previous=what.previous, said=what.said, limit=summaries.MAX_CHARS
    )


# --- inside ----------------------------------------------------------------------------------------


def _next(*, conversation_id: UUID, agent_id: UUID) -> _Fold | None:
    """The oldest part of what the branch in use has too much of; None where it has room."""
    conversation = Conversation.objects.filter(id=conversation_id).first()
    agent = Agent.objects.filter(id=agent_id).first()
    if conversation is None or conversation.leaf_id is None or agent is None:
        return None
    employee = load(agent)
    todo = branch.unfolded(conversation.leaf_id)
    exchanges = _exchanges(todo.steps)
    sizes = [
        sum(-(-one.bytes // BYTES_A_TOKEN) + TOKENS_A_MESSAGE for one in exchange) for exchange in exchanges
    ]
    count = summaries.overflow(sizes, window_budget(employee))
    if not count:
        return None
    taken, tokens = 0, 0
    while taken < count and (not taken or tokens + sizes[taken] <= STEP_TOKENS):
        tokens += sizes[taken]
        taken += 1
    steps = [step for exchange in exchanges[:taken] for step in exchange]
    return _Fold(
        previous=todo.summary,
        said=tuple(branch.texts([step.id for step in steps])),
        upto_id=steps[-1].id,
        model=_model(employee),
    )


def _exchanges(steps: Sequence[branch.Step]) -> list[list[branch.Step]]:
    """Questions, each with what was answered."""
    found: list[list[branch.Step]] = []
    for step in steps:
        if step.role == "user" or not found:
            found.append([])
        found[-1].append(step)
    return found


def _model(employee: Employee) -> str:
    """Who summarises; "" where nobody can: the embedded model is too weak, and too slow."""
    if settings.KONSTRUCT_MEMORY_MODEL:
        return str(settings.KONSTRUCT_MEMORY_MODEL)
    return "" if is_local(employee) else employee.models[0]


@transaction.atomic
def _keep(*, conversation_id: UUID, upto_id: UUID, text: str) -> bool:
    # Locked, so that a conversation deleted meanwhile leaves no summary behind.
    if not Conversation.objects.select_for_update().filter(id=conversation_id).exists():
        return False
    return summaries.keep(conversation_id=conversation_id, upto_id=upto_id, text=text)


def _cut(text: str) -> str:
    """A very long message's beginning and end."""
    if len(text) <= MESSAGE_CHARS:
        return text
    return f"{text[: MESSAGE_CHARS * 2 // 3]}\n…\n{text[-MESSAGE_CHARS // 3 :]}"
