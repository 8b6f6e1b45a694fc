"""A conversation from the JSON that chat.export writes, checked strictly: a wrong file changes nothing.

It becomes the importer's own, new conversation: no id of the file is used, so a file may be taken in
twice. Employees are found by name among the workspace's, the active ones first, or else there is none.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID, uuid4

import msgspec
from django.db import transaction
from django.utils import timezone
from msgspec import Meta, Struct

from agents.models import Agent
from chat.conversations import MAX_TITLE, info_of
from chat.export import FORMAT, VERSION
from chat.models import Conversation, Message, MessageRole, Status
from chat.protocol import ConversationInfo

MAX_BYTES = 32 * 1024 * 1024
MAX_MESSAGES = 50_000
_BATCH = 1000
_EARLIEST, _LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class InvalidImport(ValueError):
    """The file cannot be taken. `sentence` says what is wrong with it, without repeating what it says."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.sentence = f"This file is not a conversation that Konstruct can import: {why}"


# PostgreSQL cannot store NUL.
Text = Annotated[str, Meta(pattern="^[^\x00]*$")]
Short = Annotated[str, Meta(max_length=40, pattern="^[^\x00]*$")]
Name = Annotated[str, Meta(max_length=200, pattern="^[^\x00]*$")]
Moment = Annotated[datetime, Meta(tz=True)]
Number = Annotated[int, Meta(ge=1)]


class _Line(Struct, frozen=True, forbid_unknown_fields=True):
    id: Number
    parent: Number | None
    role: Literal["user", "assistant"]
    text: Text
    created_at: Moment
    status: Literal["complete", "stopped", "failed", "interrupted"]
    error: Short
    employee: Name | None
    model: Name
    finish_reason: Short
    duration_ms: Annotated[int, Meta(ge=0, le=2_147_483_647)] | None
    feedback: Literal["", "up", "down"]
    feedback_comment: Annotated[str, Meta(max_length=4000, pattern="^[^\x00]*$")]


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    version: int
    exported_at: Moment
    title: Annotated[str, Meta(max_length=MAX_TITLE, pattern="^[^\x00]*$")]
    employee: Name | None
    created_at: Moment
    messages: Annotated[list[_Line], Meta(max_length=MAX_MESSAGES)]
    leaf: Number | None


class _Head(Struct, frozen=True):
    """Of any file, so that one of a newer release is told what it is."""

    format: str = ""
    version: int = 0


def take(*, user_id: UUID, data: bytes) -> ConversationInfo:
    """Make a conversation of the user's from the file's content. Raises InvalidImport."""
    return _store(user_id, _read(data))


def _read(data: bytes) -> _File:
    if len(data) > MAX_BYTES:
        raise InvalidImport(f"it is larger than {MAX_BYTES // 1024 // 1024} MB.")
    try:
        head = msgspec.json.decode(data, type=_Head)
        if head.format != FORMAT:
            raise InvalidImport("it was not exported from Konstruct as JSON.")
        if head.version != VERSION:
            raise InvalidImport(f"it is of version {head.version}; this release reads version {VERSION}.")
        file = msgspec.json.decode(data, type=_File)
    except msgspec.ValidationError as error:
        raise InvalidImport(f"{error}.") from None
    except (msgspec.DecodeError, RecursionError):
        raise InvalidImport("it is no JSON.") from None
    _check_tree(file)
    return file


def _check_tree(file: _File) -> None:
    """Messages are numbered once each and form a tree; what a person said is complete; times are sensible."""
    known = {line.id: line for line in file.messages}
    if len(known) < len(file.messages):
        raise InvalidImport("two of its messages have the same id.")
    for line in file.messages:
        if line.parent is not None and line.parent not in known:
            raise InvalidImport(f"message {line.id} follows one that is not in it.")
        if line.role == "user" and line.status != "complete":
            raise InvalidImport(f"message {line.id} is a person's, and these are complete.")
    for moment in (file.created_at, *(line.created_at for line in file.messages)):
        if not _EARLIEST < moment < _LATEST:
            raise InvalidImport(f"a time in it is not between {_EARLIEST:%Y} and {_LATEST:%Y}.")
    rooted: set[int | None] = {None}
    for line in file.messages:
        path: list[int] = []
        at: int | None = line.id
        while at not in rooted:
            assert at is not None
            if len(path) > len(known):
                raise InvalidImport(f"message {line.id} follows itself.")
            path.append(at)
            at = known[at].parent
        rooted.update(path)
    if file.leaf is not None and file.leaf not in known:
        raise InvalidImport("its last message is not in it.")
    if file.leaf is None and known:
        raise InvalidImport("it does not say which message is its last.")


@transaction.atomic
def _store(user_id: UUID, file: _File) -> ConversationInfo:
    agents = _agents({file.employee, *(line.employee for line in file.messages)})
    conversation = Conversation.objects.create(
        user_id=user_id,
        title=" ".join(file.title.split()),
        agent=agents.get(file.employee or ""),
        # Where its new owner finds it: among today's.
        updated_at=timezone.now(),
    )
    # In the order of the file also where two were written in one moment: then it is the id that decides.
    ids = dict(zip((line.id for line in file.messages), sorted(uuid4() for _ in file.messages), strict=True))
    rows = [
        Message(
            id=ids[line.id],
            conversation=conversation,
            parent_id=ids[line.parent] if line.parent else None,
            role=MessageRole(line.role),
            text=line.text,
            status=Status(line.status),
            error_code=line.error,
            agent=agents.get(line.employee or ""),
            model=line.model,
            finish_reason=line.finish_reason,
            duration_ms=line.duration_ms,
            feedback=line.feedback,
            feedback_comment=line.feedback_comment,
            created_at=line.created_at,
        )
        for line in file.messages
    ]
    Message.objects.bulk_create(rows, batch_size=_BATCH)
    conversation.created_at = file.created_at
    conversation.leaf_id = ids[file.leaf] if file.leaf else None
    conversation.save(update_fields=["created_at", "leaf"])
    return info_of(conversation)


def _agents(names: Iterable[str | None]) -> dict[str, Agent]:
    """The workspace's employees of these names; of several of one name, one that is active."""
    found = Agent.objects.filter(name__in={name for name in names if name})
    return {agent.name: agent for agent in found.order_by("is_active", "-created_at")}
