"""A branch of a conversation, from a message up to the first one. Synchronous; run inside a workspace."""

from uuid import UUID

from django.db import connection

from chat.models import Message

# From a message upwards, the message first, `limit` of them at most.
_BRANCH = """
WITH RECURSIVE branch AS (
    SELECT id, parent_id, 1 AS depth FROM chat_message
    WHERE id = %(message)s AND conversation_id = %(conversation)s
  UNION ALL
    SELECT m.id, m.parent_id, b.depth + 1
    FROM chat_message m JOIN branch b ON m.id = b.parent_id WHERE b.depth < %(limit)s
)
SELECT id FROM branch ORDER BY depth
"""
# How many steps there are from one message of a branch up to another, which need not be on it.
_DISTANCE = """
WITH RECURSIVE branch AS (
    SELECT id, parent_id, 0 AS depth FROM chat_message
    WHERE id = %(leaf)s AND conversation_id = %(conversation)s
  UNION ALL
    SELECT m.id, m.parent_id, b.depth + 1
    FROM chat_message m JOIN branch b ON m.id = b.parent_id WHERE b.id <> %(message)s
)
SELECT depth FROM branch WHERE id = %(message)s
"""


def ids_upwards(*, conversation_id: UUID, message_id: UUID | None, limit: int) -> list[UUID]:
    """The message and those above it on its branch, itself first; none without a message."""
    if message_id is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_BRANCH, {"message": message_id, "conversation": conversation_id, "limit": limit})
        return [row[0] for row in cursor.fetchall()]


def distance(*, conversation_id: UUID, leaf_id: UUID | None, message_id: UUID) -> int | None:
    """How many messages above the leaf the message is, on the leaf's branch; None: it is not on it."""
    with connection.cursor() as cursor:
        cursor.execute(_DISTANCE, {"leaf": leaf_id, "message": message_id, "conversation": conversation_id})
        row = cursor.fetchone()
    return row[0] if row else None


def has(*, conversation_id: UUID, message_id: UUID) -> bool:
    """Whether the conversation has this message, on whichever branch."""
    return Message.objects.filter(id=message_id, conversation_id=conversation_id).exists()
