"""The rule that a workspace never loses its last owner, asked before memberships are changed."""

from collections.abc import Iterable
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext as _

from konstruct.tenancy.models import Membership, Role, Workspace


def left_without_owner(
    *, losing: Iterable[Membership], gaining: Iterable[UUID] = ()
) -> list[tuple[Membership, Workspace]]:
    """Those of the memberships `losing` (deleted, demoted or moved, as they are stored now) whose
    workspace would have no owner left, although `gaining` get one by the same change.

    In a transaction the workspaces stay locked until its end, so that of two people who take each
    other's ownership away at the same time, the second one is told.
    """
    ids = [membership.pk for membership in losing]
    owners = Membership.objects.filter(pk__in=ids, role=Role.OWNER).exclude(workspace_id__in=gaining)
    workspaces = Workspace.objects.filter(pk__in=owners.values("workspace_id")).order_by("pk")
    if connection.in_atomic_block:
        workspaces = workspaces.select_for_update()
    by_id = {workspace.pk: workspace for workspace in workspaces}
    kept = set(
        Membership.objects.filter(workspace_id__in=by_id, role=Role.OWNER)
        .exclude(pk__in=ids)
        .values_list("workspace_id", flat=True)
    )
    return [(m, by_id[m.workspace_id]) for m in owners.select_related("user") if m.workspace_id not in kept]


def last_owner_sentence(membership: Membership, workspace: Workspace) -> str:
    """Why the membership has to stay as it is, and what to do first."""
    return _("%(person)s is the last owner of %(workspace)s: make somebody else an owner first.") % {
        "person": membership.user,
        "workspace": workspace,
    }
