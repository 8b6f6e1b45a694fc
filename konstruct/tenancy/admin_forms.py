"""Forms of the platform's admin: people with an e-mail for a name, and memberships that leave an owner."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from unfold.forms import PaginationInlineFormSet, UserChangeForm, UserCreationForm

from konstruct.tenancy.models import Domain, Membership, Role, User
from konstruct.tenancy.ownership import last_owner_sentence, left_without_owner


class _EmailMixin(forms.ModelForm):
    """E-mails are stored in lower case, so that one mailbox is one user however it is typed."""

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"].strip().lower()
        if User.objects.filter(email__iexact=email).exclude(pk=self.instance.pk).exists():
            raise ValidationError(_("There is a user with this e-mail already."))
        return email


class AddUserForm(_EmailMixin, UserCreationForm):
    class Meta:
        model = User
        fields = ("email", "display_name")


class ChangeUserForm(_EmailMixin, UserChangeForm):
    # Set by UserAdmin: the operator who fills the form in.
    operator: User

    class Meta:
        model = User
        fields = ("email", "display_name", "password", "is_active", "is_superuser")

    def clean(self) -> dict[str, Any]:
        """Nobody locks themselves out; another operator can still do it."""
        cleaned: dict[str, Any] = super().clean() or {}
        if self.instance == self.operator:
            for field in ("is_active", "is_superuser"):
                if not cleaned.get(field):
                    self.add_error(field, _("You cannot take this away from yourself."))
        return cleaned


class MembershipForm(forms.ModelForm):
    class Meta:
        model = Membership
        fields = ("user", "workspace", "role")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.instance._state.adding and cleaned.get("role") not in (None, Role.OWNER):
            for membership, workspace in left_without_owner(losing=[self.instance]):
                self.add_error("role", last_owner_sentence(membership, workspace))
        return cleaned


class MembershipFormSet(PaginationInlineFormSet):
    """The memberships of one workspace or one user, judged together: an ownership may be handed over."""

    def clean(self) -> None:
        super().clean()
        kept = [form for form in self.forms if not self._should_delete_form(form)]
        if any(form.errors for form in kept):
            return  # nothing will be saved
        # As if all rows were taken away, and those that are to be owners put back.
        owners = [form.instance for form in kept if form.cleaned_data.get("role") == Role.OWNER]
        lost = left_without_owner(
            losing=[form.instance for form in self.initial_forms],
            gaining=[membership.workspace_id for membership in owners],
        )
        if lost:
            raise ValidationError([last_owner_sentence(*pair) for pair in lost])


class DomainForm(forms.ModelForm):
    class Meta:
        model = Domain
        fields = ("domain", "is_primary")

    def clean_domain(self) -> str:
        """As WorkspaceMiddleware looks it up: in lower case, without a port."""
        host: str = self.cleaned_data["domain"].strip().lower().rstrip(".")
        if not host or any(c in host for c in "/:@ "):
            raise ValidationError(_("A host name only, like acme.example.com: no scheme, port or path."))
        return host
