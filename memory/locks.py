"""Who waits for whom. Advisory locks, held to the end of the transaction.

Whoever writes or forgets a user's memories holds that user's lock, so that "is it forgotten?" and the
writing that depends on it cannot be overtaken. Whoever writes vectors also shares the lock of the
workspace's policy, which changes of it hold alone: nothing is written for an embedder that is no longer
in use. The policy's lock comes first, always.
"""

from uuid import UUID

from django.db import connection

from konstruct.tenancy.isolation import current_schema
from memory.errors import EmbedderChanged

_SHARED = "SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))"
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_POLICY = "memory.policy"


def hold_user(user_id: UUID | None) -> None:
    """Until the transaction ends nobody else writes or forgets this user's memories (None: the shared)."""
    _take(_ALONE, f"memory.user.{user_id}")


def hold_embedder(embedder: str) -> None:
    """Until the transaction ends the workspace's embedder stays this one. Raises EmbedderChanged."""
    from memory.policy import policy

    _take(_SHARED, _POLICY)
    # A statement of its own: it sees what was committed while the lock was waited for.
    current = policy().embedder
    if current != embedder:
        raise EmbedderChanged(current)


def hold_everybody() -> None:
    """Until the transaction ends nothing is written in this workspace's memory."""
    _take(_ALONE, _POLICY)


def _take(statement: str, name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, [f"{current_schema()}.{name}"])
