"""Who remembers whom in these tests, and short ways to say so."""

import itertools
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django_tenants.utils import tenant_context

from konstruct.tenancy.door import WorkspaceRef
from memory import store
from memory.embedder import LOCAL, embed_local
from memory.models import Memory
from memory.recall import recall
from memory.values import NewFact, Recalled

MORNING = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
_minutes = itertools.count()


def vector(text: str) -> list[float]:
    return embed_local([text])[0]


class Person:
    """A user with one employee, in the workspace that the test is in."""

    def __init__(self, user_id: UUID | None = None, agent_id: UUID | None = None) -> None:
        self.user_id = user_id or uuid.uuid4()
        self.agent_id = agent_id or uuid.uuid4()
        self.conversation_id = uuid.uuid4()

    def said(self, text: str, **changes: Any) -> UUID | None:
        """Remember an exchange; each is a minute after the last one."""
        arguments: dict[str, Any] = {
            "user_id": self.user_id,
            "agent_id": self.agent_id,
            "conversation_id": self.conversation_id,
            "message_id": uuid.uuid4(),
            "text": text,
            "said_at": MORNING + timedelta(minutes=next(_minutes)),
            "embedder": LOCAL,
            "vector": vector(text),
        }
        return store.remember_exchange(**arguments | changes)

    def told(self, *facts: str, message_id: UUID | None = None, **changes: Any) -> list[UUID]:
        """Remember an exchange and facts of it."""
        message_id = message_id or uuid.uuid4()
        self.said(". ".join(facts), message_id=message_id, **changes)
        return self.distil(message_id, *facts)

    def distil(
        self, message_id: UUID, *facts: str, supersedes: UUID | None = None, confidence: float = 0.9
    ) -> list[UUID]:
        found = [NewFact(fact, confidence, supersedes, vector(fact)) for fact in facts]
        return store.remember_facts(message_id=message_id, facts=found, embedder=LOCAL)

    def recalls(self, query: str, **changes: Any) -> list[Recalled]:
        arguments: dict[str, Any] = {
            "user_id": self.user_id,
            "agent_id": self.agent_id,
            "conversation_id": uuid.uuid4(),
            "query": query,
            "query_vector": vector(query) if query.strip() else None,
            "embedder": LOCAL,
            "sees_shared": True,
            "limit": 8,
            "budget_tokens": 2000,
            "now": MORNING + timedelta(days=1),
        }
        return recall(**arguments | changes)

    def recalled_texts(self, query: str, **changes: Any) -> list[str]:
        return [memory.text for memory in self.recalls(query, **changes)]

    def texts(self, kind: str = "") -> list[str]:
        """What the user's page shows, newest first."""
        return [item.text for item in store.page(user_id=self.user_id, kind=kind, size=100).items]


def message_of(memory_id: UUID | None) -> UUID:
    message_id = Memory.objects.get(id=memory_id).message_id
    assert message_id is not None
    return message_id


def ids(memories: Sequence[Any]) -> set[UUID]:
    return {memory.id for memory in memories}


@pytest.fixture
def inside(acme: WorkspaceRef) -> Iterator[WorkspaceRef]:
    """The test runs inside the workspace Acme."""
    with tenant_context(acme):
        yield acme


@pytest.fixture
def ana(inside: WorkspaceRef) -> Person:
    return Person()
