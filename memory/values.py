"""The values that go into and come out of this room."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct

# A point of `memory.models.DIMENSIONS` coordinates, of length 1 (`memory.embedder.fit` makes it so).
Vector = Sequence[float]

# Characters.
MAX_EXCHANGE = 8000
MAX_FACT = 300
MAX_NOTE = 2000


class PolicyInfo(Struct, frozen=True):
    """The workspace's rules. `embedder`: with which texts are embedded; `managers_may_read`: whether
    owners and admins see the text of memories."""

    embedder: str
    managers_may_read: bool


class Earlier(Struct, frozen=True):
    """What a memory has taken the place of, and when."""

    id: UUID
    kind: str
    text: str
    conversation_id: UUID | None
    said_at: datetime
    superseded_at: datetime


class MemoryInfo(Struct, frozen=True):
    """A memory as its user sees it.

    confidence: 0 to 1, of facts. said_at, confirmed_at: when it was said first and last, times_said: in
    how many messages. superseded_at: set for history. history: what it has taken the place of, the latest
    first; filled by `memory.pages` only.
    """

    id: UUID
    user_id: UUID | None
    agent_id: UUID | None
    kind: str
    text: str
    confidence: float | None
    conversation_id: UUID | None
    message_id: UUID | None
    said_at: datetime
    confirmed_at: datetime
    times_said: int
    edited_at: datetime | None
    superseded_at: datetime | None
    history: tuple[Earlier, ...] = ()


class NewFact(Struct, frozen=True):
    """A fact found in an exchange. supersedes: the known fact it contradicts, which becomes history."""

    text: str
    confidence: float
    supersedes: UUID | None
    vector: Vector


class Recalled(Struct, frozen=True):
    """A memory that bears on a question. score: higher is better, comparable within one recall only.
    shared: the workspace's own rather than the user's."""

    id: UUID
    text: str
    kind: str
    said_at: datetime
    conversation_id: UUID | None
    score: float
    shared: bool
