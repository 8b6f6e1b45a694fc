"""Reading and hiring employees. Synchronous; run inside a workspace."""

from datetime import datetime
from uuid import UUID

import msgspec
from django.conf import settings

from agents.models import Agent
from agents.types import ModelChoice

NO_EMPLOYEE = "No active AI employee is configured for this workspace."


class Employee(msgspec.Struct, frozen=True):
    """An employee as the runner needs it: plain values, safe to carry across threads."""

    id: UUID
    name: str
    title: str
    persona: str
    system_prompt: str
    models: tuple[str, ...]
    temperature: float | None
    max_tokens: int | None
    sees_shared: bool
    updated_at: datetime


def load(agent: Agent) -> Employee:
    return Employee(
        id=agent.id,
        name=agent.name,
        title=agent.title,
        persona=agent.persona,
        system_prompt=agent.system_prompt,
        models=(agent.model or settings.KONSTRUCT_MODEL, *agent.fallback_models),
        temperature=agent.temperature,
        max_tokens=agent.max_tokens,
        sees_shared=agent.sees_shared,
        updated_at=agent.updated_at,
    )


def active() -> list[Agent]:
    """The workspace's active employees, the default one first."""
    return list(Agent.objects.filter(is_active=True))


def find_active(agent_id: UUID | None) -> Agent | None:
    """The active employee of that id, or, without an id, the workspace's default. None: no such one."""
    employees = Agent.objects.filter(is_active=True)
    return employees.filter(id=agent_id).first() if agent_id else employees.first()


def hire_default() -> Agent:
    """The employee a new workspace begins with."""
    return Agent.objects.create(
        name="Kim",
        title="Assistant",
        persona="Friendly, brief and honest about what it does not know.",
        system_prompt="Help the people of this company with whatever they ask.",
        greeting="Hello, I am Kim. What can I do for you?",
        starters=["What can you help me with?"],
    )


def model_choice(name: str) -> ModelChoice:
    """Where and with which key a model of this name is asked.

    KONSTRUCT_API_BASE and _API_KEY belong to the default model's provider, so they are not sent to
    another one; litellm finds other providers' own keys in the environment.
    """
    if name == settings.LOCAL_MODEL_NAME or _provider(name) == _provider(settings.KONSTRUCT_MODEL):
        return ModelChoice(
            name=name,
            api_base=settings.KONSTRUCT_API_BASE or None,
            api_key=settings.KONSTRUCT_API_KEY or None,
        )
    return ModelChoice(name=name)


def _provider(name: str) -> str:
    provider, slash, _ = name.partition("/")
    return provider if slash else "openai"
