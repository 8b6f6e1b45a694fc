"""Memory in the admin: how much is remembered, the workspace's shared notes, and who may read what.

Owners and admins see numbers. Texts they see only where the workspace's rules let them (`MemoryPolicy`),
which its owners alone change. Nothing here writes a text into the admin's log: rows are named by kind
and id (`Memory.__str__`).

Employees and jobs are not this room's: `chat.memory_admin` completes these classes with them.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from konstruct.tenancy.admin_site import TenantModelAdmin, membership_of, site
from konstruct.tenancy.models import Role, User
from memory import authoring, notes, store
from memory.errors import InvalidText, MemoryNotFound, SecretText
from memory.models import Kind, Memory, MemoryPolicy, SharedNote
from memory.values import MAX_NOTE

# Characters of a text in a list.
EXCERPT = 160


def owns(request: HttpRequest) -> bool:
    """Whether the user is an owner of the workspace the request is in."""
    membership = membership_of(request)
    return membership is not None and membership.role == Role.OWNER


class MemoryAdmin(TenantModelAdmin):
    """What is remembered of people: how much with each employee, and, where managers may read, what."""

    list_display = ("excerpt", "person", "employee", "kind", "said_at")
    list_display_links = ("excerpt",)
    list_filter = ("kind", "said_at")
    search_fields = ("text",)
    search_help_text = gettext_lazy("Words of the text")
    list_per_page = 50
    list_before_template = "admin/memory/counts.html"
    fields = (
        ("person", "employee"),
        "kind",
        "text",
        ("said_at", "confirmed_at", "times_said"),
        ("confidence", "edited_at"),
    )
    readonly_fields = ("person", "employee")
    actions = None

    def employees(self) -> dict[UUID, str]:
        """The workspace's employees' names, by id."""
        raise NotImplementedError

    def may_read(self, request: HttpRequest) -> bool:
        return self.allows(request) and store.policy().managers_may_read

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Memory]:
        """People's memories, without history; none of them for those who may see numbers only."""
        queryset: QuerySet[Memory] = super().get_queryset(request)
        if not self.may_read(request):
            return queryset.none()
        person = User.objects.filter(id=OuterRef("user_id"))
        return (
            queryset.filter(user_id__isnull=False, superseded_at=None)
            .defer("words")
            .annotate(
                person_email=Subquery(person.values("email")),
                person_name=Subquery(person.values("display_name")),
            )
        )

    def get_list_filter(self, request: HttpRequest) -> Any:
        return self.list_filter if self.may_read(request) else ()

    def get_search_fields(self, request: HttpRequest) -> Any:
        return self.search_fields if self.may_read(request) else ()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if not self.allows(request):
            # Django would ask after this, and there may be no workspace to count in.
            raise PermissionDenied
        context = {"title": _("Memory"), "counts": self._counts(), **(extra_context or {})}
        if self.may_read(request):
            return super().changelist_view(request, context)
        context |= {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, "admin/memory/numbers.html", context)

    def _counts(self) -> dict[str, Any]:
        """How much each employee remembers, as a table; employees with most of it first."""
        names = self.employees()
        found = [one for one in store.counts_by_agent() if one.agent_id in names or one.agent_id is None]
        found.sort(key=lambda one: -(one.facts + one.exchanges + one.notes))
        return {
            "headers": [_("employee"), _("facts"), _("what was said"), _("notes"), _("people")],
            "rows": [
                [
                    names[one.agent_id] if one.agent_id else _("all employees"),
                    str(one.facts),
                    str(one.exchanges),
                    str(one.notes),
                    str(one.people),
                ]
                for one in found
            ],
        }

    @display(description=gettext_lazy("text"))
    def excerpt(self, memory: Memory) -> str:
        return Truncator(memory.text).chars(EXCERPT)

    @display(description=gettext_lazy("person"))
    def person(self, memory: Any) -> str:
        if memory.person_email is None:
            return _("a former user")
        name, email = memory.person_name, memory.person_email
        return f"{name} · {email}" if name else str(email)

    @display(description=gettext_lazy("employee"))
    def employee(self, memory: Memory) -> str:
        return _employee_name(self.employees(), memory)


