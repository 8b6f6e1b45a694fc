"""The HTTP API of a signed-in session (PROTOCOL.md, "HTTP, same session"), mounted at /api/.

Every endpoint is synchronous and runs inside the workspace that WorkspaceMiddleware chose. Errors are
`{"error": {"code", "message"}}`: 401 not signed in, 403 no workspace or no CSRF token, 404 a foreign
or unknown id (nobody can tell which), 409 not while an answer is being written, 422 input that
cannot be taken.
"""

from typing import Annotated, Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Query
from ninja.errors import HttpError, ValidationError
from ninja.responses import Status
from ninja.security.apikey import APIKeyCookie
from ninja.utils import check_csrf

from agents import employees
from chat import conversations, listing, search
from chat import memories as remembered
from chat.conversations import (
    AnswerRunning,
    ConversationNotFound,
    EmployeeNotFound,
    InvalidTitle,
    MessageNotFound,
)
from chat.importing import InvalidImport
from chat.paging import MAX_PAGE_SIZE, PAGE_SIZE, InvalidCursor
from chat.portal import files, memories, shares
from chat.portal.auth_frame import auth_frame
from chat.portal.schemas import (
    AgentList,
    AgentOut,
    AuthFrame,
    ConversationChanges,
    ConversationOut,
    ConversationPage,
    ErrorOut,
    ListedOut,
    MessageOut,
    MessagePage,
    NewConversation,
    TokenOut,
    Version,
)
from chat.search import SearchTooLong
from chat.sharing import NothingToShare, ShareNotFound
from konstruct.tenancy.http import WorkspaceRequest
from konstruct.tenancy.tokens import TTL
from memory import errors as memory_errors

CODES = {
    400: "bad_input",
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    409: "busy",
    422: "bad_input",
}

PageSize = Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)]
Cursor = Annotated[str | None, Query(max_length=200)]


class WorkspaceSession(APIKeyCookie):
    """A signed-in session with a workspace. Who is a stranger is told so before CSRF is looked at."""

    param_name = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> Any:
        if not request.user.is_authenticated:
            raise HttpError(401, "Please sign in.")
        # Only now, and raised: ninja would answer a stranger's POST with a CSRF error.
        if check_csrf(request) is not None:
            raise HttpError(403, "The X-CSRFToken header is missing or wrong.")
        return self.authenticate(request, None)

    def authenticate(self, request: HttpRequest, key: str | None) -> Any:
        membership = getattr(request, "membership", None)
        if membership is None:
            raise HttpError(403, "You are not a member of this workspace, or have chosen none.")
        return membership


api = NinjaAPI(
    title="Konstruct",
    version="1",
    description="What the portal's session may do. The socket's own protocol is described in PROTOCOL.md.",
    auth=WorkspaceSession(),
    urls_namespace="api",
)

# Only a UUID gets as far as a function: anything else is a 404 like an unknown one.
ONE = "/conversations/{uuid:conversation_id}"
FAILURES = {401: ErrorOut, 403: ErrorOut, 404: ErrorOut, 422: ErrorOut}


@api.post("/token", response={200: TokenOut, **FAILURES}, tags=["socket"])
def issue_token(request: WorkspaceRequest) -> TokenOut:
    """A token for the socket's first frame, valid for `expires_in` seconds, and that frame itself.

    It is bound to this session: once that has ended, the token is worth nothing.
    """
    frame = auth_frame(membership=request.membership, session_key=request.session.session_key)
    return TokenOut(token=frame["token"], expires_in=TTL, auth=AuthFrame.model_validate(frame))


@api.get("/agents", response={200: AgentList, **FAILURES}, tags=["employees"])
def list_agents(request: WorkspaceRequest) -> AgentList:
    """The workspace's active employees; the first is the default one."""
    return AgentList(items=[AgentOut.of(agent) for agent in employees.active()])


@api.get("/conversations", response={200: ConversationPage, **FAILURES}, tags=["conversations"])
def list_conversations(
    request: WorkspaceRequest,
    words: Annotated[str, Query(alias="search", max_length=200)] = "",
    archived: bool = False,
    cursor: Cursor = None,
    size: PageSize = PAGE_SIZE,
) -> ConversationPage:
    """The caller's conversations: pinned ones first, then the one with the latest message first.

    With `archived=true`: those in the archive. With `search`: those of both in which the words are, those
    with the words in their title first, each with its best hits.
    """
    user_id = request.user.id
    if conversations.storable(words).strip():
        results = search.find(user_id=user_id, words=words, cursor=cursor, size=size)
        return ConversationPage(
            items=list(map(ListedOut.found, results.items)), next_cursor=results.next_cursor
        )
    page = listing.page(user_id=user_id, archived=archived, cursor=cursor, size=size)
    return ConversationPage(items=list(map(ListedOut.of, page.items)), next_cursor=page.next_cursor)


@api.post("/conversations", response={201: ConversationOut, **FAILURES}, tags=["conversations"])
def create_conversation(request: WorkspaceRequest, new: NewConversation) -> Status[ConversationOut]:
    """A new conversation, with the employee named or with the default one."""
    info = conversations.create(user_id=request.user.id, agent_id=new.agent_id, title=new.title)
    return Status(201, ConversationOut.of(info))


