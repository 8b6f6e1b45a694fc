"""The HTTP API of conversations as files (chat.export, chat.importing)."""

from collections.abc import AsyncIterator, Iterator
from typing import Literal
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponseBase, StreamingHttpResponse
from django.utils.cache import add_never_cache_headers
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django_tenants.utils import tenant_context
from ninja import File, Router
from ninja.files import UploadedFile
from ninja.responses import Status

from chat import export, importing
from chat.export import Batches
from chat.importing import MAX_BYTES, InvalidImport
from chat.portal.schemas import ConversationOut, ErrorOut
from konstruct.tenancy.door import WorkspaceRef, in_workspace
from konstruct.tenancy.http import WorkspaceRequest
from konstruct.tenancy.workspaces import reference

router = Router(tags=["files"])
FAILURES = {401: ErrorOut, 403: ErrorOut, 404: ErrorOut, 422: ErrorOut}


@router.get("/conversations/{uuid:conversation_id}/export", response={200: None, **FAILURES})
def export_conversation(
    request: WorkspaceRequest, conversation_id: UUID, format: Literal["json", "markdown"] = "json"
) -> HttpResponseBase:
    """The conversation as a file: `json`, all of it, can be imported; `markdown` holds the branch in use."""
    file = export.begin(user_id=request.user.id, conversation_id=conversation_id, kind=format)
    workspace = reference(request.membership.workspace)
    # The body is sent after this view and its middlewares are done: each piece enters the workspace anew.
    pieces = _async_pieces if isinstance(request, ASGIRequest) else _pieces
    response = StreamingHttpResponse(pieces(workspace, file), content_type=file.content_type)
    name = f"{slugify(file.title, allow_unicode=True)[:80] or 'conversation'}.{file.suffix}"
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    add_never_cache_headers(response)
    return response


@router.post("/conversations/import", response={201: ConversationOut, **FAILURES})
def import_conversation(request: WorkspaceRequest, file: UploadedFile = File(...)) -> Status[ConversationOut]:  # noqa: B008
    """A new conversation of the caller's from a file that `export` with `format=json` has made."""
    if (file.size or 0) > MAX_BYTES:
        raise InvalidImport(f"it is larger than {MAX_BYTES // 1024 // 1024} MB.")
    info = importing.take(user_id=request.user.id, data=file.read())
    return Status(201, ConversationOut.of(info))


def _pieces(workspace: WorkspaceRef, file: Batches) -> Iterator[bytes]:
    while True:
        with tenant_context(workspace):
            piece = file.read()
        if not piece:
            return
        yield piece


async def _async_pieces(workspace: WorkspaceRef, file: Batches) -> AsyncIterator[bytes]:
    while piece := await in_workspace(workspace, file.read):
        yield piece
