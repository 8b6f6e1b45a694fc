"""Who is at the other end of a socket. Synchronous; run through the door (`in_shared`).

The claims of the `auth` frame are claims: each must equal what the signed token and the database say
(PROTOCOL.md, Handshake).
"""

from collections.abc import Iterable
from importlib import import_module
from uuid import UUID

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY
from django.db import connection
from django.utils.crypto import constant_time_compare
from msgspec import Struct

from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.http import workspace_id_of_host
from konstruct.tenancy.models import User
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
    with connection.cursor() as cursor:
        # The index konstruct_session_fingerprint answers this; its expression must be the same.
        cursor.execute(
            "SELECT session_data FROM public.django_session"
            " WHERE encode(sha256(session_key::bytea), 'hex') = %s AND expire_date > now()",
            [fingerprint],
        )
        row = cursor.fetchone()
    if row is None:
        return False
    session = import_module(settings.SESSION_ENGINE).SessionStore().decode(row[0])
    return str(session.get("_auth_user_id")) == str(user.pk) and constant_time_compare(
        session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()
    )
