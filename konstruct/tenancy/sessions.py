"""A person's sessions: which there are, from where, and how they end. Keyword-only, atomic.

Sockets of a session that ends close at once, by the triggers on Django's table and on the user's
(migrations 0002 and 0004).
"""

import logging
from collections.abc import Iterable
from datetime import datetime
from importlib import import_module
from uuid import UUID

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from msgspec import Struct

from konstruct.tenancy.devices import Device, device
from konstruct.tenancy.models import Membership, SignIn, User
from konstruct.tenancy.tokens import session_fingerprint

logger = logging.getLogger(__name__)

# How exactly it is known when somebody was last there (seconds): a visit is written down this often.
SEEN_EVERY = 300
# The index konstruct_session_fingerprint answers this expression; it must be the same.
_FINGERPRINT = "encode(sha256(session_key::bytea), 'hex')"
_LISTED = 100


class SessionInfo(Struct, frozen=True):
    """One of a person's living sessions. `is_current`: the one that asks."""

    id: UUID
    device: Device
    began_at: datetime
    last_seen_at: datetime
    is_current: bool


def holding(*, fingerprints: Iterable[str], user: User) -> set[str]:
    """Those of the sessions that live, and are this user's, under the present password."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_FINGERPRINT}, session_data FROM public.django_session"
            f" WHERE {_FINGERPRINT} = ANY(%s) AND expire_date > now()",
            [list(fingerprints)],
        )
        rows = cursor.fetchall()
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    wanted = user.get_session_auth_hash()
    found = set()
    for fingerprint, data in rows:
        session = store.decode(data)
        if str(session.get("_auth_user_id")) == str(user.pk) and constant_time_compare(
            session.get(HASH_SESSION_KEY, ""), wanted
        ):
            found.add(fingerprint)
    return found


def note_visit(*, user: User, session_key: str, workspace_id: UUID | None, user_agent: str) -> None:
    """Write down that this session was here just now; cheap, since it does so every SEEN_EVERY seconds."""
    fingerprint = session_fingerprint(session_key)
    if not cache.add(f"seen:{fingerprint}:{workspace_id}", True, SEEN_EVERY):
        return
    now = timezone.now()
    _, is_new = SignIn.objects.update_or_create(
        fingerprint=fingerprint,
        defaults={"last_seen_at": now},
        create_defaults={
            "user": user,
            "last_seen_at": now,
            "user_agent": user_agent[:300].replace("\0", ""),
        },
    )
    if workspace_id is not None:
        Membership.objects.filter(user=user, workspace_id=workspace_id).update(last_seen_at=now)
    if is_new:
        _forget_ended(user)


def living(*, user: User, current_key: str | None) -> list[SessionInfo]:
    """The user's sessions, the asking one first, then those used last."""
    known = list(SignIn.objects.filter(user=user).order_by("-last_seen_at")[:_LISTED])
    alive = holding(fingerprints=[s.fingerprint for s in known], user=user)
    current = session_fingerprint(current_key) if current_key else None
    found = [
        SessionInfo(s.id, device(s.user_agent), s.began_at, s.last_seen_at, s.fingerprint == current)
        for s in known
        if s.fingerprint in alive
    ]
    return sorted(found, key=lambda session: not session.is_current)


def end(*, user_id: UUID, session_id: UUID) -> None:
    """End one of the user's sessions; one that has ended, or is somebody else's, is left as it is."""
    with transaction.atomic():
        _end(SignIn.objects.filter(user_id=user_id, pk=session_id).values_list("fingerprint", flat=True))


def end_others(*, user_id: UUID, kept_key: str | None) -> None:
    """End the user's sessions but the one with this key."""
    others = SignIn.objects.filter(user_id=user_id)
    if kept_key:
        others = others.exclude(fingerprint=session_fingerprint(kept_key))
    with transaction.atomic():
        _end(others.values_list("fingerprint", flat=True))


def sign_out_everywhere(*, user_id: UUID) -> None:
    """End all sessions and sockets of the user, those that nobody wrote down too (User.sign_outs)."""
    with transaction.atomic():
        User.objects.filter(pk=user_id).update(sign_outs=F("sign_outs") + 1)
        _end(SignIn.objects.filter(user_id=user_id).values_list("fingerprint", flat=True))
    logger.info("User %s has signed out everywhere", user_id)


def rename(*, old_key: str, new_key: str) -> None:
    """The session goes on under another key, as it does with a new password."""
    SignIn.objects.filter(fingerprint=session_fingerprint(old_key)).update(
        fingerprint=session_fingerprint(new_key)
    )


def _end(fingerprints: Iterable[str]) -> None:
    ended = list(fingerprints)
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM public.django_session WHERE {_FINGERPRINT} = ANY(%s)", [ended])
    SignIn.objects.filter(fingerprint__in=ended).delete()


def _forget_ended(user: User) -> None:
    """Sessions come and go by many ways; what was noted of those that are gone goes with the next to come."""
    known = list(SignIn.objects.filter(user=user).values_list("fingerprint", flat=True))
    SignIn.objects.filter(fingerprint__in=set(known) - holding(fingerprints=known, user=user)).delete()
