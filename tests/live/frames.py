"""What PROTOCOL.md says of server frames, written down a second time: independent of chat.protocol."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

STATUSES = {"complete", "stopped", "failed", "interrupted"}
CODES = {
    *("bad_frame", "not_authenticated", "forbidden", "not_found", "busy", "too_long", "rate_limited"),
    *("no_agent", "model_unavailable", "model_rate_limited", "model_timeout", "context_too_long"),
    *("content_refused", "budget_exhausted", "internal"),
}

Check = Callable[[Any], bool]


def is_id(value: Any) -> bool:
    return isinstance(value, str) and str(UUID(value)) == value


def is_id_or_null(value: Any) -> bool:
    return value is None or is_id(value)


def are_ids(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_id, value))


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_sentence(value: Any) -> bool:
    return isinstance(value, str) and len(value) > 5


def is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def is_number(value: Any) -> bool:
    return type(value) in (int, float) and value >= 0


def is_time(value: Any) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value).utcoffset() is not None


def is_agent(value: Any) -> bool:
    return value is None or (is_id(value["id"]) and is_text(value["name"]))


def is_active(value: Any) -> bool:
    return value is None or (is_id(value["message_id"]) and is_id(value["reply_to"]))


def is_usage(value: Any) -> bool:
    return is_count(value["prompt_tokens"]) and is_count(value["completion_tokens"])


# Each frame's fields: required, then optional.
FRAMES: dict[str, tuple[dict[str, Check], dict[str, Check]]] = {
    "ready": (
        {
            "conversation_id": is_id,
            "agent": is_agent,
            "last_message_id": is_id_or_null,
            "active": is_active,
        },
        {},
    ),
    "typing": (
        {"conversation_id": is_id, "message_id": is_id, "reply_to": is_id_or_null, "agent_id": is_id_or_null},
        {},
    ),
    "saved": ({"message_id": is_id, "client_id": is_id_or_null, "reply_id": is_id}, {}),
    "message": (
        {
            "message_id": is_id,
            "role": {"user", "assistant"}.__contains__,
            "text": is_text,
            "created_at": is_time,
        },
        {"agent_id": is_id},
    ),
    "chunk": ({"text": is_text, "message_id": is_id, "offset": is_count}, {}),
    "done": (
        {"text": is_text, "conversation_id": is_id, "message_id": is_id, "status": STATUSES.__contains__},
        {"usage": is_usage, "finish_reason": is_text, "memories": are_ids},
    ),
    "conversation": ({"conversation_id": is_id}, {"title": is_text}),
    "feedback": ({"message_id": is_id, "value": {"up", "down", None}.__contains__}, {"comment": is_text}),
    "pong": ({}, {}),
    "error": (
        {"message": is_sentence, "code": CODES.__contains__},
        {"message_id": is_id, "retry_after": is_number},
    ),
}
# The protocol writes no `?` at these, but leaving out what has no value is what "a field" may mean there.
MAY_LACK = {("saved", "client_id")}


def check(frame: dict[str, Any]) -> None:
    """Raises AssertionError where the frame is not what the protocol says."""
    kind = frame.get("type")
    assert kind in FRAMES, f"unknown frame: {frame}"
    required, optional = FRAMES[kind]
    for name, rule in required.items():
        if (kind, name) in MAY_LACK and name not in frame:
            continue
        assert name in frame, f"{kind} lacks {name}: {frame}"
        assert rule(frame[name]), f"{kind}.{name} is wrong: {frame}"
    for name, rule in optional.items():
        assert name not in frame or rule(frame[name]), f"{kind}.{name} is wrong: {frame}"
    assert "ref" not in frame or isinstance(frame["ref"], str)


class Following:
    """What one socket has been sent of one answer. Checks that it is gapless and ends once."""

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        self.start = 0
        self.text = ""
        self.ended = False
        self._asked: list[int] = []

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def ask(self, offset: int) -> None:
        """The client has said `resume` from there."""
        self._asked.append(offset)

    def chunk(self, offset: int, text: str) -> None:
        assert text, "an empty chunk"
        if self.ended or offset != self.end:
            # Only a resume explains it; where more was asked for than there is, what comes is taken.
            asked = next((a for a in self._asked if a == offset or a > offset >= self.end), None)
            assert asked is not None, f"a chunk at {offset}, expected at {self.end} ({self.message_id})"
            self._asked.remove(asked)
            self.ended = False
            if not self.start <= offset <= self.end:
                self.start, self.text = offset, ""
            known = self.text[offset - self.start :]
            assert text.startswith(known) or known.startswith(text), "a resume tells another text"
            self.text = self.text[: offset - self.start]
        self.text += text

    def done(self, text: str) -> None:
        if self.ended:
            assert self._asked, f"a second terminal frame for {self.message_id}"
            self._asked.pop(0)
        self.ended = True
        end = max([self.end, *self._asked]) if self._asked else self.end
        assert text[self.start : self.end] == self.text, "done's text is not what was sent in chunks"
        assert end >= len(text), f"done at {len(text)} code points, chunks reach {end}"
