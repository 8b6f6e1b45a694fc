"""The HTTP API of memory, at /api/memories: what employees know of the caller, and how it is forgotten.

Everybody sees and forgets their own, and sees the workspace's shared notes; owners and admins write those.
Somebody else's memory, employee or conversation is a 404 like an unknown one.
"""

from typing import Annotated
from uuid import UUID

from ninja import Query, Router
from ninja.errors import HttpError
from ninja.responses import Status

from agents.models import Agent
from chat import conversations, memories
from chat.conversations import EmployeeNotFound
from chat.portal.memory_schemas import (
    CountsOut,
    Kind,
    MemoryList,
    MemoryOut,
    MemoryPage,
    NewNote,
    OffsOut,
    Switch,
    TotalOut,
    Wording,
    counts,
    offs,
    shown,
    shown_one,
)
from chat.portal.schemas import ErrorOut
from konstruct.tenancy.http import WorkspaceRequest
from memory import authoring, store
from memory.pages import MAX_PAGE_SIZE, PAGE_SIZE

# Ids that `given` takes in one request: no prompt holds as many.
MAX_GIVEN = 100

router = Router(tags=["memory"])
FAILURES = {401: ErrorOut, 403: ErrorOut, 404: ErrorOut, 422: ErrorOut}

Cursor = Annotated[str | None, Query(max_length=200)]
PageSize = Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)]


# --- looking through them --------------------------------------------------------------------------


@router.get("", response={200: MemoryPage, **FAILURES})
def list_memories(
    request: WorkspaceRequest,
    agent_id: UUID | None = None,
    conversation_id: UUID | None = None,
    kind: Kind | None = None,
    search: Annotated[str, Query(max_length=200)] = "",
    cursor: Cursor = None,
    size: PageSize = PAGE_SIZE,
) -> MemoryPage:
    """What is remembered of the caller, what was said last first."""
    user_id = request.user.id
    _check_places(user_id, agent_id, conversation_id)
    page = store.page(
        user_id=user_id,
        agent_id=agent_id,
        conversation_id=conversation_id,
        kind=kind or "",
        search=search,
        cursor=cursor,
        size=size,
    )
    return MemoryPage(items=shown(user_id, page.items), next_cursor=page.next_cursor)


@router.get("/counts", response={200: CountsOut, **FAILURES})
def count_memories(request: WorkspaceRequest) -> CountsOut:
    """How much each employee knows of the caller."""
    return counts(request.user.id)


@router.get("/counts/{uuid:conversation_id}", response={200: TotalOut, **FAILURES})
def count_of_conversation(request: WorkspaceRequest, conversation_id: UUID) -> TotalOut:
    """How many memories come from one conversation."""
    _check_places(request.user.id, None, conversation_id)
    return TotalOut(
        total=store.count_of_conversation(user_id=request.user.id, conversation_id=conversation_id)
    )


@router.get("/given", response={200: MemoryList, **FAILURES})
def list_given(
    request: WorkspaceRequest, ids: Annotated[list[UUID], Query(alias="id", max_length=MAX_GIVEN)]
) -> MemoryList:
    """Those that an answer was given (`memories` of a message), in that order; forgotten ones are missing."""
    return MemoryList(items=shown(request.user.id, store.get_many(user_id=request.user.id, ids=ids)))


@router.get("/{uuid:memory_id}", response={200: MemoryOut, **FAILURES})
def get_memory(request: WorkspaceRequest, memory_id: UUID) -> MemoryOut:
    return shown_one(request.user.id, store.get(user_id=request.user.id, memory_id=memory_id))


# --- changing and forgetting -----------------------------------------------------------------------


@router.patch("/{uuid:memory_id}", response={200: MemoryOut, **FAILURES})
def edit_memory(request: WorkspaceRequest, memory_id: UUID, wording: Wording) -> MemoryOut:
    """Put a memory into one's own words; what it said before is gone."""
    later = memories.embed_later(request.membership.workspace_id)
    authoring.edit(user_id=request.user.id, memory_id=memory_id, text=wording.text, later=later)
    return get_memory(request, memory_id)


@router.delete("/{uuid:memory_id}", response={204: None, **FAILURES})
def forget_memory(request: WorkspaceRequest, memory_id: UUID) -> Status[None]:
    """Forget one memory with its history: at once, and for good. With a fact goes the exchange it comes
    from, with an exchange the facts that nothing else says."""
    workspace_id = request.membership.workspace_id
    memories.forget(workspace_id=workspace_id, user_id=request.user.id, memory_id=memory_id)
    return Status(204, None)


