"""Invitations by link: for one person, for seven days, and only as long as their maker could still invite.

The link carries a secret behind its `#`, which browsers send to no server (frontend/join_page.js posts
it); the database has its hash. So neither a log, a proxy nor a backup holds what would open the door.
"""

import hashlib
import logging
import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from msgspec import Struct

from konstruct.tenancy.models import Invitation, Membership, Role, User
from konstruct.tenancy.people import NotAllowed, PeopleError, grantable, lock_people, manager
from konstruct.tenancy.workspaces import find_membership

logger = logging.getLogger(__name__)

LIFETIME = timedelta(days=7)
# Of one workspace, at a time.
MOST_PENDING = 200


class InvitationDead(PeopleError):
    """It was used, revoked, has expired or never was: a stranger is not told which."""

    def __init__(self) -> None:
        super().__init__(_("This invitation is no longer valid. Ask for a new one."))


class AlreadyInvited(PeopleError):
    def __init__(self) -> None:
        super().__init__(
            _("This invitation was made already. Its link is shown only once: revoke it and make another.")
        )


class TooManyInvitations(PeopleError):
    def __init__(self) -> None:
        super().__init__(_("Too many invitations are waiting. Revoke those you do not need."))


class AlreadyMember(PeopleError):
    def __init__(self) -> None:
        super().__init__(_("This person is in the workspace already."))


class ForSomebodyElse(PeopleError):
    def __init__(self, email: str) -> None:
        super().__init__(_("This invitation is for %(email)s.") % {"email": email})


class EmailTaken(PeopleError):
    def __init__(self) -> None:
        super().__init__(_("There is an account with this e-mail already. Sign in with it to join."))


class Pending(Struct, frozen=True):
    """An invitation that waits, as the people page lists it."""

    id: UUID
    role: Role
    email: str
    maker: str
    created_at: datetime
    expires_at: datetime


class Offer(Struct, frozen=True):
    """What somebody with the link is told. `email`: whom it is for, or empty."""

    id: UUID
    workspace_id: UUID
    workspace: str
    maker: str
    role: Role
    email: str


def invite(
    *, invitation_id: UUID, workspace_id: UUID, actor_id: UUID, role: str, email: str = ""
) -> tuple[Pending, str]:
    """A new invitation, and its secret, which is known to nobody afterwards.

    invitation_id: chosen by the form, so that a form sent twice invites once (AlreadyInvited).
    Raises NotAllowed, AlreadyMember, TooManyInvitations too.
    """
    email = email.strip().lower()
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        actor = manager(workspace_id=workspace_id, actor_id=actor_id)
        if role not in grantable(actor.role):
            raise NotAllowed
        if Invitation.objects.filter(pk=invitation_id).exists():
            raise AlreadyInvited
        if email and Membership.objects.filter(workspace_id=workspace_id, user__email__iexact=email).exists():
            raise AlreadyMember
        if len(pending(workspace_id=workspace_id)) >= MOST_PENDING:
            raise TooManyInvitations
        invitation = Invitation.objects.create(
            pk=invitation_id,
            workspace_id=workspace_id,
            token_hash=_hash(token),
            role=Role(role),
            email=email,
            created_by_id=actor_id,
            expires_at=timezone.now() + LIFETIME,
        )
        logger.info("Invitation %s to workspace %s, by %s", invitation.id, workspace_id, actor_id)
    return _pending(invitation), token


def pending(*, workspace_id: UUID) -> list[Pending]:
    """The invitations that can still be accepted, newest first."""
    open_ones = Invitation.objects.select_related("created_by").filter(
        workspace_id=workspace_id, accepted_at=None, revoked_at=None, expires_at__gt=timezone.now()
    )
    roles = {
        m.user_id: m.role
        for m in Membership.objects.filter(
            workspace_id=workspace_id, user__is_active=True, user__in=open_ones.values("created_by")
        )
    }
    return [
        _pending(invitation)
        for invitation in open_ones.order_by("-created_at")
        if invitation.role in grantable(roles.get(invitation.created_by_id, Role.MEMBER))
    ]


