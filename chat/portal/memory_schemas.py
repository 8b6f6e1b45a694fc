"""The JSON of the memory API, in and out, and how it is made of what the rooms know."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from ninja import Schema
from pydantic import Field, model_validator

from chat import memories
from chat.portal.schemas import Input
from memory import store
from memory.values import Earlier, MemoryInfo

Kind = Literal["exchange", "fact", "note"]


class EmployeeOut(Schema):
    id: UUID
    name: str


class PlaceOut(Schema):
    """A conversation that a memory comes from."""

    id: UUID
    title: str


class EarlierOut(Schema):
    """What a memory has taken the place of, and when."""

    id: UUID
    kind: Kind
    text: str
    conversation: PlaceOut | None
    said_at: datetime
    superseded_at: datetime


class MemoryOut(Schema):
    """A memory. `shared`: the workspace's own note. `employee`: null for a note that is for all of them.

    `conversation`: where it was said first; null for a note, and once it is deleted. `superseded_at`: it is
    history, another has taken its place. `history`: what it has taken the place of, the latest first.
    """

    id: UUID
    shared: bool
    kind: Kind
    text: str
    confidence: float | None
    employee: EmployeeOut | None
    conversation: PlaceOut | None
    said_at: datetime
    confirmed_at: datetime
    times_said: int
    edited_at: datetime | None
    superseded_at: datetime | None
    history: list[EarlierOut]


class MemoryPage(Schema):
    items: list[MemoryOut]
    next_cursor: str | None


class MemoryList(Schema):
    items: list[MemoryOut]


class CountOut(Schema):
    """How much an employee knows of the caller."""

    agent_id: UUID | None
    facts: int
    exchanges: int
    notes: int


class CountsOut(Schema):
    items: list[CountOut]
    total: int


class TotalOut(Schema):
    total: int


class OffsOut(Schema):
    """With which employees, and in which conversations, nothing is remembered or recalled."""

    agent_ids: list[UUID]
    conversation_ids: list[UUID]


class Switch(Input):
    """Memory off, or on again, with one employee or in one conversation."""

    agent_id: UUID | None = None
    conversation_id: UUID | None = None
    off: bool

    @model_validator(mode="after")
    def _for_one_thing(self) -> Self:
        if (self.agent_id is None) == (self.conversation_id is None):
            raise ValueError("one of agent_id and conversation_id is needed, and not both")
        return self


class Wording(Input):
    text: Annotated[str, Field(max_length=100_000)]


class NewNote(Wording):
    """A note for one employee, or, without `agent_id`, for all."""

    agent_id: UUID | None = None


# --- made of what the rooms know --------------------------------------------------------------------


def shown(user_id: UUID, infos: Sequence[MemoryInfo]) -> list[MemoryOut]:
    """Memories of the user's, or the workspace's, with the names of what they come from."""
    found = memories.sources(user_id=user_id, memories=infos)
    return [_out(info, found) for info in infos]


def counts(user_id: UUID) -> CountsOut:
    found = store.counts(user_id=user_id)
    items = [
        CountOut(agent_id=one.agent_id, facts=one.facts, exchanges=one.exchanges, notes=one.notes)
        for one in found
    ]
    return CountsOut(items=items, total=sum(one.facts + one.exchanges + one.notes for one in found))


def offs(user_id: UUID) -> OffsOut:
    found = store.offs(user_id=user_id)
    return OffsOut(agent_ids=sorted(found.agent_ids), conversation_ids=sorted(found.conversation_ids))


def shown_one(user_id: UUID, info: MemoryInfo) -> MemoryOut:
    return shown(user_id, [info])[0]


# --- inside ----------------------------------------------------------------------------------------


def _out(info: MemoryInfo, sources: memories.Sources) -> MemoryOut:
    same = MemoryOut.model_fields.keys() - {"shared", "employee", "conversation", "history"}
    return MemoryOut(
        **{name: getattr(info, name) for name in same},
        shared=info.user_id is None,
        employee=_employee(info.agent_id, sources),
        conversation=_place(info.conversation_id, sources),
        history=[_earlier(one, sources) for one in info.history],
    )


def _earlier(one: Earlier, sources: memories.Sources) -> EarlierOut:
    same = EarlierOut.model_fields.keys() - {"conversation"}
    plain = {name: getattr(one, name) for name in same}
    return EarlierOut(**plain, conversation=_place(one.conversation_id, sources))


def _employee(agent_id: UUID | None, sources: memories.Sources) -> EmployeeOut | None:
    if agent_id is None or agent_id not in sources.employees:
        return None
    return EmployeeOut(id=agent_id, name=sources.employees[agent_id])


def _place(conversation_id: UUID | None, sources: memories.Sources) -> PlaceOut | None:
    if conversation_id is None or conversation_id not in sources.conversations:
        return None
    return PlaceOut(id=conversation_id, title=sources.conversations[conversation_id])
