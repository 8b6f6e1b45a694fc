"""The forms of people and accounts: sign in, throttled; join; invite; what one changes about oneself."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth import password_validation
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from konstruct.tenancy.models import Role, Theme, User
from konstruct.tenancy.throttle import WINDOW, SignInThrottle


class SignInForm(AuthenticationForm):
    """As Django's own, but for an e-mail address, and with a limit on guessing."""

    error_messages: dict[str, Any] = {  # noqa: RUF012 - Django reads it from the class
        "invalid_login": _("E-mail and password do not match."),
        # An account that was closed looks the same as a wrong password, to whoever is guessing.
        "inactive": _("E-mail and password do not match."),
        "throttled": _("Too many attempts to sign in. Please wait %(minutes)d minutes and try again."),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.fields["username"].label = _("E-mail")
        self.fields["username"].widget = forms.EmailInput(
            attrs={"autofocus": True, "autocomplete": "username", "inputmode": "email", "maxlength": 254}
        )

    def clean(self) -> dict[str, Any]:
        assert self.request is not None
        throttle = SignInThrottle(
            email=self.cleaned_data.get("username") or "", address=self.request.META.get("REMOTE_ADDR", "")
        )
        if not throttle.allow():
            raise ValidationError(
                self.error_messages["throttled"], code="throttled", params={"minutes": WINDOW // 60}
            )
        cleaned = super().clean()
        throttle.clear()
        return cleaned

    @property
    def is_throttled(self) -> bool:
        return self.has_error("__all__", code="throttled")


class _Form(forms.Form):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})


class CodeForm(_Form):
    """The secret of an invitation; a person without JavaScript puts the whole link in."""

    code = forms.CharField(
        label=_("Invitation link"),
        max_length=2000,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"].strip()
        return code.rpartition("#")[2]


class NewAccountForm(_Form):
    """Who joins without an account. `email`: whom the invitation is for, if it says so."""

    display_name = forms.CharField(
        label=_("Your name"), max_length=100, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username", "inputmode": "email"}),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=1000,
        help_text=_("At least 10 characters, and not one that many people use."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, email: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if email:
            self.fields["email"].disabled = True
            self.initial["email"] = email

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if password := cleaned.get("password"):
            user = User(email=cleaned.get("email", ""), display_name=cleaned.get("display_name", ""))
            _validate(self, "password", password, user)
        return cleaned


class InviteForm(_Form):
    """Whom to invite, and as what: one of `roles`."""

    # The invitation's own id, so that the form sent twice makes one.
    invitation_id = forms.UUIDField(widget=forms.HiddenInput)
    role = forms.ChoiceField(label=_("Role"))
    email = forms.EmailField(
        label=_("E-mail (optional)"),
        required=False,
        max_length=254,
        help_text=_("If you give one, only an account with this e-mail can use the link."),
        widget=forms.EmailInput(attrs={"autocomplete": "off", "inputmode": "email"}),
    )

    def __init__(self, *args: Any, roles: Iterable[Role], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = [(role.value, capfirst(role.label)) for role in roles]  # type: ignore[attr-defined]


class ProfileForm(_Form):
    display_name = forms.CharField(
        label=_("Name"), max_length=100, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    language = forms.ChoiceField(
        label=_("Language"),
        required=False,
        choices=[("", _("As my browser")), *settings.LANGUAGES],
    )
    theme = forms.ChoiceField(label=_("Appearance"), choices=Theme.choices, widget=forms.RadioSelect)


class PasswordForm(_Form):
    """`user`: whose password it is."""

    present = forms.CharField(
        label=_("Present password"),
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    wanted = forms.CharField(
        label=_("New password"),
        strip=False,
        max_length=1000,
        help_text=_("At least 10 characters, and not one that many people use."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._user = user

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if wanted := cleaned.get("wanted"):
            _validate(self, "wanted", wanted, self._user)
        return cleaned


def _validate(form: forms.Form, field: str, password: str, user: User) -> None:
    """By settings.AUTH_PASSWORD_VALIDATORS."""
    try:
        password_validation.validate_password(password, user)
    except ValidationError as error:
        form.add_error(field, error)
