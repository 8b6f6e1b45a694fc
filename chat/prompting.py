"""From a turn that has begun to what the runner is asked."""

from django.conf import settings
from django.utils import timezone

from agents import prompts
from agents.employees import Employee, model_choice
from agents.types import PromptMessage, RunRequest
from chat.inbound import InboundMessage
from chat.records import Begun
from konstruct.tenancy.door import WorkspaceRef

# Tokens of a whole prompt, by the estimate of agents.tokens. The embedded model reads some 175 tokens a
# second on two cores, and the first token waits for all of them.
PROMPT_BUDGET = 24_000
LOCAL_PROMPT_BUDGET = 800
LOCAL_MAX_TOKENS = 512


def run_request(
    *, begun: Begun, employee: Employee, inbound: InboundMessage, workspace: WorkspaceRef, timeout: float
) -> RunRequest:
    """The request for this turn's answer. `timeout`: seconds for all of it."""
    local = settings.LOCAL_MODEL_NAME in employee.models
    messages = prompts.build(
        name=employee.name,
        title=employee.title,
        persona=employee.persona,
        system_prompt=employee.system_prompt,
        workspace=workspace.name,
        channel=inbound.channel,
        today=timezone.localdate(),
        user_name=inbound.sender.display_name,
        message=begun.text,
        window=[PromptMessage("user" if s.role == "user" else "assistant", s.text) for s in begun.window],
        budget=LOCAL_PROMPT_BUDGET if local else PROMPT_BUDGET,
    )
    return RunRequest(
        models=tuple(model_choice(name) for name in employee.models),
        messages=messages,
        temperature=employee.temperature,
        max_tokens=employee.max_tokens or (LOCAL_MAX_TOKENS if local else None),
        timeout=timeout,
    )