def revoke(*, workspace_id: UUID, actor_id: UUID, invitation_id: UUID) -> None:
    """End an invitation that waits; one that does not is left as it is. Raises NotAllowed."""
    with transaction.atomic():
        actor = manager(workspace_id=workspace_id, actor_id=actor_id)
        waiting = Invitation.objects.filter(workspace_id=workspace_id, pk=invitation_id, accepted_at=None)
        invitation = waiting.filter(revoked_at=None).first()
        if invitation is None:
            return
        if invitation.role not in grantable(actor.role):
            raise NotAllowed
        invitation.revoked_at = timezone.now()
        invitation.save(update_fields=["revoked_at"])
        logger.info("Invitation %s is revoked, by %s", invitation_id, actor_id)


def find(*, token: str, workspace_id: UUID | None = None) -> UUID:
    """The invitation that this secret opens; of that workspace, where one is given. Raises InvitationDead."""
    found = Invitation.objects.filter(token_hash=_hash(token))
    if workspace_id is not None:
        found = found.filter(workspace_id=workspace_id)
    invitation_id = found.values_list("id", flat=True).first()
    if invitation_id is None:
        raise InvitationDead
    offer(invitation_id=invitation_id)
    return invitation_id


def offer(*, invitation_id: UUID) -> Offer:
    """What the invitation offers now. Raises InvitationDead."""
    invitation = (
        Invitation.objects.select_related("workspace", "created_by")
        .filter(pk=invitation_id, accepted_at=None, revoked_at=None, expires_at__gt=timezone.now())
        .first()
    )
    if invitation is None:
        raise InvitationDead
    maker = find_membership(user_id=invitation.created_by_id, workspace_id=invitation.workspace_id)
    if maker is None or invitation.role not in grantable(maker.role):
        raise InvitationDead
    return Offer(
        id=invitation.id,
        workspace_id=invitation.workspace_id,
        workspace=invitation.workspace.name,
        maker=maker.user.name,
        role=Role(invitation.role),
        email=invitation.email,
    )


def accept(*, invitation_id: UUID, user_id: UUID) -> Membership:
    """The user joins, and the link is spent. Raises InvitationDead, ForSomebodyElse, AlreadyMember."""
    with transaction.atomic():
        offered = _held(invitation_id)
        user = User.objects.get(pk=user_id, is_active=True)
        return _join(offered, user)


def accept_as_new(*, invitation_id: UUID, email: str, display_name: str, password: str) -> User:
    """A new user joins. The password has been validated.

    Raises InvitationDead, ForSomebodyElse, EmailTaken.
    """
    with transaction.atomic():
        offered = _held(invitation_id)
        email = email.strip().lower()
        if User.objects.filter(email__iexact=email).exists():
            raise EmailTaken
        try:
            with transaction.atomic():
                user = User.objects.create_user(email, password, display_name=display_name.strip())
        except IntegrityError as error:
            # Somebody made this account a moment ago.
            raise EmailTaken from error
        _join(offered, user)
        return user


def _held(invitation_id: UUID) -> Offer:
    """The offer, read with the workspace held: two who come at once cannot both have it."""
    lock_people(workspace_id=offer(invitation_id=invitation_id).workspace_id)
    return offer(invitation_id=invitation_id)


def _join(offered: Offer, user: User) -> Membership:
    if offered.email and user.email.lower() != offered.email:
        raise ForSomebodyElse(offered.email)
    if Membership.objects.filter(workspace_id=offered.workspace_id, user=user).exists():
        raise AlreadyMember
    membership = Membership.objects.create(workspace_id=offered.workspace_id, user=user, role=offered.role)
    Invitation.objects.filter(pk=offered.id).update(accepted_at=timezone.now(), accepted_by=user)
    logger.info("Invitation %s is accepted by %s", offered.id, user.id)
    return membership


def _pending(invitation: Invitation) -> Pending:
    return Pending(
        id=invitation.id,
        role=Role(invitation.role),
        email=invitation.email,
        maker=invitation.created_by.name,
        created_at=invitation.created_at,
        expires_at=invitation.expires_at,
    )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