@router.delete("", response={204: None, **FAILURES})
def forget_memories(
    request: WorkspaceRequest, agent_id: UUID | None = None, conversation_id: UUID | None = None
) -> Status[None]:
    """Forget everything of the caller, all that one employee knows, or all that one conversation told."""
    if agent_id and conversation_id:
        raise HttpError(422, "Either an employee or a conversation can be named.")
    user_id = request.user.id
    workspace_id = request.membership.workspace_id
    _check_places(user_id, agent_id, conversation_id)
    if conversation_id:
        memories.forget_conversation(
            workspace_id=workspace_id, user_id=user_id, conversation_id=conversation_id
        )
    else:
        memories.forget_all(workspace_id=workspace_id, user_id=user_id, agent_id=agent_id)
    return Status(204, None)


# --- switched off ----------------------------------------------------------------------------------


@router.get("/off", response={200: OffsOut, **FAILURES})
def list_off(request: WorkspaceRequest) -> OffsOut:
    return offs(request.user.id)


@router.put("/off", response={200: OffsOut, **FAILURES})
def switch_memory(request: WorkspaceRequest, switch: Switch) -> OffsOut:
    """Switch memory off, or on again. What is remembered stays."""
    _check_places(request.user.id, switch.agent_id, switch.conversation_id)
    store.set_off(user_id=request.user.id, **switch.model_dump())
    return offs(request.user.id)


# --- the workspace's own notes ---------------------------------------------------------------------


@router.get("/notes", response={200: MemoryPage, **FAILURES})
def list_notes(
    request: WorkspaceRequest,
    agent_id: UUID | None = None,
    search: Annotated[str, Query(max_length=200)] = "",
    cursor: Cursor = None,
    size: PageSize = PAGE_SIZE,
) -> MemoryPage:
    """What everybody's employees may know, the newest first. With `agent_id`: written for that one alone."""
    _check_places(request.user.id, agent_id, None)
    page = store.page(user_id=None, agent_id=agent_id, search=search, cursor=cursor, size=size)
    return MemoryPage(items=shown(request.user.id, page.items), next_cursor=page.next_cursor)


@router.post("/notes", response={201: MemoryOut, **FAILURES})
def add_note(request: WorkspaceRequest, note: NewNote) -> Status[MemoryOut]:
    """Write a note for all employees, or for one. For owners and admins."""
    _check_manages(request)
    _check_places(request.user.id, note.agent_id, None)
    later = memories.embed_later(request.membership.workspace_id)
    info = authoring.add_note(text=note.text, agent_id=note.agent_id, later=later)
    return Status(201, shown_one(request.user.id, info))


@router.patch("/notes/{uuid:memory_id}", response={200: MemoryOut, **FAILURES})
def edit_note(request: WorkspaceRequest, memory_id: UUID, wording: Wording) -> MemoryOut:
    """Change what a note says. For owners and admins."""
    _check_manages(request)
    later = memories.embed_later(request.membership.workspace_id)
    info = authoring.edit(user_id=None, memory_id=memory_id, text=wording.text, later=later)
    return shown_one(request.user.id, info)


@router.delete("/notes/{uuid:memory_id}", response={204: None, **FAILURES})
def forget_note(request: WorkspaceRequest, memory_id: UUID) -> Status[None]:
    """Take a note away. For owners and admins."""
    _check_manages(request)
    memories.forget(workspace_id=request.membership.workspace_id, user_id=None, memory_id=memory_id)
    return Status(204, None)


# --- inside ----------------------------------------------------------------------------------------


def _check_manages(request: WorkspaceRequest) -> None:
    if not request.membership.manages:
        raise HttpError(403, "Only the owners and admins of this workspace write its shared notes.")


def _check_places(user_id: UUID, agent_id: UUID | None, conversation_id: UUID | None) -> None:
    """Raises EmployeeNotFound, ConversationNotFound. Retired employees may be named."""
    if agent_id is not None and not Agent.objects.filter(id=agent_id).exists():
        raise EmployeeNotFound(agent_id)
    if conversation_id is not None:
        conversations.get(user_id=user_id, conversation_id=conversation_id)
