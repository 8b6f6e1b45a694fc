"""What jobs write: exchanges, and the facts found in them. Synchronous, keyword-only, atomic; run inside a
workspace.

Exactly once: an exchange has its message's id as a key, a fact's evidence too, and facts are looked for in
an exchange once. Never what is forgotten or switched off: both are asked under the user's lock.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from pgvector.django import CosineDistance

from memory.forgetting import is_forgotten
from memory.hygiene import is_secret, masked
from memory.locks import hold_embedder, hold_user
from memory.models import Evidence, Kind, Memory
from memory.rows import current, info, put_vector, supersede
from memory.sameness import same_words, say_the_same
from memory.switches import is_off
from memory.values import MAX_EXCHANGE, MAX_FACT, MemoryInfo, NewFact, Vector

# Among so many of the nearest known facts a new one may find itself.
_COMPARED = 50
# How much less sure of it a longer wording may be, to take the place of a shorter one.
_LESS_SURE = 0.2


@transaction.atomic
def remember_exchange(
    *,
    user_id: UUID,
    agent_id: UUID | None,
    conversation_id: UUID,
    message_id: UUID,
    text: str,
    said_at: datetime,
    embedder: str,
    vector: Vector,
    replaces: Sequence[UUID] = (),
) -> UUID | None:
    """Remember a question and its answer; `message_id` and `said_at` are the question's.

    Again with another text (a newer answer), it takes the first one's place, unless its user has edited
    that. `replaces`: the messages that are other versions of the question. Of all versions the one said
    last is current, whichever job comes last; the others, and the facts that only they say, are history.

    Returns the memory's id, or None where nothing is to be remembered: it was forgotten, or memory is off.
    Raises EmbedderChanged.
    """
    hold_embedder(embedder)
    hold_user(user_id)
    if is_off(user_id=user_id, agent_id=agent_id, conversation_id=conversation_id) or is_forgotten(
        user_id=user_id,
        agent_id=agent_id,
        conversation_id=conversation_id,
        message_id=message_id,
        said_at=said_at,
    ):
        return None
    text = masked(text)[:MAX_EXCHANGE]
    row = Memory.objects.filter(kind=Kind.EXCHANGE, message_id=message_id, user_id=user_id).first()
    if row is None:
        row = Memory.objects.create(
            user_id=user_id,
            agent_id=agent_id,
            kind=Kind.EXCHANGE,
            text=text,
            conversation_id=conversation_id,
            message_id=message_id,
            said_at=said_at,
            confirmed_at=said_at,
        )
        put_vector(row, embedder, vector)
    elif row.edited_at is None and (row.text, row.agent_id) != (text, agent_id):
        row.text, row.agent_id = text, agent_id
        row.save(update_fields=["text", "agent_id"])
        if row.superseded_at is None:
            put_vector(row, embedder, vector)
    _order_versions(row, replaces)
    return row.id


def known_facts(
    *, user_id: UUID, agent_id: UUID | None, embedder: str, vector: Vector, limit: int
) -> list[MemoryInfo]:
    """What is known of the user with this employee, nearest to the vector first."""
    return [info(row) for row in _near(user_id, agent_id, embedder, vector)[:limit]]


@transaction.atomic
def remember_facts(*, message_id: UUID, facts: Sequence[NewFact], embedder: str) -> list[UUID]:
    """Remember the facts found in the exchange of that message, once: later calls change nothing.

    A fact that is known already (`memory.sameness`) is confirmed, and the longer wording stays unless it
    is less sure. One that contradicts a known fact (`supersedes`, of the same user and employee) takes its
    place; unless the known one was said later, then it is history itself.

    Returns the ids of the facts that are now current; none where the exchange is gone, has become history,
    was looked through before, or memory is off. Raises EmbedderChanged.
    """
    hold_embedder(embedder)
    exchange = Memory.objects.filter(kind=Kind.EXCHANGE, message_id=message_id).first()
    if exchange is None or exchange.user_id is None:
        return []
    hold_user(exchange.user_id)
    # Anew: it may have been forgotten while the lock was waited for.
    exchange = Memory.objects.filter(id=exchange.id, distilled_at=None).first()
    if exchange is None or exchange.user_id is None or exchange.conversation_id is None:
        return []
    exchange.distilled_at = timezone.now()
    exchange.save(update_fields=["distilled_at"])
    if exchange.superseded_at is not None or is_off(
        user_id=exchange.user_id, agent_id=exchange.agent_id, conversation_id=exchange.conversation_id
    ):
        return []
    found = [_remember_fact(exchange, fact, embedder) for fact in facts if not is_secret(fact.text)]
    return list(dict.fromkeys(row.id for row in found if row.superseded_at is None))


# --- inside ----------------------------------------------------------------------------------------


def _near(user_id: UUID | None, agent_id: UUID | None, embedder: str, vector: Vector) -> list[Memory]:
    """The current facts, nearest first."""
    distance = CosineDistance("vectors__embedding", list(vector))
    facts = current().filter(user_id=user_id, agent_id=agent_id, kind=Kind.FACT, vectors__embedder=embedder)
    return list(facts.order_by(distance, "id")[:_COMPARED])


def _order_versions(row: Memory, others: Sequence[UUID]) -> None:
    """Of a question's versions only the one said last is current."""
    versions = list(
        Memory.objects.filter(
            user_id=row.user_id,
            kind=Kind.EXCHANGE,
            message_id__in=[*others, row.message_id],
            superseded_at=None,
        ).defer("words")
    )
    if not versions:
        return
    last = max(versions, key=lambda version: (version.said_at, version.id))
    withdrawn = [version for version in versions if version.id != last.id]
    if not withdrawn:
        return
    messages = [version.message_id for version in withdrawn if version.message_id]
    elsewhere = Evidence.objects.exclude(message_id__in=messages).values("fact_id")
    facts = current().filter(kind=Kind.FACT, evidence__message_id__in=messages).exclude(id__in=elsewhere)
    supersede([*withdrawn, *facts], by=last)


