"""The HTTP API's JSON, in and out. Names are snake_case, ids are UUIDs in text form (PROTOCOL.md)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal, Self, cast
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field, model_validator

from agents.errors import SENTENCES
from agents.models import Agent
from chat.conversations import MAX_TITLE, MessageInfo
from chat.protocol import ConversationInfo
from chat.search import Found, Fragment


class Input(Schema):
    """What a client sends: an unknown field is a mistake that must not pass unnoticed."""

    model_config = ConfigDict(extra="forbid")


class NewConversation(Input):
    agent_id: UUID | None = None
    title: Annotated[str, Field(max_length=MAX_TITLE)] = ""


class ConversationChanges(Input):
    """What is not given stays as it is."""

    title: Annotated[str | None, Field(min_length=1, max_length=MAX_TITLE)] = None
    pinned: bool | None = None
    archived: bool | None = None

    @model_validator(mode="after")
    def _names_a_change(self) -> Self:
        if all(getattr(self, name) is None for name in self.model_fields_set):
            raise ValueError("one of title, pinned and archived is needed")
        return self


class Version(Input):
    message_id: UUID


class AuthFrame(Schema):
    """The socket's first frame, ready to be sent; camelCase as on the wire."""

    type: Literal["auth"] = "auth"
    userId: UUID
    role: str
    tenantId: UUID
    token: str


class TokenOut(Schema):
    token: str
    expires_in: int
    auth: AuthFrame


class AgentOut(Schema):
    id: UUID
    name: str
    title: str
    color: str
    greeting: str
    starters: list[str]

    @staticmethod
    def of(agent: Agent) -> "AgentOut":
        return AgentOut(**{name: getattr(agent, name) for name in AgentOut.model_fields})


class ConversationOut(Schema):
    id: UUID
    title: str
    agent_id: UUID | None
    channel: str
    leaf_id: UUID | None
    created_at: datetime
    updated_at: datetime
    pinned_at: datetime | None
    archived_at: datetime | None

    @staticmethod
    def of(info: ConversationInfo) -> "ConversationOut":
        return ConversationOut(**{name: getattr(info, name) for name in ConversationOut.model_fields})


class FragmentOut(Schema):
    """A piece of text; `hit`: it is what was searched for."""

    text: str
    hit: bool


class HitOut(Schema):
    """A message that was found. `snippet`: the part of it around what was searched for."""

    message_id: UUID
    role: str
    said_at: datetime
    snippet: list[FragmentOut]


class ListedOut(ConversationOut):
    """A conversation in the list. Only of a search: its title in fragments, and its best hits."""

    marked_title: list[FragmentOut] | None = None
    hits: list[HitOut] = Field(default_factory=list)

    @staticmethod
    def of(info: ConversationInfo) -> "ListedOut":
        return ListedOut(**{name: getattr(info, name) for name in ConversationOut.model_fields})

    @staticmethod
    def found(found: Found) -> "ListedOut":
        listed = ListedOut.of(found.conversation)
        listed.marked_title = _fragments(found.title)
        listed.hits = [
            HitOut(message_id=h.message_id, role=h.role, said_at=h.said_at, snippet=_fragments(h.snippet))
            for h in found.hits
        ]
        return listed


class Problem(Schema):
    code: str
    message: str


class ErrorOut(Schema):
    error: Problem


class UsageOut(Schema):
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None


class MessageOut(Schema):
    """A message. `siblings`: the ids of its versions, itself among them, oldest first. `memories`: those
    that its prompt held; they may have been forgotten since."""

    id: UUID
    parent_id: UUID | None
    siblings: list[UUID]
    client_id: UUID | None
    role: str
    text: str
    status: str
    error: Problem | None
    agent_id: UUID | None
    model: str
    finish_reason: str
    usage: UsageOut | None
    duration_ms: int | None
    feedback: Literal["up", "down"] | None
    feedback_comment: str
    memories: list[UUID]
    created_at: datetime

    @staticmethod
    def of(info: MessageInfo) -> "MessageOut":
        same = MessageOut.model_fields.keys() - {"error", "usage", "feedback"}
        feedback = cast(Literal["up", "down"] | None, info.feedback or None)
        plain = {name: getattr(info, name) for name in same}
        return MessageOut(**plain, error=_problem(info.error_code), usage=_usage(info), feedback=feedback)


class ConversationPage(Schema):
    items: list[ListedOut]
    next_cursor: str | None


class MessagePage(Schema):
    items: list[MessageOut]
    next_cursor: str | None


class AgentList(Schema):
    items: list[AgentOut]


def _fragments(fragments: Iterable[Fragment]) -> list[FragmentOut]:
    return [FragmentOut(text=fragment.text, hit=fragment.hit) for fragment in fragments]


def _problem(code: str) -> Problem | None:
    """The stored code with its sentence, as the `error` frame gave it."""
    if not code:
        return None
    sentences: dict[str, str] = {**SENTENCES}
    return Problem(code=code, message=sentences.get(code, SENTENCES["internal"]))


def _usage(info: MessageInfo) -> UsageOut | None:
    if info.prompt_tokens is None and info.completion_tokens is None:
        return None
    return UsageOut(
        prompt_tokens=info.prompt_tokens,
        completion_tokens=info.completion_tokens,
        cost_usd=None if info.cost_usd is None else float(info.cost_usd),
    )
