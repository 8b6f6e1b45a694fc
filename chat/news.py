"""What processes tell each other of conversations, by PostgreSQL's NOTIFY.

A notice is part of the transaction it speaks of: it is heard if that commits, and only then. The truth
stays in the tables; whoever missed a notice (`Listener.on_gap`) looks there.
"""

import logging
from uuid import UUID, uuid4

import msgspec
from django.db import connection
from msgspec import Struct

from chat.protocol import ConversationInfo
from konstruct.tenancy.isolation import current_schema

logger = logging.getLogger(__name__)

CHANNEL = "konstruct_news"
# Which process speaks: each ignores its own news of turns, which it has told its sockets already.
THIS_PROCESS = uuid4()


class _News(Struct, frozen=True, tag_field="type", kw_only=True):
    schema_name: str
    conversation_id: UUID


class TitleFound(_News, frozen=True, tag="title"):
    title: str


class TurnBegan(_News, frozen=True, tag="began"):
    """An answer is being written. `message_id`: the user's message, where it is a new one."""

    reply_id: UUID
    message_id: UUID | None
    process: UUID


class StopAsked(_News, frozen=True, tag="stop"):
    reply_id: UUID


class ConversationListed(_News, frozen=True, tag="listed"):
    """A conversation began, changed what a list shows of it, goes on, or was restored. Told by a trigger
    (migration `search_and_list_triggers`), like the next one."""

    user_id: UUID
    item: ConversationInfo


class ConversationGone(_News, frozen=True, tag="gone"):
    """A conversation was deleted, for good or until it is restored."""

    user_id: UUID


News = TitleFound | TurnBegan | StopAsked | ConversationListed | ConversationGone


def title_found(*, conversation_id: UUID, title: str) -> None:
    """Tell that the conversation has a title; part of the caller's transaction, as all of these."""
    _post(TitleFound(schema_name=current_schema(), conversation_id=conversation_id, title=title))


def turn_began(*, conversation_id: UUID, reply_id: UUID, message_id: UUID | None) -> None:
    _post(
        TurnBegan(
            schema_name=current_schema(),
            conversation_id=conversation_id,
            reply_id=reply_id,
            message_id=message_id,
            process=THIS_PROCESS,
        )
    )


def stop_asked(*, conversation_id: UUID, reply_id: UUID) -> None:
    _post(StopAsked(schema_name=current_schema(), conversation_id=conversation_id, reply_id=reply_id))


def read(payload: str) -> News | None:
    """The news in a notice; None where a newer release says what this one does not understand."""
    try:
        return msgspec.json.decode(payload, type=News)
    except msgspec.DecodeError:
        logger.warning("Not understood: a notice on %s", CHANNEL)
        return None


def _post(news: News) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, msgspec.json.encode(news).decode()])