@api.get(ONE, response={200: ConversationOut, **FAILURES}, tags=["conversations"])
def get_conversation(request: WorkspaceRequest, conversation_id: UUID) -> ConversationOut:
    return ConversationOut.of(conversations.get(user_id=request.user.id, conversation_id=conversation_id))


@api.patch(ONE, response={200: ConversationOut, **FAILURES}, tags=["conversations"])
def change_conversation(
    request: WorkspaceRequest, conversation_id: UUID, changes: ConversationChanges
) -> ConversationOut:
    """Give the conversation a title, pin it, put it into the archive, or undo these."""
    info = listing.change(
        user_id=request.user.id, conversation_id=conversation_id, **changes.model_dump(exclude_unset=True)
    )
    return ConversationOut.of(info)


@api.delete(ONE, response={204: None, **FAILURES}, tags=["conversations"])
def delete_conversation(
    request: WorkspaceRequest, conversation_id: UUID, forget: bool = False
) -> Status[None]:
    """Delete the conversation. For a day it can be restored; then it is gone for good.

    With `forget=true` what was remembered from it is forgotten too: at once, and for good.
    """
    mine = {"user_id": request.user.id, "conversation_id": conversation_id}
    with transaction.atomic():
        conversations.delete(**mine)
        if forget:
            remembered.forget_conversation(workspace_id=request.membership.workspace_id, **mine)
    return Status(204, None)


@api.post(f"{ONE}/restore", response={200: ConversationOut, **FAILURES}, tags=["conversations"])
def restore_conversation(request: WorkspaceRequest, conversation_id: UUID) -> ConversationOut:
    """Take back that the conversation was deleted."""
    return ConversationOut.of(listing.restore(user_id=request.user.id, conversation_id=conversation_id))


@api.get(f"{ONE}/messages", response={200: MessagePage, **FAILURES}, tags=["conversations"])
def list_messages(
    request: WorkspaceRequest,
    conversation_id: UUID,
    cursor: Cursor = None,
    size: PageSize = PAGE_SIZE,
    everything: Annotated[bool, Query(alias="all")] = False,
) -> MessagePage:
    """The messages of the branch in use, the last one first; an answer being written has status `running`.

    With `all=true`: those of every branch, newest first.
    """
    page = conversations.messages_page(
        user_id=request.user.id,
        conversation_id=conversation_id,
        cursor=cursor,
        size=size,
        everything=everything,
    )
    return MessagePage(items=list(map(MessageOut.of, page.items)), next_cursor=page.next_cursor)


@api.post(f"{ONE}/select", response={200: ConversationOut, **FAILURES, 409: ErrorOut}, tags=["conversations"])
def select_version(request: WorkspaceRequest, conversation_id: UUID, version: Version) -> ConversationOut:
    """Put the branch in use that this message is on, down to its newest end, which becomes `leaf_id`.

    Refused with 409 while an answer is being written in the conversation.
    """
    info = conversations.select_version(
        user_id=request.user.id, conversation_id=conversation_id, message_id=version.message_id
    )
    return ConversationOut.of(info)


api.add_router("", shares.router)
api.add_router("", files.router)


api.add_router("/memories", memories.router)


# --- errors ----------------------------------------------------------------------------------------


def problem(request: HttpRequest, status: int, message: str) -> HttpResponse:
    body = {"error": {"code": CODES.get(status, "internal"), "message": message}}
    return api.create_response(request, body, status=status)


@api.exception_handler(ConversationNotFound)
@api.exception_handler(EmployeeNotFound)
@api.exception_handler(MessageNotFound)
@api.exception_handler(ShareNotFound)
def _not_found(
    request: HttpRequest, error: ConversationNotFound | EmployeeNotFound | MessageNotFound | ShareNotFound
) -> HttpResponse:
    return problem(request, 404, error.sentence)


@api.exception_handler(AnswerRunning)
def _busy(request: HttpRequest, error: AnswerRunning) -> HttpResponse:
    return problem(request, 409, error.sentence)


@api.exception_handler(InvalidCursor)
@api.exception_handler(InvalidTitle)
@api.exception_handler(SearchTooLong)
@api.exception_handler(NothingToShare)
@api.exception_handler(InvalidImport)
def _invalid(
    request: HttpRequest,
    error: InvalidCursor | InvalidTitle | SearchTooLong | NothingToShare | InvalidImport,
) -> HttpResponse:
    return problem(request, 422, error.sentence)


@api.exception_handler(memory_errors.MemoryNotFound)
def _no_memory(request: HttpRequest, error: memory_errors.MemoryNotFound) -> HttpResponse:
    return problem(request, 404, error.sentence)


@api.exception_handler(memory_errors.InvalidCursor)
@api.exception_handler(memory_errors.InvalidText)
@api.exception_handler(memory_errors.SecretText)
def _unfit_memory(
    request: HttpRequest,
    error: memory_errors.InvalidCursor | memory_errors.InvalidText | memory_errors.SecretText,
) -> HttpResponse:
    return problem(request, 422, error.sentence)


@api.exception_handler(HttpError)
def _refused(request: HttpRequest, error: HttpError) -> HttpResponse:
    return problem(request, error.status_code, error.message)


@api.exception_handler(ValidationError)
def _not_valid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Each mistake with the field it is in; what was sent is not repeated."""
    mistakes = [f"{'.'.join(str(part) for part in e['loc'][1:])}: {e['msg']}" for e in error.errors]
    return problem(request, 422, "; ".join(mistakes))
