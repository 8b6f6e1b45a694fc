"""A conversation as a file, and back.

Synchronous and keyword-only; runs inside a workspace; long conversations are read and written in batches.

**JSON** holds what was said, all of its versions, and by whom: the whole tree. It holds neither costs nor
tokens, which an import would otherwise write into the workspace's accounts, nor ids: messages are in the
order in which they were written, and numbered. `version` is 1; a reader refuses versions it does not know.

    {"format": "konstruct-conversation", "version": 1, "exported_at": TIME,
     "title": "…", "employee": NAME | null, "created_at": TIME,
     "messages": [{"id": 1, "parent": null | id of the message it follows, "role": "user" | "assistant",
                   "text": "…", "created_at": TIME,
                   "status": "complete" | "stopped" | "failed" | "interrupted", "error": CODE | "",
                   "employee": NAME | null, "model": "…", "finish_reason": "…", "duration_ms": N | null,
                   "feedback": "" | "up" | "down", "feedback_comment": "…"}, …],
     "leaf": id of the last message of the branch in use | null}

**Markdown** holds the branch in use, to be read by people.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.utils import timezone
from django.utils.translation import gettext as _

from chat import branches
from chat.conversations import ConversationNotFound
from chat.models import Conversation, Message, MessageRole, Status

FORMAT = "konstruct-conversation"
VERSION = 1
BATCH = 200


class Batches:
    """A file in pieces. `read` gives the next one, b"" after the last; each runs inside the workspace, and
    between two of them nothing is held but where the reading is."""

    def __init__(self, conversation: Conversation) -> None:
        self.title = _one_line(conversation.title) or _("Conversation")
        # Now: whoever reads on later may do so in another language.
        self._names = {MessageRole.USER: _("You"), MessageRole.ASSISTANT: _("Employee")}
        self._conversation_id = conversation.id
        self._user_id = conversation.user_id
        self._pieces = self._write(conversation)

    def read(self) -> bytes:
        return next(self._pieces, b"")

    def _write(self, conversation: Conversation) -> Iterator[bytes]:
        raise NotImplementedError

    def _rows(self) -> Any:
        """The conversation's messages; none once it is deleted."""
        return (
            Message.objects.filter(
                conversation_id=self._conversation_id,
                conversation__user_id=self._user_id,
                conversation__deleted_at=None,
            )
            .select_related("agent")
            .order_by("created_at", "id")
        )


class JsonFile(Batches):
    suffix, content_type = "json", "application/json"

    def _write(self, conversation: Conversation) -> Iterator[bytes]:
        head = {
            "format": FORMAT,
            "version": VERSION,
            "exported_at": timezone.now(),
            "title": conversation.title,
            "employee": conversation.agent.name if conversation.agent else None,
            "created_at": conversation.created_at,
        }
        yield msgspec.json.encode(head)[:-1] + b',"messages":['
        numbers: dict[UUID, int] = {}
        # What is said from now on is not in the file.
        rows = self._rows().filter(created_at__lte=timezone.now())
        after: Message | None = None
        while batch := list(_after(rows, after)[:BATCH]):
            lines = []
            for message in batch:
                # Clocks of two servers may differ: what a message follows can come after it.
                for one in (message.id, message.parent_id):
                    if one is not None:
                        numbers.setdefault(one, len(numbers) + 1)
                lines.append(msgspec.json.encode(_line(message, numbers)))
            yield (b",\n" if after else b"\n") + b",\n".join(lines)
            after = batch[-1]
        last = conversation.leaf_id or (after.id if after else None)
        leaf = numbers.get(last) if last else None
        yield b'\n],"leaf":' + msgspec.json.encode(leaf) + b"}\n"


class MarkdownFile(Batches):
    suffix, content_type = "md", "text/markdown; charset=utf-8"

    def _write(self, conversation: Conversation) -> Iterator[bytes]:
        yield f"# {self.title}\n".encode()
        ids = branches.ids_upwards(
            conversation_id=conversation.id, message_id=conversation.leaf_id, limit=1_000_000
        )[::-1]
        for start in range(0, len(ids), BATCH):
            found = self._rows().in_bulk(ids[start : start + BATCH])
            here = [found[one] for one in ids[start : start + BATCH] if one in found]
            yield "".join(
                f"\n## {self._by(message)}\n\n{message.text.strip()}\n" for message in here
            ).encode()

    def _by(self, message: Message) -> str:
        """Who said it and when, for a heading."""
        named = message.agent if message.role == MessageRole.ASSISTANT else None
        name = _one_line(named.name) if named else self._names[MessageRole(message.role)]
        return f"{name} · {_moment(message.created_at)}"


FILES: dict[str, type[JsonFile] | type[MarkdownFile]] = {"json": JsonFile, "markdown": MarkdownFile}


def begin(*, user_id: UUID, conversation_id: UUID, kind: str) -> JsonFile | MarkdownFile:
    """The conversation as a file of that kind (FILES), to be read. Raises ConversationNotFound."""
    conversation = (
        Conversation.objects.select_related("agent").filter(user_id=user_id, id=conversation_id).first()
    )
    if conversation is None:
        raise ConversationNotFound(conversation_id)
    return FILES[kind](conversation)


# --- inside ----------------------------------------------------------------------------------------


def _after(rows: Any, last: Message | None) -> Any:
    """The rows written after this one, in the order (created_at, id)."""
    if last is None:
        return rows
    same_moment = rows.filter(created_at=last.created_at, id__gt=last.id)
    return rows.filter(created_at__gt=last.created_at) | same_moment


def _line(message: Message, numbers: dict[UUID, int]) -> dict[str, object]:
    running = message.status == Status.RUNNING
    return {
        "id": numbers[message.id],
        "parent": numbers[message.parent_id] if message.parent_id else None,
        "role": message.role,
        "text": message.text,
        "created_at": message.created_at,
        # As far as it had come.
        "status": Status.INTERRUPTED if running else message.status,
        "error": message.error_code,
        "employee": message.agent.name if message.agent else None,
        "model": message.model,
        "finish_reason": message.finish_reason,
        "duration_ms": message.duration_ms,
        "feedback": message.feedback,
        "feedback_comment": message.feedback_comment,
    }


def _moment(moment: datetime) -> str:
    return moment.astimezone(timezone.get_current_timezone()).strftime("%Y-%m-%d %H:%M %Z")


def _one_line(text: str) -> str:
    return " ".join(text.split())
