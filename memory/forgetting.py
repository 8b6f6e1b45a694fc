"""Forgetting: rows, vectors and history go, and what is under way writes nothing of it.

Synchronous, keyword-only, atomic; run inside a workspace. Each function leaves a tombstone (`Forgotten`)
under the lock that writers hold too: a job that comes later finds the tombstone, one that came before has
its rows found here. Those that forget a user's memories return the ids of the messages concerned, so that
the caller can cancel what still waits for them, in the same transaction.

A fact and the exchange it comes from say the same: forgetting the fact forgets the exchange. Forgetting
an exchange forgets the facts that no other message says. An edited question's earlier versions go with it.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Max, Min, Q, QuerySet
from django.utils import timezone

from memory.errors import MemoryNotFound
from memory.locks import hold_everybody, hold_user
from memory.models import Evidence, Forgotten, Kind, Memory, MemoryOff
from memory.rows import erase


@transaction.atomic
def forget(*, user_id: UUID | None, memory_id: UUID) -> list[UUID]:
    """Forget one memory with its history. Without `user_id`, a note of the workspace's own, which the
    caller has checked that this person may look after. Raises MemoryNotFound."""
    hold_user(user_id)
    row = Memory.objects.filter(id=memory_id, user_id=user_id).only("id", "kind", "message_id").first()
    if row is None:
        raise MemoryNotFound(memory_id)
    chain = _with_history([row.id])
    messages = _messages_of(chain)
    exchanges = Memory.objects.filter(kind=Kind.EXCHANGE, message_id__in=messages)
    chain |= _with_history(exchanges.values_list("id", flat=True))
    messages |= _messages_of(chain, kind=Kind.EXCHANGE)
    if row.kind == Kind.EXCHANGE:
        chain |= _without_other_evidence(Evidence.objects.filter(message_id__in=messages))
    return _end(user_id, chain, messages)


@transaction.atomic
def forget_conversation(*, user_id: UUID, conversation_id: UUID) -> list[UUID]:
    """Forget what was said in one conversation up to now, and the facts known from it alone."""
    hold_user(user_id)
    said = Memory.objects.filter(user_id=user_id, conversation_id=conversation_id, kind=Kind.EXCHANGE)
    chain = _with_history(said.values_list("id", flat=True))
    evidence = Evidence.objects.filter(conversation_id=conversation_id, fact__user_id=user_id)
    messages = _messages_of(chain) | set(evidence.values_list("message_id", flat=True))
    latest = said.aggregate(latest=Max("said_at"))["latest"]
    chain |= _without_other_evidence(evidence)
    _entomb(latest, user_id=user_id, conversation_id=conversation_id)
    erase(list(chain))
    return sorted(messages)


@transaction.atomic
def forget_all(*, user_id: UUID, agent_id: UUID | None = None) -> list[UUID]:
    """Forget all of a user, notes too; or all with one employee."""
    hold_user(user_id)
    whose = {"user_id": user_id, **({"agent_id": agent_id} if agent_id else {})}
    rows = Memory.objects.filter(**whose)
    latest = rows.aggregate(latest=Max("confirmed_at"))["latest"]
    own = rows.values_list("message_id", flat=True)
    messages = {message_id for message_id in own if message_id is not None}
    evidence = Evidence.objects.filter(**{f"fact__{name}": value for name, value in whose.items()})
    messages |= set(evidence.values_list("message_id", flat=True))
    _entomb(latest, **whose)
    erase(list(rows.values_list("id", flat=True)))
    return sorted(messages)


@transaction.atomic
def person_removed(*, user_id: UUID) -> list[UUID]:
    """All of a person who has left the workspace, switches too."""
    messages = forget_all(user_id=user_id)
    MemoryOff.objects.filter(user_id=user_id).delete()
    return messages


@transaction.atomic
def employee_removed(*, agent_id: UUID) -> None:
    """All that anybody's memory with a deleted employee holds, and the notes meant for it."""
    hold_everybody()
    Forgotten.objects.create(agent_id=agent_id)
    MemoryOff.objects.filter(agent_id=agent_id).delete()
    erase(list(Memory.objects.filter(agent_id=agent_id).values_list("id", flat=True)))


def is_forgotten(
    *,
    user_id: UUID,
    agent_id: UUID | None,
    conversation_id: UUID,
    message_id: UUID,
    said_at: datetime,
) -> bool:
    """Whether what was said there and then is to stay forgotten. For who holds the user's lock."""
    somewhere = Q(agent_id=None, conversation_id=None) | Q(conversation_id=conversation_id)
    if agent_id is not None:
        somewhere |= Q(agent_id=agent_id)
    then = Q(message_id=None, before__gte=said_at) & (Q(since=None) | Q(since__lte=said_at))
    of_them = Q(user_id=user_id) | Q(user_id=None)
    return Forgotten.objects.filter(of_them, Q(message_id=message_id) | (then & somewhere)).exists()


# --- inside ----------------------------------------------------------------------------------------

_HISTORY = """
WITH RECURSIVE chain AS (
    SELECT id FROM memory_memory WHERE id = ANY(%s)
  UNION
    SELECT m.id FROM memory_memory m JOIN chain c ON m.superseded_by_id = c.id
)
SELECT id FROM chain
"""


def _with_history(ids: Iterable[UUID]) -> set[UUID]:
    """These memories and all that they have taken the place of."""
    with connection.cursor() as cursor:
        cursor.execute(_HISTORY, [list(ids)])
        return {row[0] for row in cursor.fetchall()}


def _messages_of(ids: Iterable[UUID], **only: str) -> set[UUID]:
    """The messages that these memories come from."""
    ids = list(ids)
    own = Memory.objects.filter(id__in=ids, **only).values_list("message_id", flat=True)
    found = {message_id for message_id in own if message_id is not None}
    if not only:
        found |= set(Evidence.objects.filter(fact_id__in=ids).values_list("message_id", flat=True))
    return found


def _without_other_evidence(evidence: QuerySet[Evidence]) -> set[UUID]:
    """Take the evidence away. Facts left with none are returned, to go as well; of the others it is
    noted anew when and where they were said."""
    touched = set(evidence.values_list("fact_id", flat=True))
    evidence.delete()
    left = Evidence.objects.filter(fact_id__in=touched).values("fact_id")
    for row in left.annotate(first=Min("said_at"), last=Max("said_at"), times=Count("id")):
        source = Evidence.objects.filter(fact_id=row["fact_id"]).earliest("said_at", "id")
        Memory.objects.filter(id=row["fact_id"]).update(
            message_id=source.message_id,
            conversation_id=source.conversation_id,
            said_at=row["first"],
            confirmed_at=row["last"],
            times_said=row["times"],
        )
        touched.discard(row["fact_id"])
    return _with_history(touched)


def _end(user_id: UUID | None, ids: set[UUID], messages: set[UUID]) -> list[UUID]:
    if user_id is not None:
        Forgotten.objects.bulk_create(
            Forgotten(user_id=user_id, message_id=message_id) for message_id in messages
        )
    erase(list(ids))
    return sorted(messages)


def _entomb(latest: datetime | None, **what: UUID) -> None:
    """A tombstone for all that was said up to now, and up to the latest that is known to have been said:
    a server whose clock is ahead may have dated it later."""
    now = timezone.now()
    Forgotten.objects.create(**what, before=max(now, latest or now))
