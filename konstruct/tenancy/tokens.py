"""The token of the socket's `auth` frame (PROTOCOL.md, Handshake): short-lived, signed, bound.

It says who the bearer is and where; what the bearer may do is read from the database each time.
"""

import hashlib
from uuid import UUID

import msgspec
from django.core import signing

TTL = 60
_SALT = "konstruct.chat-token"


class TokenClaims(msgspec.Struct, frozen=True):
    """What a valid token says. `session` is the SHA-256 of the session's key, or None for a token
    that no session asked for (`manage.py chat_token`)."""

    user_id: UUID
    workspace_id: UUID
    session: str | None


class BadToken(ValueError):
    """The token is forged, damaged, or past its time."""


def session_fingerprint(session_key: str) -> str:
    """How a session is named outside its own cookie; the database's trigger computes the same."""
    return hashlib.sha256(session_key.encode()).hexdigest()


def issue_token(*, user_id: UUID, workspace_id: UUID, session_key: str | None, ttl: int = TTL) -> str:
    """A token valid for `ttl` seconds."""
    session = session_fingerprint(session_key) if session_key else None
    payload = {"u": user_id.hex, "w": workspace_id.hex, "s": session, "t": ttl}
    return signing.dumps(payload, salt=_SALT, compress=False)


def read_token(token: str) -> TokenClaims:
    """The token's claims. Raises BadToken."""
    try:
        # The lifetime travels inside, so it can only be checked once the signature is known to be good.
        ttl = signing.loads(token, salt=_SALT)["t"]
        payload = signing.loads(token, salt=_SALT, max_age=ttl)
        return TokenClaims(UUID(payload["u"]), UUID(payload["w"]), payload["s"])
    except (signing.BadSignature, KeyError, TypeError, ValueError) as error:
        raise BadToken("not a valid token") from error