class NoteForm(forms.ModelForm):
    text = forms.CharField(
        label=gettext_lazy("Text"),
        max_length=MAX_NOTE,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text=gettext_lazy("What employees may use with everybody in this workspace."),
    )
    agent_id = forms.TypedChoiceField(
        label=gettext_lazy("For"),
        required=False,
        coerce=UUID,
        empty_value=None,
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = SharedNote
        fields = ("text", "agent_id")

    def clean_text(self) -> str:
        try:
            return notes.checked(self.cleaned_data["text"])
        except (InvalidText, SecretText) as error:
            raise ValidationError(error.sentence) from error


class NoteAdmin(TenantModelAdmin):
    """The workspace's shared notes, written by its owners and admins."""

    form = NoteForm
    list_display = ("excerpt", "employee", "said_at", "edited_at")
    list_display_links = ("excerpt",)
    search_fields = ("text",)
    list_per_page = 50
    fields = ("text", "agent_id")

    def employees(self) -> dict[UUID, str]:
        """The workspace's employees' names, by id."""
        raise NotImplementedError

    def later(self, request: HttpRequest) -> authoring.Later:
        """Who makes the vectors of a remote embedder."""
        raise NotImplementedError

    def forget(self, request: HttpRequest, memory_id: UUID) -> None:
        """Take the note away, and what waits to be done with it."""
        raise NotImplementedError

    def get_queryset(self, request: HttpRequest) -> QuerySet[SharedNote]:
        queryset: QuerySet[SharedNote] = super().get_queryset(request)
        return queryset.filter(user_id=None, kind=Kind.NOTE, superseded_at=None).defer("words")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("employee",) if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Whom a note is for is decided once."""
        return ("text", "employee") if obj else ("text", "agent_id")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        if "agent_id" in form.base_fields:
            everybody = ("", _("all employees"))
            form.base_fields["agent_id"].choices = [everybody, *self.employees().items()]
        return form

    def save_model(self, request: HttpRequest, obj: SharedNote, form: forms.ModelForm, change: bool) -> None:
        """As the API does it: embedded at once or soon. Of the text only the fact is logged."""
        text, later = form.cleaned_data["text"], self.later(request)
        if change:
            try:
                authoring.edit(user_id=None, memory_id=obj.id, text=text, later=later)
            except MemoryNotFound:
                # Removed by somebody else since the form was checked.
                raise Http404 from None
        else:
            obj.pk = authoring.add_note(text=text, agent_id=form.cleaned_data["agent_id"], later=later).id

    def delete_model(self, request: HttpRequest, obj: SharedNote) -> None:
        self.forget(request, obj.id)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[SharedNote]) -> None:
        for memory_id in list(queryset.values_list("id", flat=True)):
            try:
                self.forget(request, memory_id)
            except MemoryNotFound:
                # Somebody else was quicker.
                continue

    def get_deleted_objects(
        self, objs: Iterable[SharedNote], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """The notes by their text, which Django would look for in `__str__`; what hangs on them is ours."""
        listed = list(objs)
        texts = [Truncator(note.text).chars(EXCERPT) for note in listed]
        return texts, {_("shared notes"): len(listed)}, set(), []

    @display(description=gettext_lazy("text"))
    def excerpt(self, note: SharedNote) -> str:
        return Truncator(note.text).chars(EXCERPT)

    @display(description=gettext_lazy("for"))
    def employee(self, note: SharedNote) -> str:
        return _employee_name(self.employees(), note)


@admin.register(MemoryPolicy, site=site)
class PolicyAdmin(TenantModelAdmin):
    """The workspace's rules: seen by owners and admins, changed by owners."""

    fields = ("managers_may_read", "embedder")
    readonly_fields = ("embedder",)
    actions = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.allows(request) and owns(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """There is one row, which is made here if nobody has asked for the rules before."""
        if self.has_view_permission(request):
            store.policy()
        return redirect("admin:memory_memorypolicy_change", 1)

    def save_model(
        self, request: HttpRequest, obj: MemoryPolicy, form: forms.ModelForm, change: bool
    ) -> None:
        store.set_policy(managers_may_read=form.cleaned_data["managers_may_read"])


def _employee_name(names: dict[UUID, str], memory: Memory) -> str:
    if memory.agent_id is None:
        return _("all employees")
    return names.get(memory.agent_id) or _("a former employee")
