"""Joining a workspace by an invitation's link: signed in, or with a new account.

`/join/#secret` → the secret is posted to `/join/` → the invitation's id waits in the session →
`/join/accept/`. No address that a server sees holds the secret.
"""

from uuid import UUID

from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from konstruct.tenancy import invitations
from konstruct.tenancy.forms import CodeForm, NewAccountForm
from konstruct.tenancy.http import SESSION_KEY, workspace_id_of_host
from konstruct.tenancy.invitations import AlreadyMember, EmailTaken, InvitationDead, Offer
from konstruct.tenancy.people import PeopleError
from konstruct.tenancy.throttle import WINDOW, Throttle

# Which invitation this session has opened.
INVITATION_KEY = "invitation"


@sensitive_post_parameters()
@sensitive_variables()
@require_http_methods(["GET", "POST"])
def open_invitation(request: HttpRequest) -> HttpResponse:
    """Take the link's secret, and go on to what it offers."""
    form = CodeForm(request.POST or None)
    if not form.is_valid():
        return _answer(request, "tenancy/join.html", {"form": form})
    throttle = Throttle("join", request.META.get("REMOTE_ADDR", ""))
    if not throttle.allow():
        return _too_many(request, "tenancy/join.html", {"form": CodeForm()})
    try:
        invitation_id = invitations.find(
            token=form.cleaned_data["code"], workspace_id=workspace_id_of_host(request.get_host())
        )
    except InvitationDead:
        return _dead(request)
    throttle.clear()
    request.session[INVITATION_KEY] = str(invitation_id)
    return redirect("accept-invitation")


@require_http_methods(["GET", "POST"])
def accept_invitation(request: HttpRequest) -> HttpResponse:
    """What is offered; posted by somebody who is signed in: join."""
    try:
        offered = _offered(request)
    except InvitationDead:
        return _dead(request)
    if request.method == "GET" or not request.user.is_authenticated:
        return _offer_page(request, offered)
    try:
        invitations.accept(invitation_id=offered.id, user_id=request.user.id)
    except InvitationDead:
        return _dead(request)
    except AlreadyMember:
        pass  # What was wanted is so. The link stays good for whom it was made.
    except PeopleError as error:
        return _offer_page(request, offered, problem=str(error))
    return _enter(request, offered.workspace_id)


@sensitive_post_parameters("password")
@sensitive_variables()
@require_POST
def join_as_new(request: HttpRequest) -> HttpResponse:
    """Make an account and join with it."""
    try:
        offered = _offered(request)
    except InvitationDead:
        return _dead(request)
    if request.user.is_authenticated:
        return redirect("accept-invitation")
    form = NewAccountForm(request.POST, email=offered.email)
    if not form.is_valid():
        return _offer_page(request, offered, form=form)
    throttle = Throttle("new-account", str(offered.id), request.META.get("REMOTE_ADDR", ""))
    if not throttle.allow():
        return _too_many(request, "tenancy/accept_invitation.html", {"form": form, "offer": offered})
    try:
        user = invitations.accept_as_new(invitation_id=offered.id, **form.cleaned_data)
    except InvitationDead:
        return _dead(request)
    except EmailTaken as error:
        form.add_error("email", str(error))
        return _offer_page(request, offered, form=form)
    login(request, user)
    return _enter(request, offered.workspace_id)


@require_POST
def join_as_other(request: HttpRequest) -> HttpResponse:
    """Sign out, and accept the invitation as somebody else."""
    waiting = request.session.get(INVITATION_KEY)
    logout(request)
    if waiting is not None:
        request.session[INVITATION_KEY] = waiting
    return redirect("accept-invitation")


def _offered(request: HttpRequest) -> Offer:
    """What this session's invitation offers. Raises InvitationDead."""
    try:
        return invitations.offer(invitation_id=UUID(request.session[INVITATION_KEY]))
    except (KeyError, ValueError, TypeError) as error:
        raise InvitationDead from error


def _enter(request: HttpRequest, workspace_id: UUID) -> HttpResponse:
    request.session.pop(INVITATION_KEY, None)
    request.session[SESSION_KEY] = str(workspace_id)
    return redirect("home")


def _offer_page(
    request: HttpRequest, offered: Offer, *, form: NewAccountForm | None = None, problem: str = ""
) -> HttpResponse:
    if offered.email and request.user.is_authenticated and request.user.email.lower() != offered.email:
        problem = str(invitations.ForSomebodyElse(offered.email))
    context = {
        "offer": offered,
        "form": form or NewAccountForm(email=offered.email),
        "problem": problem,
    }
    return _answer(request, "tenancy/accept_invitation.html", context)


def _dead(request: HttpRequest) -> HttpResponse:
    request.session.pop(INVITATION_KEY, None)
    return _answer(request, "tenancy/join.html", {"form": CodeForm(), "problem": str(InvitationDead())})


def _too_many(request: HttpRequest, template: str, context: dict[str, object]) -> HttpResponse:
    sentence = _("Too many attempts. Please wait %(minutes)d minutes and try again.")
    response = _answer(request, template, {**context, "problem": sentence % {"minutes": WINDOW // 60}})
    response.status_code = 429
    return response


def _answer(request: HttpRequest, template: str, context: dict[str, object]) -> HttpResponse:
    response = render(request, template, context)
    add_never_cache_headers(response)
    return response
