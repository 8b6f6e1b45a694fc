"""Employees in the admin: hired, changed and retired by the workspace's owners and admins.

`chat.admin` adds to the list what only it knows: how much each is talked to.
"""

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.decorators import display

from agents.admin_forms import AgentForm
from agents.models import Agent
from konstruct.tenancy.admin_site import TenantModelAdmin, site


def text_color_on(color: str) -> str:
    """Black or white, whichever is read more easily on the colour `#rrggbb` (ITU-R BT.601 brightness)."""
    try:
        red, green, blue = bytes.fromhex(color.removeprefix("#"))
    except ValueError:
        return "#000000"  # not a colour; the row was not written by a form
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else "#ffffff"


@admin.register(Agent, site=site)
class AgentAdmin(TenantModelAdmin):
    form = AgentForm
    list_display: tuple[str, ...] = ("avatar", "name", "title", "model_name", "is_active", "position")
    list_display_links = ("avatar", "name")
    list_filter = ("is_active", "model", "created_at")
    search_fields = ("name", "title", "persona", "system_prompt", "model")
    actions = ("activate", "retire")
    readonly_fields = ("created_at", "updated_at")
    warn_unsaved_form = True
    fieldsets = (
        (gettext_lazy("Who it is"), {"fields": ("name", "title", "color", "is_active", "position")}),
        (
            gettext_lazy("How it works"),
            {
                "fields": ("persona", "system_prompt"),
                "description": gettext_lazy(
                    "Both are part of every prompt. The company's name, the channel, the date and the"
                    " person's name are added by themselves."
                ),
            },
        ),
        (gettext_lazy("What it remembers"), {"fields": ("sees_shared",)}),
        (gettext_lazy("How a conversation begins"), {"fields": ("greeting", "starters")}),
        (
            gettext_lazy("Which model answers"),
            {"fields": ("model", "fallback_models", "temperature", "max_tokens")},
        ),
        (gettext_lazy("Dates"), {"fields": ("created_at", "updated_at")}),
    )

    @display(description="")
    def avatar(self, agent: Agent) -> SafeString:
        return format_html(
            '<svg width="32" height="32" viewBox="0 0 32 32" role="img" aria-label="{}">'
            '<circle cx="16" cy="16" r="16" fill="{}"/>'
            '<text x="16" y="21" text-anchor="middle" font-size="14" font-weight="600" fill="{}">{}</text>'
            "</svg>",
            agent.color,
            agent.color,
            text_color_on(agent.color),
            agent.name[:1].upper(),
        )

    @display(description=gettext_lazy("model"), ordering="model")
    def model_name(self, agent: Agent) -> str:
        return agent.model or _("default (%(model)s)") % {"model": settings.KONSTRUCT_MODEL}

    @admin.action(description=gettext_lazy("Activate"), permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        count = self._set_active(request, queryset, active=True)
        done = ngettext("%d employee is active now.", "%d employees are active now.", count) % count
        self.message_user(request, done, messages.SUCCESS)

    @admin.action(description=gettext_lazy("Retire: no new conversations"), permissions=["change"])
    def retire(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        count = self._set_active(request, queryset, active=False)
        done = ngettext("%d employee is retired.", "%d employees are retired.", count) % count
        self.message_user(request, done, messages.SUCCESS)
        if not Agent.objects.filter(is_active=True).exists():
            self.message_user(
                request, _("No employee is active now: nobody answers in this workspace."), messages.WARNING
            )

    def _set_active(self, request: HttpRequest, queryset: QuerySet[Agent], *, active: bool) -> int:
        """Row by row, not as one update: `updated_at` and the history tell of each change."""
        changed = list(queryset.exclude(is_active=active))
        for agent in changed:
            agent.is_active = active
            agent.save(update_fields=["is_active", "updated_at"])
            self.log_change(request, agent, [{"changed": {"fields": ["active"]}}])
        return len(changed)
