"""The sign-in form: e-mail and password, throttled."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

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
