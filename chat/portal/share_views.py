"""The pages of shared conversations: one that is read, and the list of one's own links."""

from uuid import UUID

import msgspec
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods

from chat import sharing
from chat.paging import InvalidCursor
from chat.portal.people import face
from chat.portal.shares import SharedMessageOut, SharedMessagePage
from chat.portal.views import render_page
from chat.sharing import ShareNotFound
from konstruct.tenancy.http import WorkspaceRequest, workspace_required

FIRST_MESSAGES = 100


@require_GET
def shared(request: HttpRequest, share_id: UUID) -> HttpResponse:
    """A shared conversation, for members of its workspace. For all others there is none: 404."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    membership = getattr(request, "membership", None)
    if membership is None:
        raise Http404
    place = {"share_id": share_id, "workspace_id": membership.workspace_id}
    try:
        info = sharing.open_share(**place)
        page = sharing.messages_page(**place, size=FIRST_MESSAGES)
    except ShareNotFound:
        raise Http404 from None
    messages = SharedMessagePage(
        items=list(map(SharedMessageOut.of, page.items)), next_cursor=page.next_cursor
    )
    employees = sharing.agents_who_spoke(**place)
    data = {
        "conversation": None,
        "shared": {"id": str(info.id), "shared_by": info.shared_by},
        "messages": messages.model_dump(mode="json"),
        "agents": msgspec.to_builtins([face(agent) for agent in employees]),
    }
    context = {"shared": info, "is_owner": info.owner_id == request.user.pk}
    return render_page(request, "portal/shared.html", context, data)  # type: ignore[arg-type]


@require_http_methods(["GET", "POST"])
@workspace_required
def shares(request: WorkspaceRequest) -> HttpResponse:
    """The person's own links; `share` posted ends one."""
    if request.method == "POST":
        try:
            sharing.revoke(user_id=request.user.id, share_id=UUID(request.POST.get("share", "")))
        except (ValueError, ShareNotFound):
            raise Http404 from None
        return redirect("shares")
    try:
        page = sharing.page(user_id=request.user.id, cursor=request.GET.get("cursor"))
    except InvalidCursor:
        raise Http404 from None
    context = {"shares": page.items, "next_cursor": page.next_cursor}
    return render_page(request, "portal/shares.html", context, {"conversation": None})