def _remember_fact(exchange: Memory, fact: NewFact, embedder: str) -> Memory:
    text = fact.text.strip()[:MAX_FACT]
    contradicted = _contradicted(exchange, fact.supersedes)
    if contradicted is not None and same_words(contradicted.text, text):
        _confirm(contradicted, exchange, text, fact, embedder)
        return contradicted
    # What the model calls a contradiction is one, though it may be worded as an extract.
    known = _near(exchange.user_id, exchange.agent_id, embedder, fact.vector)
    same = next((row for row in known if row != contradicted and say_the_same(row.text, text)), None)
    if same is not None:
        _confirm(same, exchange, text, fact, embedder)
        row = same
    else:
        row = _new_fact(exchange, text, fact)
        put_vector(row, embedder, fact.vector)
    if contradicted is None:
        return row
    if contradicted.confirmed_at <= exchange.said_at:
        supersede([contradicted], by=row)
    elif same is None:
        # The job is late: what it brings was withdrawn since.
        supersede([row], by=contradicted)
        row.superseded_at = timezone.now()
    return row


def _contradicted(exchange: Memory, memory_id: UUID | None) -> Memory | None:
    mine = current().filter(user_id=exchange.user_id, agent_id=exchange.agent_id, kind=Kind.FACT)
    return mine.filter(id=memory_id).first() if memory_id else None


def _new_fact(exchange: Memory, text: str, fact: NewFact) -> Memory:
    row = Memory.objects.create(
        user_id=exchange.user_id,
        agent_id=exchange.agent_id,
        kind=Kind.FACT,
        text=text,
        confidence=fact.confidence,
        conversation_id=exchange.conversation_id,
        message_id=exchange.message_id,
        said_at=exchange.said_at,
        confirmed_at=exchange.said_at,
    )
    _add_evidence(row, exchange)
    return row


def _confirm(row: Memory, exchange: Memory, text: str, fact: NewFact, embedder: str) -> None:
    """The fact was said once more. Its user's own wording stays; else the better of the two."""
    if not _add_evidence(row, exchange):
        return
    row.times_said += 1
    row.confirmed_at = max(row.confirmed_at, exchange.said_at)
    if exchange.said_at < row.said_at:
        row.said_at = exchange.said_at
        row.message_id, row.conversation_id = exchange.message_id, exchange.conversation_id
    old = row.confidence or 0.0
    if row.edited_at is None and len(text) > len(row.text) and fact.confidence >= old - _LESS_SURE:
        row.text = text
        put_vector(row, embedder, fact.vector)
    row.confidence = max(old, fact.confidence)
    row.save()


def _add_evidence(row: Memory, exchange: Memory) -> bool:
    """Whether this message had not said it before."""
    assert exchange.message_id is not None and exchange.conversation_id is not None
    _, made = Evidence.objects.get_or_create(
        fact=row,
        message_id=exchange.message_id,
        defaults={"conversation_id": exchange.conversation_id, "said_at": exchange.said_at},
    )
    return made
