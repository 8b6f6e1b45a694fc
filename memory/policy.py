"""The workspace's rules of memory. Synchronous, keyword-only; run inside a workspace."""

from django.db import transaction

from memory.embedder import configured
from memory.models import MemoryPolicy
from memory.values import PolicyInfo


def policy() -> PolicyInfo:
    """The rules in force. Made at the first call, with the embedder that is configured then; from then on
    the embedder changes by `manage.py reembed` only, since what is stored was made with it."""
    row = MemoryPolicy.objects.filter(id=1).first()
    if row is None:
        row, _ = MemoryPolicy.objects.get_or_create(id=1, defaults={"embedder": configured()})
    return PolicyInfo(row.embedder, row.managers_may_read)


@transaction.atomic
def set_policy(*, managers_may_read: bool) -> PolicyInfo:
    """Let owners and admins read memories, or not. The caller has checked that an owner says so."""
    policy()
    MemoryPolicy.objects.filter(id=1).update(managers_may_read=managers_may_read)
    return policy()
