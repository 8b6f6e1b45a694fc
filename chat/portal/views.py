"""The portal's pages. What they show is sent along as data and drawn by the modules of frontend/."""

from typing import Any
from uuid import UUID

import msgspec
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_GET, require_POST

from agents import employees
from chat import branches, conversations, listing
from chat.conversations import ConversationNotFound, EmployeeNotFound
from chat.portal.memory_page import page_data
from chat.portal.memory_schemas import offs
from chat.portal.people import face
from chat.portal.schemas import ConversationOut, ConversationPage, ListedOut, MessageOut, MessagePage
from chat.portal.texts import texts
from chat.protocol import MAX_FRAME_BYTES, MAX_TEXT, ConversationInfo
from konstruct.tenancy.http import WorkspaceRequest, workspace_required

# Where a first message waits for its page, which sends it: {conversation id: text}.
OPENING_KEY = "opening"
FIRST_MESSAGES = 60


@require_GET
@workspace_required
def home(request: WorkspaceRequest) -> HttpResponse:
    """The workspace's employees as people, each one click from a conversation."""
    faces = [face(agent) for agent in employees.active()]
    return render_page(request, "portal/home.html", {"employees": faces}, {"conversation": None})


@require_POST
@workspace_required
def begin(request: WorkspaceRequest) -> HttpResponse:
    """Begin a conversation with the employee posted as `agent`, with the message `opening` if given."""
    try:
        agent_id = UUID(request.POST["agent"]) if request.POST.get("agent") else None
        conversation = conversations.begin(user_id=request.user.id, agent_id=agent_id)
    except (ValueError, EmployeeNotFound):
        raise Http404 from None
    if opening := request.POST.get("opening", "").strip()[:MAX_TEXT]:
        request.session[OPENING_KEY] = {str(conversation.id): opening}
    return redirect("conversation", conversation_id=conversation.id)


@require_GET
@workspace_required
def conversation(request: WorkspaceRequest, conversation_id: UUID) -> HttpResponse:
    """One conversation of the user's. 404 for any other."""
    user_id = request.user.id
    try:
        info = conversations.get(user_id=user_id, conversation_id=conversation_id)
        found = conversations.messages_page(
            user_id=user_id, conversation_id=conversation_id, size=FIRST_MESSAGES
        )
    except ConversationNotFound:
        raise Http404 from None
    messages = MessagePage(items=list(map(MessageOut.of, found.items)), next_cursor=found.next_cursor)
    agents = conversations.agents_of(user_id=user_id, conversation_id=conversation_id)
    off = offs(user_id)
    data = {
        "conversation": ConversationOut.of(info).model_dump(mode="json"),
        "messages": messages.model_dump(mode="json"),
        "agents": msgspec.to_builtins([face(agent) for agent in agents]),
        "memory": {
            "off": conversation_id in off.conversation_ids,
            "agents_off": list(map(str, off.agent_ids)),
        },
        "opening": _take_opening(request, conversation_id),
        "jump": _jump(request.GET.get("message", ""), info),
        "limits": {"text": MAX_TEXT, "frame": MAX_FRAME_BYTES},
    }
    return render_page(request, "portal/conversation.html", {"conversation": info}, data)


@require_GET
@workspace_required
def memory(request: WorkspaceRequest) -> HttpResponse:
    """What each employee knows of the person; with `?show=ID`, one memory."""
    data = page_data(
        user_id=request.user.id, manages=request.membership.manages, show=request.GET.get("show", "")[:100]
    )
    return render_page(request, "portal/memory.html", {}, data)


def render_page(
    request: WorkspaceRequest, template: str, context: dict[str, Any], data: dict[str, Any]
) -> HttpResponse:
    """A page with the list of conversations at its side; `data` is for the modules."""
    listed = listing.page(user_id=request.user.id)
    items = list(map(ListedOut.of, listed.items))
    sidebar = ConversationPage(items=items, next_cursor=listed.next_cursor).model_dump(mode="json")
    everything = {**data, "texts": texts(), "sidebar": sidebar}
    response = render(request, template, {**context, "data": everything, "membership": request.membership})
    # The page holds messages: none of it is kept by a shared computer's browser after signing out.
    add_never_cache_headers(response)
    return response


def _jump(message: str, info: ConversationInfo) -> dict[str, Any] | None:
    """Which message is to be shown, and whether it is beside the branch in use; None for the end.

    Selecting its branch is left to the page: to open an address changes nothing.
    """
    try:
        message_id = UUID(message)
    except ValueError:
        return None
    steps = branches.distance(conversation_id=info.id, leaf_id=info.leaf_id, message_id=message_id)
    if steps is None and not branches.has(conversation_id=info.id, message_id=message_id):
        return None
    return {"id": str(message_id), "beside": steps is None}


def _take_opening(request: WorkspaceRequest, conversation_id: UUID) -> str | None:
    """The first message that `begin` left for this conversation, once."""
    waiting = request.session.get(OPENING_KEY, {})
    if str(conversation_id) not in waiting:
        return None
    del request.session[OPENING_KEY]
    return str(waiting[str(conversation_id)])
