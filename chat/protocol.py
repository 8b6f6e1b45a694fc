"""Every frame of the socket, typed both ways. The source is PROTOCOL.md, version 1. No Django here.

Client frames forbid unknown fields; a server frame leaves out what has no value, except where the
protocol says `null`.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

MAX_FRAME_BYTES = 64 * 1024
MAX_TEXT = 32_000
AUTH_SECONDS = 10.0


class Close:
    """Close codes (PROTOCOL.md)."""

    NOT_AUTHENTICATED = 4001
    ACCESS_WITHDRAWN = 4003
    NO_CONVERSATION = 4004
    TOO_MANY = 4029
    TOO_BIG = 1009
    RESTART = 1012


class Code(StrEnum):
    """Error codes (PROTOCOL.md)."""

    BAD_FRAME = "bad_frame"
    NOT_AUTHENTICATED = "not_authenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    BUSY = "busy"
    TOO_LONG = "too_long"
    RATE_LIMITED = "rate_limited"
    NO_AGENT = "no_agent"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_RATE_LIMITED = "model_rate_limited"
    MODEL_TIMEOUT = "model_timeout"
    CONTEXT_TOO_LONG = "context_too_long"
    CONTENT_REFUSED = "content_refused"
    BUDGET_EXHAUSTED = "budget_exhausted"
    INTERNAL = "internal"


class ProtocolError(ValueError):
    """A client's frame cannot be taken. `sentence` is for a person, `ref` the frame's own, if it had one."""

    def __init__(self, code: Code, sentence: str, ref: str | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.ref = ref


# --- what a client may say -----------------------------------------------------------------------

Ref = Annotated[str, Meta(max_length=64)]


class _Client(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", rename="camel", kw_only=True
):
    ref: Ref | None = None


class Auth(_Client, frozen=True, tag="auth"):
    user_id: UUID
    role: str
    tenant_id: UUID
    token: str


class SendMessage(_Client, frozen=True, tag="message"):
    text: str
    message_id: UUID | None = None
    agent_id: UUID | None = None
    conversation_id: UUID | None = None
    display_name: Annotated[str, Meta(max_length=200)] | None = None


class Resume(_Client, frozen=True, tag="resume"):
    message_id: UUID
    offset: Annotated[int, Meta(ge=0)]


class Stop(_Client, frozen=True, tag="stop"):
    message_id: UUID | None = None


class Regenerate(_Client, frozen=True, tag="regenerate"):
    message_id: UUID
    agent_id: UUID | None = None


class Edit(_Client, frozen=True, tag="edit"):
    message_id: UUID
    text: str


class GiveFeedback(_Client, frozen=True, tag="feedback"):
    message_id: UUID
    value: Literal["up", "down"] | None
    comment: Annotated[str, Meta(max_length=4000)] | None = None


class Ack(_Client, frozen=True, tag="ack"):
    message_id: UUID
    offset: Annotated[int, Meta(ge=0)]


class Ping(_Client, frozen=True, tag="ping"):
    pass


ClientFrame = Auth | SendMessage | Resume | Stop | Regenerate | Edit | GiveFeedback | Ack | Ping

_client_decoder = msgspec.json.Decoder(ClientFrame)
# NUL cannot be stored by PostgreSQL, and nobody types it.
_UNSTORABLE = re.compile("\x00")


def parse(data: str) -> ClientFrame:
    """The client frame in `data`. Raises ProtocolError (bad_frame, too_long)."""
    try:
        frame = _client_decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        raise ProtocolError(
            Code.BAD_FRAME, f"This frame was not understood: {error}", _ref_of(data)
        ) from None
    if isinstance(frame, SendMessage | Edit):
        return msgspec.structs.replace(frame, text=_checked_text(frame.text, frame.ref))
    if isinstance(frame, GiveFeedback) and frame.comment is not None:
        return msgspec.structs.replace(frame, comment=_UNSTORABLE.sub("", frame.comment).strip())
    return frame


def _checked_text(text: str, ref: str | None) -> str:
    text = _UNSTORABLE.sub("", text).strip()
    if not text:
        raise ProtocolError(Code.BAD_FRAME, "The message is empty.", ref)
    if len(text) > MAX_TEXT:
        raise ProtocolError(
            Code.TOO_LONG, f"The message has {len(text):,} characters; {MAX_TEXT:,} are allowed.", ref
        )
    return text


def _ref_of(data: str) -> str | None:
    """The `ref` of a frame that is wrong in other ways, so that its sender can tell which it was."""
    try:
        ref = msgspec.json.decode(data).get("ref")
    except (msgspec.DecodeError, AttributeError, RecursionError, UnicodeEncodeError):
        return None
    return ref if isinstance(ref, str) and len(ref) <= 64 else None


# --- what the server says ------------------------------------------------------------------------


class ServerFrame(Struct, frozen=True, tag_field="type", omit_defaults=True, kw_only=True):
    ref: str | None = None


class AgentBrief(Struct, frozen=True):
    id: UUID
    name: str


class Active(Struct, frozen=True):
    message_id: UUID
    reply_to: UUID | None


class Ready(ServerFrame, frozen=True, tag="ready"):
    conversation_id: UUID
    agent: AgentBrief | None
    last_message_id: UUID | None
    active: Active | None


class Typing(ServerFrame, frozen=True, tag="typing"):
    conversation_id: UUID
    message_id: UUID
    reply_to: UUID | None
    agent_id: UUID | None


class Saved(ServerFrame, frozen=True, tag="saved"):
    message_id: UUID
    client_id: UUID | None
    reply_id: UUID


class NewMessage(ServerFrame, frozen=True, tag="message"):
    message_id: UUID
    role: str
    text: str
    created_at: datetime
    agent_id: UUID | None = None
    parent_id: UUID | None = None


class Chunk(ServerFrame, frozen=True, tag="chunk"):
    text: str
    message_id: UUID
    offset: int


class UsageReport(Struct, frozen=True, omit_defaults=True):
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None = None
    estimated: bool = False


class Done(ServerFrame, frozen=True, tag="done"):
    """`memories`: those that the prompt held; left out where there were none."""

    text: str
    conversation_id: UUID
    message_id: UUID
    status: str
    usage: UsageReport | None = None
    finish_reason: str | None = None
    model: str | None = None
    duration_ms: int | None = None
    memories: tuple[UUID, ...] = ()


class ConversationChanged(ServerFrame, frozen=True, tag="conversation"):
    conversation_id: UUID
    title: str | None = None


class ConversationInfo(Struct, frozen=True):
    """A conversation as it is listed. `leaf_id`: the last message of the branch in use."""

    id: UUID
    title: str
    agent_id: UUID | None
    channel: str
    leaf_id: UUID | None
    created_at: datetime
    updated_at: datetime
    pinned_at: datetime | None = None
    archived_at: datetime | None = None


class ListReady(ServerFrame, frozen=True, tag="ready"):
    """The list's socket hears of changes from now on; what was before is for GET /api/conversations."""


class Listed(ServerFrame, frozen=True, tag="listed"):
    """A conversation of this user began or changed: how it is listed now."""

    conversation: ConversationInfo


class Gone(ServerFrame, frozen=True, tag="gone"):
    """A conversation of this user was deleted."""

    conversation_id: UUID


class Missed(ServerFrame, frozen=True, tag="missed"):
    """The server could not hear of changes for a while: the list has to be fetched again."""


class Feedback(ServerFrame, frozen=True, tag="feedback"):
    message_id: UUID
    value: str | None
    comment: str | None = None


class Pong(ServerFrame, frozen=True, tag="pong"):
    pass


class Error(ServerFrame, frozen=True, tag="error"):
    message: str
    code: str
    message_id: UUID | None = None
    retry_after: float | None = None


_encoder = msgspec.json.Encoder()


def encode(frame: ServerFrame) -> str:
    """The frame as it goes over the wire."""
    return _encoder.encode(frame).decode()


def with_ref(frame: ServerFrame, ref: str | None) -> Any:
    """The frame as a direct answer to the client frame that carried `ref`."""
    return msgspec.structs.replace(frame, ref=ref) if ref is not None else frame
