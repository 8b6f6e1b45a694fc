"""The socket's first frame (PROTOCOL.md, Handshake), made for somebody who may send it."""

from konstruct.tenancy.models import Membership
from konstruct.tenancy.tokens import TTL, issue_token


def auth_frame(*, membership: Membership, session_key: str | None, ttl: int = TTL) -> dict[str, str]:
    """The complete `auth` frame for this member. `session_key` None: a token bound to no session."""
    token = issue_token(
        user_id=membership.user_id, workspace_id=membership.workspace_id, session_key=session_key, ttl=ttl
    )
    return {
        "type": "auth",
        "userId": str(membership.user_id),
        "role": membership.role,
        "tenantId": str(membership.workspace_id),
        "token": token,
    }
