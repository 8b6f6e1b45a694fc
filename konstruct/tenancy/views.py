"""Sign in, sign out, choose a workspace."""

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from konstruct.tenancy.forms import SignInForm
from konstruct.tenancy.http import SESSION_KEY, workspace_id_of_host
from konstruct.tenancy.models import Membership, User
from konstruct.tenancy.workspaces import find_membership


class SignInView(LoginView):
    """Django's sign-in (which gives the session a new key), with our form."""

    template_name = "tenancy/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_invalid(self, form: Any) -> HttpResponse:
        response = super().form_invalid(form)
        response.status_code = 429 if form.is_throttled else 200
        return response


@require_GET
@login_required
def choose_workspace(request: HttpRequest) -> HttpResponse:
    """The user's workspaces, to choose one from. Not where the host has chosen already."""
    _refuse_on_workspace_host(request)
    memberships = (
        Membership.objects.filter(user_id=_user(request).id, workspace__suspended_at=None)
        .select_related("workspace")
        .order_by("workspace__name")
    )
    return render(request, "tenancy/choose_workspace.html", {"memberships": memberships})


@require_POST
@login_required
def enter_workspace(request: HttpRequest) -> HttpResponse:
    """Choose the workspace whose id is posted as `workspace`. 404 for one the user is no member of."""
    _refuse_on_workspace_host(request)
    try:
        workspace_id = UUID(request.POST.get("workspace", ""))
    except ValueError:
        raise Http404 from None
    membership = find_membership(user_id=_user(request).id, workspace_id=workspace_id)
    if membership is None:
        raise Http404
    request.session[SESSION_KEY] = str(membership.workspace_id)
    return redirect("home")


def _user(request: HttpRequest) -> User:
    """Who is signed in; `login_required` has seen to that."""
    return cast(User, request.user)


def _refuse_on_workspace_host(request: HttpRequest) -> None:
    if workspace_id_of_host(request.get_host()) is not None and request.membership is None:  # type: ignore[attr-defined]
        raise PermissionDenied(_("You are not a member of this workspace."))
