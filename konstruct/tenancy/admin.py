"""The platform's part of the admin: workspaces, users, memberships and jobs, for superusers."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import Count, OuterRef, QuerySet, Subquery, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from procrastinate.contrib.django.models import ProcrastinateJob
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm

from konstruct.tenancy import job_keeping
from konstruct.tenancy.admin_forms import (
    AddUserForm,
    ChangeUserForm,
    DomainForm,
    MembershipForm,
    MembershipFormSet,
)
from konstruct.tenancy.admin_site import PlatformInline, PlatformModelAdmin, site
from konstruct.tenancy.models import Domain, JobFailure, Membership, User, Workspace
from konstruct.tenancy.ownership import last_owner_sentence, left_without_owner
from konstruct.tenancy.workspaces import set_suspended


class MembershipInline(PlatformInline):
    model = Membership
    formset = MembershipFormSet
    fields = ("user", "workspace", "role")
    autocomplete_fields = ("user", "workspace")
    hide_title = True


class DomainInline(PlatformInline):
    model = Domain
    form = DomainForm
    hide_title = True
    verbose_name_plural = _("Host names that mean this workspace")


@admin.register(Workspace, site=site)
class WorkspaceAdmin(PlatformModelAdmin):
    """Making and deleting workspaces is left to the commands: both do more than write this row."""

    list_display = ("name", "slug", "members", "state", "created_at")
    list_filter = (("suspended_at", admin.EmptyFieldListFilter), "created_at")
    list_before_template = "admin/tenancy/workspace/commands.html"
    search_fields = ("name", "slug", "domains__domain")
    ordering = ("name",)
    fields = ("name", "slug", "schema_name", "suspended_at", "created_at")
    readonly_fields = ("slug", "schema_name", "suspended_at", "created_at")
    inlines = (MembershipInline, DomainInline)
    actions = ("suspend", "resume")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Workspace]:
        queryset: QuerySet[Workspace] = super().get_queryset(request)
        return queryset.annotate(member_count=Count("memberships", distinct=True))

    @display(description=_("members"), ordering="member_count")
    def members(self, workspace: Any) -> int:
        return int(workspace.member_count)

    @display(
        description=_("state"), ordering="suspended_at", label={"active": "success", "suspended": "danger"}
    )
    def state(self, workspace: Workspace) -> tuple[str, Any]:
        return ("suspended", _("suspended")) if workspace.is_suspended else ("active", _("active"))

    @admin.action(description=_("Suspend: close its sockets, let nobody in"), permissions=["change"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[Workspace]) -> None:
        self._set_suspended(request, queryset, suspended=True)

    @admin.action(description=_("Take up again"), permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Workspace]) -> None:
        self._set_suspended(request, queryset, suspended=False)

    def _set_suspended(self, request: HttpRequest, queryset: QuerySet[Workspace], *, suspended: bool) -> None:
        changed = [w for w in queryset if w.is_suspended != suspended]
        for workspace in changed:
            self.log_change(request, workspace, "Suspended." if suspended else "Taken up again.")
            set_suspended(slug=workspace.slug, suspended=suspended)
        if suspended:
            done = ngettext("%d workspace is suspended.", "%d workspaces are suspended.", len(changed))
        else:
            done = ngettext("%d workspace is open again.", "%d workspaces are open again.", len(changed))
        self.message_user(request, done % len(changed), messages.SUCCESS)


@admin.register(User, site=site)
class UserAdmin(PlatformModelAdmin, DjangoUserAdmin):
    """Users are deactivated, not deleted: conversations and the admin's log still name them."""

    form = ChangeUserForm
    add_form = AddUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "display_name", "workspaces", "is_active", "is_superuser", "last_login")
    list_filter = ("is_active", "is_superuser", "created_at")
    search_fields = ("email", "display_name")
    ordering = ("email",)
    filter_horizontal = ()
    readonly_fields = ("last_login", "created_at")
    fieldsets = (
        (None, {"fields": ("email", "display_name", "password")}),
        (_("Access"), {"fields": ("is_active", "is_superuser")}),
        (_("Dates"), {"fields": ("last_login", "created_at")}),
    )
    add_fieldsets = (
        (None, {"fields": ("email", "display_name", "usable_password", "password1", "password2")}),
    )
    inlines = (MembershipInline,)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        queryset: QuerySet[User] = super().get_queryset(request)
        return queryset.prefetch_related("memberships__workspace")

    def get_form(
        self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm]:
        form: type[ModelForm] = super().get_form(request, obj, change=change, **kwargs)
        # The class is made for this request, so its attribute is nobody else's.
        form.operator = request.user  # type: ignore[attr-defined]
        if is_superuser := form.base_fields.get("is_superuser"):
            is_superuser.label = _("Operator of the platform")
            is_superuser.help_text = _("Looks after all workspaces and people, but reads no conversation.")
        if is_active := form.base_fields.get("is_active"):
            is_active.help_text = _("Switched off, the person is signed out everywhere and cannot return.")
        return form

    @display(description=_("workspaces"))
    def workspaces(self, user: User) -> str:
        return ", ".join(sorted(f"{m.workspace} ({m.get_role_display()})" for m in user.memberships.all()))


