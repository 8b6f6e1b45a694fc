"""What calls of a model cost that are not answers: titles, facts, summaries."""

from decimal import Decimal
from uuid import UUID

from agents import llm
from agents.employees import model_choice
from agents.types import PromptMessage, Usage
from chat.models import ModelCall, Purpose
from konstruct.tenancy.door import WorkspaceRef, in_workspace


async def complete(
    workspace: WorkspaceRef,
    *,
    purpose: Purpose,
    model: str,
    messages: tuple[PromptMessage, ...],
    max_tokens: int,
    timeout: float,
    conversation_id: UUID,
) -> str:
    """The model's short answer as a whole; what it cost is in the ledger before anybody looks at it.

    timeout: seconds. Raises AgentError.
    """
    answer, usage = await llm.complete(model_choice(model), messages, max_tokens, timeout)
    await in_workspace(
        workspace, record, purpose=purpose, model=model, usage=usage, conversation_id=conversation_id
    )
    return answer


def record(*, purpose: Purpose, model: str, usage: Usage, conversation_id: UUID) -> None:
    """Write down a call and its cost. Run inside a workspace."""
    ModelCall.objects.create(
        purpose=purpose,
        model=model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        usage_estimated=usage.estimated,
        cost_usd=None if usage.cost_usd is None else Decimal(str(round(usage.cost_usd, 8))),
        conversation_id=conversation_id,
    )
