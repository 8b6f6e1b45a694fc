"""Who there is: users, workspaces, and who belongs where. All of it in the shared schema."""

import hashlib
import re
import uuid
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django_tenants.models import DomainMixin, TenantMixin

# A DNS label (RFC 1035, 2.3.1), short enough for a schema's name (63 bytes) with its prefix.
SLUG_PATTERN = re.compile(r"^[a-z][a-z0-9-]{0,46}[a-z0-9]$")


class Role(models.TextChoices):
    """What a member may do. Owners and admins look after employees and people; only owners after owners."""

    OWNER = "owner", _("owner")
    ADMIN = "admin", _("admin")
    MEMBER = "member", _("member")


MANAGING_ROLES = frozenset({Role.OWNER, Role.ADMIN})


class Theme(models.TextChoices):
    """How pages look: as the person's system does, or always light or dark."""

    SYSTEM = "system", _("As my system")
    LIGHT = "light", _("Light")
    DARK = "dark", _("Dark")


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A new user who signs in with `email` (stored in lower case). None means no password works."""
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, **{**fields, "is_staff": True, "is_superuser": True})


class User(AbstractBaseUser, PermissionsMixin):
    """A person, shared by all workspaces. `is_superuser` marks an operator of the platform."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(_("e-mail"), unique=True)
    display_name = models.CharField(_("name"), max_length=100, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    is_staff = models.BooleanField(_("staff"), default=False)
    # One of settings.LANGUAGES; empty: whichever the browser asks for.
    language = models.CharField(_("language"), max_length=10, blank=True)
    theme = models.CharField(_("appearance"), max_length=10, choices=Theme.choices, default=Theme.SYSTEM)
    # How often this person has signed out everywhere.
    sign_outs = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")

    def __str__(self) -> str:
        return self.email

    @property
    def name(self) -> str:
        """What the person is called in the portal and in prompts."""
        return self.display_name or self.email.partition("@")[0]

    def get_full_name(self) -> str:
        """As `name`; what Django's admin asks for."""
        return self.name

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """What a session must carry to be this user's. Signing out everywhere changes it, as a new
        password does: so that no session is missed, wherever it is kept."""
        digest: str = super()._get_session_auth_hash(secret=secret)  # type: ignore[misc]
        if self.sign_outs:
            digest = hashlib.sha256(f"{digest}:{self.sign_outs}".encode()).hexdigest()
        return digest


class Workspace(TenantMixin):
    """A company. Its chat, employees and memory live in a schema of its own (`schema_name`)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=100)
    slug = models.CharField(
        max_length=48,
        unique=True,
        validators=[
            RegexValidator(SLUG_PATTERN, _("Lower-case letters, digits and hyphens, from a letter on."))
        ],
    )
    suspended_at = models.DateTimeField(_("suspended"), null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    # The schema is made and dropped by konstruct.tenancy.workspaces, in the row's transaction.
    auto_create_schema = False
    auto_drop_schema = False

    class Meta:
        verbose_name = _("workspace")
        verbose_name_plural = _("workspaces")

    def __str__(self) -> str:
        return self.name

    @property
    def is_suspended(self) -> bool:
        return self.suspended_at is not None


class Domain(DomainMixin):
    """A host name that means a workspace (design decision 7)."""

    class Meta:
        verbose_name = _("domain")
        verbose_name_plural = _("domains")


class Membership(models.Model):
    """A user's place in a workspace. Without it the workspace does not exist for the user."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(_("role"), max_length=10, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(auto_now_add=True)
    # To a few minutes; see konstruct.tenancy.sessions.
    last_seen_at = models.DateTimeField(_("last seen"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "workspace"], name="one_membership_a_workspace"),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.workspace} · {self.role}"

    @property
    def manages(self) -> bool:
        """Whether this member may look after employees and conversations."""
        return self.role in MANAGING_ROLES


class JobFailure(models.Model):
    """Why a job of procrastinate's table failed last; gone when the job is (konstruct.tenancy.job_keeping).

    `error` is the name of its class, `sentence` says it to the platform's operators: neither quotes anything.
    """

    job_id = models.BigIntegerField(primary_key=True)
    error = models.CharField(_("error"), max_length=100)
    sentence = models.CharField(_("what went wrong"), max_length=300)
    failures = models.PositiveIntegerField(_("failed"))
    failed_at = models.DateTimeField(_("failed last"))
    gave_up = models.BooleanField()

    class Meta:
        verbose_name = _("failure")
        verbose_name_plural = _("failures")

    def __str__(self) -> str:
        return f"{self.job_id}: {self.error}"


class Invitation(models.Model):
    """A link by which one person may join a workspace, once. See konstruct.tenancy.invitations."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="invitations")
    # SHA-256 of the link's secret, which is nowhere else.
    token_hash = models.CharField(max_length=64, unique=True)
    role = models.CharField(_("role"), max_length=10, choices=Role.choices, default=Role.MEMBER)
    # Whom it is for; empty: whoever has the link.
    email = models.EmailField(_("e-mail"), blank=True)
    created_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    accepted_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")

    def __str__(self) -> str:
        return f"{self.workspace} · {self.role}"


class SignIn(models.Model):
    """One of a person's sessions, as the person sees it: where it was begun, and when it was last used.

    The session itself is Django's; it is named by its fingerprint (konstruct.tenancy.tokens), so that this
    table opens nothing.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_ins")
    fingerprint = models.CharField(max_length=64, unique=True)
    user_agent = models.CharField(max_length=300, blank=True)
    began_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField()

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")

    def __str__(self) -> str:
        return f"{self.user} · {self.began_at:%Y-%m-%d}"
