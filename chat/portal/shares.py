"""The HTTP API of shared links (chat.sharing)."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from ninja import Query, Router, Schema
from ninja.responses import Status

from chat import sharing
from chat.paging import MAX_PAGE_SIZE, PAGE_SIZE
from chat.portal.schemas import ErrorOut
from chat.sharing import SharedMessage, ShareInfo
from konstruct.tenancy.http import WorkspaceRequest

router = Router(tags=["sharing"])
FAILURES = {401: ErrorOut, 403: ErrorOut, 404: ErrorOut, 422: ErrorOut}
PageSize = Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)]
Cursor = Annotated[str | None, Query(max_length=200)]


class ShareOut(Schema):
    """A link. `url`: where members of the workspace read by it."""

    id: UUID
    url: str
    conversation_id: UUID
    title: str
    created_at: datetime

    @staticmethod
    def of(info: ShareInfo) -> "ShareOut":
        return ShareOut(
            url=f"/s/{info.id}", **{name: getattr(info, name) for name in ShareInfo.__struct_fields__}
        )


class SharePage(Schema):
    items: list[ShareOut]
    next_cursor: str | None


class SharedMessageOut(Schema):
    """A message as a reader of a shared conversation sees it."""

    id: UUID
    role: str
    text: str
    status: str
    agent_id: UUID | None
    created_at: datetime

    @staticmethod
    def of(info: SharedMessage) -> "SharedMessageOut":
        return SharedMessageOut(**{name: getattr(info, name) for name in SharedMessage.__struct_fields__})


class SharedMessagePage(Schema):
    items: list[SharedMessageOut]
    next_cursor: str | None


@router.get("/shares", response={200: SharePage, **FAILURES})
def list_shares(request: WorkspaceRequest, cursor: Cursor = None, size: PageSize = PAGE_SIZE) -> SharePage:
    """The caller's links, the newest first."""
    return _page(request, None, cursor, size)


@router.get("/conversations/{uuid:conversation_id}/shares", response={200: SharePage, **FAILURES})
def list_shares_of_a_conversation(
    request: WorkspaceRequest, conversation_id: UUID, cursor: Cursor = None, size: PageSize = PAGE_SIZE
) -> SharePage:
    return _page(request, conversation_id, cursor, size)


@router.post("/conversations/{uuid:conversation_id}/shares", response={201: ShareOut, **FAILURES})
def share_conversation(request: WorkspaceRequest, conversation_id: UUID) -> Status[ShareOut]:
    """A link by which every member of the workspace reads the branch in use, as it is now."""
    info = sharing.share(user_id=request.user.id, conversation_id=conversation_id)
    return Status(201, ShareOut.of(info))


@router.delete("/shares/{uuid:share_id}", response={204: None, **FAILURES})
def revoke_share(request: WorkspaceRequest, share_id: UUID) -> Status[None]:
    """End the link at once."""
    sharing.revoke(user_id=request.user.id, share_id=share_id)
    return Status(204, None)


@router.get("/shared/{uuid:share_id}/messages", response={200: SharedMessagePage, **FAILURES})
def list_shared_messages(
    request: WorkspaceRequest, share_id: UUID, cursor: Cursor = None, size: PageSize = PAGE_SIZE
) -> SharedMessagePage:
    """The messages of a conversation that somebody in the workspace has shared, the last one first."""
    page = sharing.messages_page(
        share_id=share_id, workspace_id=request.membership.workspace_id, cursor=cursor, size=size
    )
    return SharedMessagePage(items=list(map(SharedMessageOut.of, page.items)), next_cursor=page.next_cursor)


def _page(
    request: WorkspaceRequest, conversation_id: UUID | None, cursor: str | None, size: int
) -> SharePage:
    page = sharing.page(user_id=request.user.id, conversation_id=conversation_id, cursor=cursor, size=size)
    return SharePage(items=list(map(ShareOut.of, page.items)), next_cursor=page.next_cursor)
