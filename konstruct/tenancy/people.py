"""The people of a workspace: who they are, what they may do, and how they leave. Keyword-only, atomic.

One rule decides who may touch whom (`grantable`). Every change holds the workspace's row until it is
committed and asks only then, so that of two changes made at once the second one sees the first. Sockets
of those concerned close by the database's triggers (konstruct.tenancy.access).
"""

import logging
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce, Lower, NullIf
from django.utils import timezone
from django.utils.translation import gettext as _
from msgspec import Struct

from konstruct.tenancy.models import Invitation, Membership, Role, Workspace
from konstruct.tenancy.ownership import last_owner_sentence, left_without_owner
from konstruct.tenancy.workspaces import find_membership

logger = logging.getLogger(__name__)

_GRANTABLE: dict[str, tuple[Role, ...]] = {
    Role.OWNER: (Role.OWNER, Role.ADMIN, Role.MEMBER),
    Role.ADMIN: (Role.ADMIN, Role.MEMBER),
    Role.MEMBER: (),
}


class PeopleError(Exception):
    """What was asked cannot be done; the message is a sentence for the person who asked."""


class NotAllowed(PeopleError):
    def __init__(self) -> None:
        super().__init__(_("You may not do this."))


class NobodyThere(PeopleError):
    def __init__(self) -> None:
        super().__init__(_("This person is not in the workspace any more."))


class LastOwner(PeopleError):
    """Raised with the sentence of konstruct.tenancy.ownership."""


class Member(Struct, frozen=True):
    """A person in a workspace, as the people page lists them. `id` is the membership's."""

    id: UUID
    user_id: UUID
    name: str
    email: str
    role: Role
    is_active: bool
    since: datetime
    last_seen_at: datetime | None

    @property
    def initials(self) -> str:
        return initials(self.name)

    @property
    def tone(self) -> int:
        """Which of six colours the person's disc has (frontend/css/settings.css)."""
        return self.user_id.int % 6


def initials(name: str) -> str:
    """The first letters of the first and the last word, upper case: "Ada", "A"; "Mary Ann Lee", "ML"."""
    words = name.split()
    letters = [words[0][0], words[-1][0]] if len(words) > 1 else [w[0] for w in words]
    return "".join(letters).upper()


def grantable(role: str) -> tuple[Role, ...]:
    """The roles that somebody of this role may give and take away."""
    return _GRANTABLE[role]


def members(*, workspace_id: UUID, search: str = "") -> QuerySet[Membership]:
    """The memberships whose name or e-mail contains `search`: owners first, then by name."""
    found = Membership.objects.filter(workspace_id=workspace_id).select_related("user")
    if search := search.strip():
        found = found.filter(Q(user__email__icontains=search) | Q(user__display_name__icontains=search))
    rank = Case(
        *(When(role=role, then=Value(number)) for number, role in enumerate(Role)),
        output_field=IntegerField(),
    )
    name = Lower(Coalesce(NullIf("user__display_name", Value("")), "user__email"))
    return found.order_by(rank, name, "id")


def member(membership: Membership) -> Member:
    """As it is listed. `membership.user` should have been read along."""
    user = membership.user
    return Member(
        id=membership.id,
        user_id=user.id,
        name=user.name,
        email=user.email,
        role=Role(membership.role),
        is_active=user.is_active,
        since=membership.created_at,
        last_seen_at=membership.last_seen_at,
    )


def change_role(*, workspace_id: UUID, actor_id: UUID, membership_id: UUID, role: str) -> Member:
    """Give somebody another role. Raises NotAllowed, NobodyThere, LastOwner."""
    with transaction.atomic():
        actor = manager(workspace_id=workspace_id, actor_id=actor_id)
        target = _target(workspace_id, membership_id)
        if not {target.role, role} <= set(grantable(actor.role)):
            raise NotAllowed
        if target.role != role:
            if role != Role.OWNER:
                _keep_an_owner(target)
            target.role = Role(role)
            target.save(update_fields=["role"])
            _revoke_unfounded(target)
            logger.info("Membership %s is %s now, by %s", target.id, role, actor_id)
    return member(target)


def remove(*, workspace_id: UUID, actor_id: UUID, membership_id: UUID) -> Member:
    """Take somebody out of the workspace, or leave it oneself, which everybody may.

    Invitations that the person made, or that are for the person, end too. Raises NotAllowed, NobodyThere,
    LastOwner.
    """
    with transaction.atomic():
        lock_people(workspace_id=workspace_id)
        actor = find_membership(user_id=actor_id, workspace_id=workspace_id)
        if actor is None:
            raise NotAllowed
        target = _target(workspace_id, membership_id)
        if target.user_id != actor_id and target.role not in grantable(actor.role):
            raise NotAllowed
        _keep_an_owner(target)
        removed = member(target)
        target.delete()
        _revoke(
            Invitation.objects.filter(workspace_id=workspace_id).filter(
                Q(created_by_id=removed.user_id) | Q(email__iexact=removed.email)
            )
        )
        logger.info("User %s is out of workspace %s, by %s", removed.user_id, workspace_id, actor_id)
    return removed


def lock_people(*, workspace_id: UUID) -> Workspace:
    """The workspace, held until the transaction ends: nobody joins, leaves or changes meanwhile."""
    workspace = Workspace.objects.select_for_update().filter(pk=workspace_id).first()
    if workspace is None:
        raise NobodyThere
    return workspace


def manager(*, workspace_id: UUID, actor_id: UUID) -> Membership:
    """The membership of an owner or admin, read with the workspace held. Raises NotAllowed."""
    lock_people(workspace_id=workspace_id)
    actor = find_membership(user_id=actor_id, workspace_id=workspace_id)
    if actor is None or not actor.manages:
        raise NotAllowed
    return actor


def _target(workspace_id: UUID, membership_id: UUID) -> Membership:
    found = Membership.objects.select_related("user").filter(workspace_id=workspace_id, pk=membership_id)
    target = found.first()
    if target is None:
        raise NobodyThere
    return target


def _keep_an_owner(target: Membership) -> None:
    for lost in left_without_owner(losing=[target]):
        raise LastOwner(last_owner_sentence(*lost))


def _revoke_unfounded(maker: Membership) -> None:
    """End the invitations to roles that their maker may not give any more."""
    theirs = Invitation.objects.filter(workspace_id=maker.workspace_id, created_by_id=maker.user_id)
    _revoke(theirs.exclude(role__in=grantable(maker.role)))


def _revoke(invitations: QuerySet[Invitation]) -> None:
    invitations.filter(accepted_at=None, revoked_at=None).update(revoked_at=timezone.now())
