"""Making, suspending and deleting workspaces, and letting people in. Synchronous, keyword-only."""

from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django_tenants.utils import get_public_schema_name, schema_context

from konstruct.tenancy import job_keeping
from konstruct.tenancy.door import WorkspaceRef, leave_workspace
from konstruct.tenancy.models import SLUG_PATTERN, Domain, Membership, Role, User, Workspace


class WorkspaceError(ValueError):
    """What was asked of a workspace cannot be done; the message is for a person."""


def reference(workspace: Workspace) -> WorkspaceRef:
    return WorkspaceRef(
        id=workspace.id, schema_name=workspace.schema_name, name=workspace.name, slug=workspace.slug
    )


def create_workspace(*, name: str, slug: str, host: str = "") -> Workspace:
    """A new workspace with its schema, migrated. `host`: a host name that is to mean it, if any.

    All or nothing: row, schema and tables are made in one transaction. Raises WorkspaceError.
    """
    name = name.strip()
    if not name or len(name) > 100:
        raise WorkspaceError("A workspace needs a name of at most 100 characters.")
    if not SLUG_PATTERN.match(slug):
        raise WorkspaceError(
            f"{slug!r} cannot be a workspace's slug: 2 to 48 lower-case letters, digits and hyphens,"
            " beginning with a letter and not ending with a hyphen."
        )
    with schema_context(get_public_schema_name()), transaction.atomic():
        if Workspace.objects.filter(slug=slug).exists():
            raise WorkspaceError(f"There is a workspace {slug!r} already.")
        workspace = Workspace(name=name, slug=slug, schema_name=f"ws_{slug.replace('-', '_')}")
        workspace.save()
        try:
            workspace.create_schema(check_if_exists=True, verbosity=0)
        finally:
            leave_workspace()
        if host:
            add_domain(workspace=workspace, host=host)
    return workspace


def add_domain(*, workspace: Workspace, host: str) -> Domain:
    """Let the host name (without port) mean the workspace. Raises WorkspaceError if it is taken."""
    host = host.strip().lower().rstrip(".")
    if Domain.objects.filter(domain=host).exists():
        raise WorkspaceError(f"The host {host} already means another workspace.")
    return Domain.objects.create(
        domain=host, tenant=workspace, is_primary=not workspace.domains.filter(is_primary=True).exists()
    )


def add_member(*, workspace: Workspace, user: User, role: str = Role.MEMBER) -> Membership:
    """Give the user a role in the workspace, or change it."""
    membership, _ = Membership.objects.update_or_create(
        user=user, workspace=workspace, defaults={"role": Role(role)}
    )
    return membership


def set_suspended(*, slug: str, suspended: bool) -> Workspace:
    """Suspend the workspace or take it up again. Its sockets learn it by konstruct.tenancy.access; its
    jobs are held as they become due, and are due at once when it is taken up again.
    """
    workspace = get_workspace(slug=slug)
    workspace.suspended_at = (workspace.suspended_at or timezone.now()) if suspended else None
    with transaction.atomic():
        workspace.save(update_fields=["suspended_at"])
        if not suspended:
            job_keeping.release(workspace_id=workspace.id)
    return workspace


def delete_workspace(*, slug: str) -> None:
    """Delete the workspace with everything in it: its schema, hosts, memberships and jobs, for good."""
    with schema_context(get_public_schema_name()), transaction.atomic():
        workspace = get_workspace(slug=slug)
        job_keeping.delete_of_workspace(workspace_id=workspace.id)
        workspace.delete(force_drop=True)


def get_workspace(*, slug: str) -> Workspace:
    try:
        return Workspace.objects.get(slug=slug)
    except Workspace.DoesNotExist:
        raise WorkspaceError(f"There is no workspace {slug!r}.") from None


def active_workspaces() -> list[WorkspaceRef]:
    """All workspaces that are not suspended, for what runs over every one of them."""
    return [reference(w) for w in Workspace.objects.filter(suspended_at=None).order_by("created_at")]


def find_active_workspace(*, workspace_id: UUID) -> WorkspaceRef | None:
    """The workspace, unless it is gone or suspended."""
    workspace = Workspace.objects.filter(id=workspace_id, suspended_at=None).first()
    return reference(workspace) if workspace else None


def find_membership(*, user_id: UUID, workspace_id: UUID) -> Membership | None:
    """The active user's membership in a workspace that is not suspended, or None. One query."""
    return (
        Membership.objects.select_related("workspace", "user")
        .filter(
            user_id=user_id,
            workspace_id=workspace_id,
            user__is_active=True,
            workspace__suspended_at=None,
        )
        .first()
    )
