"""Who is at the other end of a socket. Synchronous; run through the door (`in_shared`).

The claims of the `auth` frame are claims: each must equal what the signed token and the database say
(PROTOCOL.md, Handshake).
"""

from collections.abc import Iterable
from uuid import UUID

from msgspec import Struct

from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.http import workspace_id_of_host
from konstruct.tenancy.models import User
from konstruct.tenancy.sessions import holding
from konstruct.tenancy.tokens import BadToken, read_token
from konstruct.tenancy.workspaces import find_membership, reference


class NotAuthenticated(Exception):
    """The claims do not hold. The reason is for the log; a stranger learns only that they do not."""


class Identity(Struct, frozen=True):
    """A user in a workspace, as checked at the handshake. `session`: the fingerprint it is bound to."""

    user_id: UUID
    name: str
    role: str
    workspace: WorkspaceRef
    session: str | None


def identify(*, token: str, user_id: UUID, role: str, workspace_id: UUID, host: str) -> Identity:
    """The identity the token proves, if all claims equal it and the host is not another workspace's.

    Raises NotAuthenticated.
    """
    try:
        claims = read_token(token)
    except BadToken as error:
        raise NotAuthenticated("bad token") from error
    if (claims.user_id, claims.workspace_id) != (user_id, workspace_id):
        raise NotAuthenticated("the claims are not the token's")
    if workspace_id_of_host(host) not in (None, workspace_id):
        raise NotAuthenticated("the host means another workspace")
    membership = find_membership(user_id=user_id, workspace_id=workspace_id)
    if membership is None or membership.role != role:
        raise NotAuthenticated("no such membership")
    if claims.session is not None and not session_holds(fingerprint=claims.session, user=membership.user):
        raise NotAuthenticated("the session has ended")
    return Identity(
        user_id, membership.user.name, membership.role, reference(membership.workspace), claims.session
    )


def still_holds(*, identities: Iterable[Identity]) -> dict[Identity, bool]:
    """For each identity, whether it would still be given today."""
    verdicts: dict[Identity, bool] = {}
    for identity in identities:
        membership = find_membership(user_id=identity.user_id, workspace_id=identity.workspace.id)
        verdicts[identity] = (
            membership is not None
            and membership.role == identity.role
            and (
                identity.session is None or session_holds(fingerprint=identity.session, user=membership.user)
            )
        )
    return verdicts


def session_holds(*, fingerprint: str, user: User) -> bool:
    """Whether the session of that fingerprint lives, and is this user's, under the present password."""
    return fingerprint in holding(fingerprints=[fingerprint], user=user)