@admin.register(Membership, site=site)
class MembershipAdmin(PlatformModelAdmin):
    form = MembershipForm
    list_display = ("user", "workspace", "role", "created_at")
    list_filter = ("role", "workspace")
    list_select_related = ("user", "workspace")
    search_fields = ("user__email", "user__display_name", "workspace__name", "workspace__slug")
    autocomplete_fields = ("user", "workspace")
    ordering = ("workspace__name", "user__email")

    def get_readonly_fields(self, request: HttpRequest, obj: Membership | None = None) -> tuple[str, ...]:
        return () if obj is None else ("user", "workspace", "created_at")

    def get_deleted_objects(
        self, objs: Iterable[Membership], request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """Django refuses to delete what is `protected`, one row or many: so are the last owners."""
        deleted, count, lacking, protected = super().get_deleted_objects(objs, request)
        last_owners = [last_owner_sentence(*lost) for lost in left_without_owner(losing=objs)]
        return deleted, count, lacking, [*protected, *last_owners]


@admin.register(ProcrastinateJob, site=site)
class JobAdmin(PlatformModelAdmin):
    """What waits and what failed: a list and no more. A job's own page, like its name (`str(job)`),
    would show its arguments, and those are tenant data."""

    list_display = ("id", "task_name", "workspace", "state", "failures", "last_failure", "due")
    list_display_links = None
    list_filter = ("status", "task_name")
    search_fields = ("task_name",)
    ordering = ("-id",)
    actions = ("try_again",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and self.allows(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_repeat_permission(self, request: HttpRequest) -> bool:
        return self.allows(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProcrastinateJob]:
        queryset: QuerySet[ProcrastinateJob] = super().get_queryset(request)
        of_job = JobFailure.objects.filter(job_id=OuterRef("pk"))
        # As text: nothing keeps other programs from putting anything into a job's arguments.
        named = Workspace.objects.annotate(text=Cast("id", TextField())).filter(text=OuterRef("workspace_id"))
        return queryset.annotate(
            workspace_id=KeyTextTransform("workspace_id", "args"),
            workspace_name=Subquery(named.values("name")[:1]),
            failure_count=Subquery(of_job.values("failures")[:1]),
            failure_error=Subquery(of_job.values("error")[:1]),
            failure_sentence=Subquery(of_job.values("sentence")[:1]),
        )

    @display(description=_("workspace"), ordering="workspace_name")
    def workspace(self, job: Any) -> str:
        return job.workspace_name or "–"

    @display(
        description=_("state"),
        ordering="status",
        label={"waits": "info", "held": "warning", "runs": "success", "failed": "danger"},
    )
    def state(self, job: Any) -> tuple[str, Any]:
        if job.status == "todo":
            return ("held", _("held")) if job.scheduled_at == job_keeping.HELD else ("waits", _("waits"))
        words = {"doing": ("runs", _("runs")), "failed": ("failed", _("failed"))}
        return words.get(job.status, (job.status, job.status))

    @display(description=_("failed (times)"), ordering="failure_count")
    def failures(self, job: Any) -> int:
        return job.failure_count or 0

    @display(description=_("last failure"))
    def last_failure(self, job: Any) -> str:
        return f"{job.failure_sentence} ({job.failure_error})" if job.failure_error else ""

    @display(description=_("due"), ordering="scheduled_at")
    def due(self, job: Any) -> Any:
        return None if job.scheduled_at == job_keeping.HELD else job.scheduled_at

    @admin.action(description=_("Try again"), permissions=["repeat"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[ProcrastinateJob]) -> None:
        count = job_keeping.try_again(job_ids=list(queryset.values_list("pk", flat=True)))
        done = ngettext("%d failed job waits again.", "%d failed jobs wait again.", count)
        self.message_user(request, done % count, messages.SUCCESS if count else messages.WARNING)
