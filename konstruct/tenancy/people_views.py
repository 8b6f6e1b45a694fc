"""The people page: who is in the workspace, and for owners and admins, who else may come."""

from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from konstruct.tenancy import invitations, people
from konstruct.tenancy.forms import InviteForm
from konstruct.tenancy.http import WorkspaceRequest, manager_required, workspace_required
from konstruct.tenancy.models import Role
from konstruct.tenancy.people import PeopleError, grantable

PAGE = 50


@require_GET
@workspace_required
def people_page(request: WorkspaceRequest) -> HttpResponse:
    return _page(request)


@sensitive_variables()
@require_POST
@manager_required
def invite(request: WorkspaceRequest) -> HttpResponse:
    """Make an invitation. Its link is in this answer and nowhere else."""
    form = InviteForm(request.POST, roles=grantable(request.membership.role))
    if not form.is_valid():
        return _page(request, form=form)
    try:
        invitation, token = invitations.invite(**form.cleaned_data, **_acting(request))
    except PeopleError as error:
        form.add_error(None, str(error))
        return _page(request, form=form)
    link = f"{request.build_absolute_uri(reverse('join'))}#{token}"
    return _page(request, made=invitation, link=link)


@require_POST
@manager_required
def revoke_invitation(request: WorkspaceRequest, invitation_id: UUID) -> HttpResponse:
    try:
        invitations.revoke(invitation_id=invitation_id, **_acting(request))
    except PeopleError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("The invitation is revoked: its link opens nothing any more."))
    return redirect("people")


@require_POST
@manager_required
def change_role(request: WorkspaceRequest, membership_id: UUID) -> HttpResponse:
    try:
        member = people.change_role(
            membership_id=membership_id, role=request.POST.get("role", ""), **_acting(request)
        )
    except PeopleError as error:
        messages.error(request, str(error))
    else:
        values = {"name": member.name, "role": member.role.label}
        messages.success(request, _("%(name)s has the role “%(role)s” now.") % values)
    return redirect("people")


@require_POST
@workspace_required
def remove_member(request: WorkspaceRequest, membership_id: UUID) -> HttpResponse:
    """Take somebody out, or leave."""
    try:
        removed = people.remove(membership_id=membership_id, **_acting(request))
    except PeopleError as error:
        messages.error(request, str(error))
        return redirect("people")
    if removed.user_id == request.user.id:
        return redirect("home")
    messages.success(request, _("%(name)s is no longer in this workspace.") % {"name": removed.name})
    return redirect("people")


def _acting(request: WorkspaceRequest) -> dict[str, Any]:
    return {"workspace_id": request.membership.workspace_id, "actor_id": request.user.id}


def _page(request: WorkspaceRequest, *, form: InviteForm | None = None, **made: Any) -> HttpResponse:
    own = request.membership
    roles = grantable(own.role)
    search = request.GET.get("search", "")[:200].replace("\0", "")
    found = people.members(workspace_id=own.workspace_id, search=search)
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    listed = [people.member(membership) for membership in page]
    if form is None and own.manages:
        form = InviteForm(initial={"invitation_id": uuid4(), "role": Role.MEMBER}, roles=roles)
    context = {
        "here": "people",
        "membership": own,
        "page": page,
        "search": search,
        # With what the asking person may do to each.
        "members": [(m, m.id == own.id, m.role in roles) for m in listed],
        "roles": roles,
        "form": form,
        "pending": [(p, p.role in roles) for p in invitations.pending(workspace_id=own.workspace_id)]
        if own.manages
        else [],
        **made,
    }
    response = render(request, "tenancy/people.html", context)
    add_never_cache_headers(response)
    return response
