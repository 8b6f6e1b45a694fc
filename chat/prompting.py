"""From a turn that has begun, and what it is given beside the message, to what the runner is asked."""

from uuid import UUID

from django.conf import settings
from django.utils import timezone
from msgspec import Struct

from agents import prompts
from agents.employees import Employee, model_choice
from agents.prompts import Snippet
from agents.types import PromptMessage, RunRequest
from chat.inbound import InboundMessage
from chat.records import Begun
from konstruct.tenancy.door import WorkspaceRef
from memory.models import Kind
from memory.values import Recalled
from memory.window import Window

# Tokens of a whole prompt, by the estimate of agents.tokens. The embedded model reads some 175 tokens a
# second on two cores, and the first token waits for all of them.
PROMPT_BUDGET = 24_000
LOCAL_PROMPT_BUDGET = 800
LOCAL_MAX_TOKENS = 512
# Of these, what was said in the conversation. The rest is for the employee's own texts, a summary, what is
# recalled, and the message.
WINDOW_BUDGET = 12_000
LOCAL_WINDOW_BUDGET = 400
# Of a memory, in characters; an exchange begins with what the person said.
LOCAL_SNIPPET_CHARS = 320


class Given(Struct, frozen=True):
    """What a turn is given beside its message.

    recall_ms: how long the recall took, or was waited for. recall_late: it came too late, or failed, so
    that the answer does without.
    """

    window: Window
    memories: tuple[Recalled, ...] = ()
    recall_ms: int | None = None
    recall_late: bool = False


class Prompted(Struct, frozen=True):
    """What the runner is asked, the memories that its prompt really holds, and what recalling took."""

    request: RunRequest
    memories: tuple[UUID, ...]
    recall_ms: int | None
    recall_late: bool


def is_local(employee: Employee) -> bool:
    """Whether the embedded model may have to answer for this employee."""
    return settings.LOCAL_MODEL_NAME in employee.models


def window_budget(employee: Employee) -> int:
    """Tokens of the conversation that this employee is shown at most."""
    return LOCAL_WINDOW_BUDGET if is_local(employee) else WINDOW_BUDGET


def run_request(
    *,
    begun: Begun,
    given: Given,
    employee: Employee,
    inbound: InboundMessage,
    workspace: WorkspaceRef,
    timeout: float,
) -> Prompted:
    """The request for this turn's answer. `timeout`: seconds for all of it."""
    local = is_local(employee)
    prompt = prompts.build(
        name=employee.name,
        title=employee.title,
        persona=employee.persona,
        system_prompt=employee.system_prompt,
        workspace=workspace.name,
        channel=inbound.channel,
        today=timezone.localdate(),
        user_name=inbound.sender.display_name,
        message=begun.text,
        window=[PromptMessage(line.role, line.text) for line in given.window.lines(window_budget(employee))],
        summary=given.window.summary,
        snippets=[_snippet(one, inbound.thread_id, local=local) for one in given.memories],
        snippets_last=local,
        budget=LOCAL_PROMPT_BUDGET if local else PROMPT_BUDGET,
    )
    request = RunRequest(
        models=tuple(model_choice(name) for name in employee.models),
        messages=prompt.messages,
        temperature=employee.temperature,
        max_tokens=employee.max_tokens or (LOCAL_MAX_TOKENS if local else None),
        timeout=timeout,
    )
    held = tuple(snippet.id for snippet in prompt.snippets if snippet.id is not None)
    return Prompted(request, held, given.recall_ms, given.recall_late)


def _snippet(memory: Recalled, conversation_id: UUID, *, local: bool) -> Snippet:
    text = memory.text
    if local and len(text) > LOCAL_SNIPPET_CHARS:
        text = text[:LOCAL_SNIPPET_CHARS].rsplit(maxsplit=1)[0] + " …"
    said_on = timezone.localtime(memory.said_at).date()
    return Snippet(text, said_on, _source(memory, conversation_id), memory.id)


def _source(memory: Recalled, conversation_id: UUID) -> str:
    """Where it comes from, for the model to mention."""
    if memory.shared:
        return "the company's notes"
    if memory.kind == Kind.NOTE:
        return "a note"
    this_one = memory.conversation_id == conversation_id
    return "earlier in this conversation" if this_one else "an earlier conversation"
