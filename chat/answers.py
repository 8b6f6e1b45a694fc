"""The stored answer while it runs, and how it ends. Synchronous, keyword-only, atomic; run through the
tenancy door.
"""

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from msgspec import Struct

from chat import news
from chat.models import Conversation, Message, Status
from konstruct.tenancy.isolation import current_schema

# A running answer that gave no sign for this long belongs to a process that died.
HEARTBEAT_LIMIT = timedelta(seconds=10)


class Settled(Struct, frozen=True, kw_only=True):
    """How an answer ended, all of it."""

    text: str
    status: str
    error_code: str = ""
    model: str = ""
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    usage_estimated: bool = False
    cost_usd: float | None = None
    first_token_ms: int | None = None
    duration_ms: int | None = None
    memories: tuple[UUID, ...] = ()
    recall_ms: int | None = None
    recall_late: bool = False


class Sign(StrEnum):
    """What a checkpoint learns of its answer."""

    GO_ON = "go on"
    STOP = "stop"
    GONE = "gone"


_CHECKPOINT = """
UPDATE chat_message SET heartbeat_at = now(), text = COALESCE(%s, text)
WHERE id = %s AND status = 'running' RETURNING stop_requested
"""


def checkpoint(*, reply_id: UUID, text: str | None) -> Sign:
    """Note that the answer is alive, with its text so far (None: unchanged); learn what others want of it.

    An answer swept meanwhile as interrupted, because this process was held up, goes on: it is settled
    at its end. One that was deleted with its conversation is GONE.
    """
    current_schema()
    with connection.cursor() as cursor:
        cursor.execute(_CHECKPOINT, [text, reply_id])
        row = cursor.fetchone()
    if row is not None:
        return Sign.STOP if row[0] else Sign.GO_ON
    return Sign.GO_ON if Message.objects.filter(id=reply_id).exists() else Sign.GONE


def request_stop(*, conversation_id: UUID, user_id: UUID, message_id: UUID | None) -> bool:
    """Ask whichever process writes the conversation's answer to stop it. False: none runs, or not that one.

    The notice makes it quick; the flag, read by the next checkpoint, makes it sure.
    """
    running = Message.objects.filter(
        conversation_id=conversation_id,
        conversation__user_id=user_id,
        conversation__deleted_at=None,
        status=Status.RUNNING,
    )
    if message_id is not None:
        running = running.filter(id=message_id)
    with transaction.atomic():
        reply_id = running.values_list("id", flat=True).first()
        if reply_id is None:
            return False
        Message.objects.filter(id=reply_id).update(stop_requested=True)
        news.stop_asked(conversation_id=conversation_id, reply_id=reply_id)
    return True


def settle(*, conversation_id: UUID, reply_id: UUID, settled: Settled) -> bool:
    """End the answer. True: the conversation has no title yet.

    An answer swept meanwhile as interrupted (its process was held up, not dead) is settled all the same.
    """
    with transaction.atomic():
        fields = {**_columns(settled), "heartbeat_at": None}
        open_ones = Message.objects.filter(id=reply_id, status__in=[Status.RUNNING, Status.INTERRUPTED])
        if not open_ones.update(**fields):
            return False
        conversation = Conversation.objects.filter(id=conversation_id)
        conversation.update(updated_at=timezone.now())
        return conversation.filter(title="").exists()


def interrupt_stale(*, conversation_id: UUID | None = None) -> list[UUID]:
    """End the answers whose process has died, with their text; of one conversation or of all."""
    # The database's clock on both sides: those of the processes may differ.
    stale = Message.objects.filter(status=Status.RUNNING, heartbeat_at__lt=Now() - HEARTBEAT_LIMIT)
    if conversation_id is not None:
        stale = stale.filter(conversation_id=conversation_id)
    with transaction.atomic():
        ids = list(stale.select_for_update(skip_locked=True).values_list("id", flat=True))
        Message.objects.filter(id__in=ids).update(status=Status.INTERRUPTED, heartbeat_at=None)
    return ids


def _columns(settled: Settled) -> dict[str, object]:
    columns = {name: getattr(settled, name) for name in Settled.__struct_fields__}
    columns["memories"] = list(settled.memories)
    if settled.cost_usd is not None:
        columns["cost_usd"] = Decimal(str(round(settled.cost_usd, 8)))
    return columns
