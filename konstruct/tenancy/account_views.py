"""My account: name, language, appearance, password, and the sessions one is signed in by."""

from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from konstruct.tenancy import account, sessions
from konstruct.tenancy.account import WrongPassword
from konstruct.tenancy.forms import PasswordForm, ProfileForm
from konstruct.tenancy.models import User
from konstruct.tenancy.personal import speak
from konstruct.tenancy.throttle import WINDOW, Throttle


@require_GET
@login_required
def account_page(request: HttpRequest) -> HttpResponse:
    return _page(request)


@require_POST
@login_required
def save_profile(request: HttpRequest) -> HttpResponse:
    form = ProfileForm(request.POST)
    if not form.is_valid():
        return _page(request, profile=form)
    user = account.set_profile(user_id=_user(request).id, **form.cleaned_data)
    speak(request, user.language)
    messages.success(request, _("Saved."))
    return redirect("account")


@sensitive_post_parameters()
@sensitive_variables()
@require_POST
@login_required
def change_password(request: HttpRequest) -> HttpResponse:
    """A new password: this session goes on, under a new key; all others end."""
    user = _user(request)
    form = PasswordForm(request.POST, user=user)
    if not form.is_valid():
        return _page(request, password=form)
    throttle = Throttle("password", str(user.id))
    if not throttle.allow():
        sentence = _("Too many attempts. Please wait %(minutes)d minutes and try again.")
        form.add_error(None, sentence % {"minutes": WINDOW // 60})
        response = _page(request, password=form)
        response.status_code = 429
        return response
    old_key = request.session.session_key
    try:
        # In one step with the session's new key: else a request in between would find the old session under
        # the new password, which Django takes for stolen.
        with transaction.atomic():
            changed = account.change_password(user_id=user.id, kept_key=old_key, **form.cleaned_data)
            update_session_auth_hash(request, changed)
            if old_key and request.session.session_key:
                sessions.rename(old_key=old_key, new_key=request.session.session_key)
    except WrongPassword as error:
        form.add_error("present", str(error))
        return _page(request, password=form)
    throttle.clear()
    messages.success(request, _("Your password is changed. All other sessions have ended."))
    return redirect("account")


@require_POST
@login_required
def end_session(request: HttpRequest, session_id: UUID) -> HttpResponse:
    sessions.end(user_id=_user(request).id, session_id=session_id)
    messages.success(request, _("That session has ended."))
    return redirect("account")


@require_POST
@login_required
def sign_out_everywhere(request: HttpRequest) -> HttpResponse:
    sessions.sign_out_everywhere(user_id=_user(request).id)
    logout(request)
    return redirect("sign-in")


def _user(request: HttpRequest) -> User:
    """Who is signed in; `login_required` has seen to that."""
    return cast(User, request.user)


def _page(
    request: HttpRequest, *, profile: ProfileForm | None = None, password: PasswordForm | None = None
) -> HttpResponse:
    user = _user(request)
    stored = {"display_name": user.name, "language": user.language, "theme": user.theme}
    context: dict[str, Any] = {
        "here": "account",
        "membership": request.membership,  # type: ignore[attr-defined]
        "profile": profile or ProfileForm(initial=stored),
        "password": password or PasswordForm(user=user),
        "sessions": sessions.living(user=user, current_key=request.session.session_key),
    }
    response = render(request, "tenancy/account.html", context)
    add_never_cache_headers(response)
    return response
