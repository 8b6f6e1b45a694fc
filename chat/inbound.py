"""The channel-neutral form of what a person says: all channels feed the same pipeline (SOURCE.md, 5)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct, field


class Sender(Struct, frozen=True):
    """Who speaks: a user of the shared schema, by the name they go by. `session`: the fingerprint of the
    session that must still live for the message to be taken, where the channel knows one."""

    user_id: UUID
    display_name: str
    session: str | None = None


class InboundMessage(Struct, frozen=True, kw_only=True):
    """One message on its way in. `thread_id` is the conversation; `client_id` the sender's own id of
    the message, by which one that arrives twice is known; `metadata` what only the channel knows."""

    id: UUID
    tenant_id: UUID
    channel: str
    sender: Sender
    text: str
    timestamp: datetime
    thread_id: UUID
    agent_id: UUID | None = None
    client_id: UUID | None = None
    reply_to: UUID | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
