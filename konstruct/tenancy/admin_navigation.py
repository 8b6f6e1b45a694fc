"""What the admin's frame shows on every page: where one is, and where one can go (settings.UNFOLD)."""

from typing import Any

from django.http import HttpRequest
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


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups of links for those whom they concern."""
    groups = []
    if manages(request):
        groups.append(
            _group(
                _("Workspace"),
                _item(_("Employees"), "badge", reverse("admin:agents_agent_changelist")),
                _item(_("Conversations"), "forum", reverse("admin:chat_conversation_changelist")),
            )
        )
    if operates(request):
        groups.append(
            _group(
                _("Platform"),
                _item(_("Workspaces"), "apartment", reverse("admin:tenancy_workspace_changelist")),
                _item(_("Users"), "person", reverse("admin:tenancy_user_changelist")),
                _item(_("Memberships"), "groups", reverse("admin:tenancy_membership_changelist")),
                _item(_("Jobs"), "schedule", reverse("admin:procrastinate_procrastinatejob_changelist")),
            )
        )
    portal = _item(_("Back to the portal"), "arrow_back", "/") | {"active": False}
    return [*groups, _group("", portal) | {"separator": True}]


def _group(title: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "items": list(items)}


def _item(title: str, icon: str, link: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": link}
