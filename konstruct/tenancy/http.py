"""The workspace of an HTTP request: its host's, or else the one chosen in the session (decision 7).

`request.workspace` and `request.membership` are set together or not at all: without a membership
there is no workspace, and the view runs where tenant data cannot be reached (NoWorkspace).
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django_tenants.utils import tenant_context

from konstruct.tenancy.door import leave_workspace
from konstruct.tenancy.models import Domain, Membership, User
from konstruct.tenancy.workspaces import find_membership, reference

SESSION_KEY = "workspace"


class WorkspaceRequest(HttpRequest):
    """A request that has passed `workspace_required`."""

    user: User
    membership: Membership


def workspace_id_of_host(host: str) -> UUID | None:
    """The workspace that the host name (with or without port) means, if any."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return Domain.objects.filter(domain=name.lower()).values_list("tenant_id", flat=True).first()


def sole_workspace_id(user: User) -> UUID | None:
    """The one workspace of a user who belongs to just one: nothing to choose."""
    ids = list(
        Membership.objects.filter(user=user, workspace__suspended_at=None).values_list(
            "workspace_id", flat=True
        )[:2]
    )
    return ids[0] if len(ids) == 1 else None


def _chosen(request: HttpRequest) -> UUID | None:
    try:
        return UUID(request.session[SESSION_KEY])
    except (KeyError, ValueError, TypeError):
        return None


def find_request_membership(request: HttpRequest) -> Membership | None:
    """The signed-in user's membership in the workspace this request is about, or None."""
    if not request.user.is_authenticated:
        return None
    user = request.user
    of_host = workspace_id_of_host(request.get_host())
    workspace_id = of_host or _chosen(request)
    membership = find_membership(user_id=user.id, workspace_id=workspace_id) if workspace_id else None
    if membership is None and of_host is None and (sole := sole_workspace_id(user)):
        membership = find_membership(user_id=user.id, workspace_id=sole)
    return membership


class WorkspaceMiddleware:
    """Runs each request inside its workspace, or outside all of them, and leaves none behind."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        leave_workspace()
        membership = find_request_membership(request)
        request.membership = membership  # type: ignore[attr-defined]
        try:
            if membership is None:
                return self.get_response(request)
            with tenant_context(reference(membership.workspace)):
                return self.get_response(request)
        finally:
            leave_workspace()


def workspace_required(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For pages: sends the stranger to sign in, and the user without a workspace to choose one."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if getattr(request, "membership", None) is None:
            return redirect("choose-workspace")
        return view(request, *args, **kwargs)

    return guarded


def manager_required(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For pages of the workspace's owners and admins."""

    @workspace_required
    @wraps(view)
    def guarded(request: WorkspaceRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.membership.manages:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded
