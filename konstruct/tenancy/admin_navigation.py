"""What the admin's frame shows on every page: where one is, and where one can go (settings.UNFOLD)."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _

from konstruct.tenancy.admin_site import manages, membership_of, operates


def subheader(request: HttpRequest) -> str:
    """Below the product's name."""
    return _("Administration")


def place(request: HttpRequest) -> list[str]:
    """The label in the page's header, with its colour: the workspace one looks after, or the platform."""
    membership = membership_of(request)
    if membership is not None and membership.manages:
        return [membership.workspace.name, "primary"]
    return [_("Platform"), "warning"]


def icon(request: HttpRequest) -> str:
    """The portal's icon in the browser's tab."""
    return static("konstruct/icon.svg")


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups of links for those whom they concern; the index page shows them as cards."""
    groups = []
    if manages(request):
        groups.append(_group(_("Workspace"), *_workspace_items()))
    if operates(request):
        groups.append(_group(_("Platform"), *_platform_items()))
    portal = _item(_("Back to the portal"), "arrow_back", "/") | {"active": False}
    return [*groups, _group("", portal) | {"separator": True}]


def _workspace_items() -> list[dict[str, Any]]:
    return [
        _item(
            _("Employees"),
            "badge",
            reverse("admin:agents_agent_changelist"),
            _("Hire, instruct and retire AI employees."),
        ),
        _item(
            _("Conversations"),
            "forum",
            reverse("admin:chat_conversation_changelist"),
            _("Read what was asked and answered."),
        ),
        _item(
            _("Memory"),
            "psychology",
            reverse("admin:memory_memory_changelist"),
            _("How much employees remember of people."),
        ),
        _item(
            _("Shared notes"),
            "sticky_note_2",
            reverse("admin:memory_sharednote_changelist"),
            _("What employees may use with everybody."),
        ),
        _item(
            _("Rules of memory"),
            "policy",
            reverse("admin:memory_memorypolicy_changelist"),
            _("Whether owners and admins may read memories."),
        ),
    ]


def _platform_items() -> list[dict[str, Any]]:
    return [
        _item(
            _("Workspaces"),
            "apartment",
            reverse("admin:tenancy_workspace_changelist"),
            _("Companies, their hosts and people; suspend and take up again."),
        ),
        _item(
            _("Users"),
            "person",
            reverse("admin:tenancy_user_changelist"),
            _("Who can sign in, and with which password."),
        ),
        _item(
            _("Memberships"),
            "groups",
            reverse("admin:tenancy_membership_changelist"),
            _("Who may do what, and where."),
        ),
        _item(
            _("Jobs"),
            "schedule",
            reverse("admin:procrastinate_procrastinatejob_changelist"),
            _("What waits to be done, and what failed."),
        ),
    ]


def _group(title: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "items": list(items)}


def _item(title: str, icon: str, link: str, purpose: str = "") -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": link, "purpose": purpose}
