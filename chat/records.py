"""How a turn begins in the database. Synchronous, keyword-only, atomic; run through the tenancy door.

A turn begins with the user's message and its empty, RUNNING answer in one transaction, so that after
`saved` nothing is lost (PROTOCOL.md, promise 1). How the answer goes on is `chat.answers`' matter.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone
from msgspec import Struct

from agents import employees
from agents.employees import Employee
from agents.models import Agent
from chat import news
from chat.answers import interrupt_stale
from chat.branch import window_up_to
from chat.inbound import InboundMessage
from chat.models import Conversation, Message, MessageRole, Status
from chat.protocol import Code
from konstruct.tenancy.sockets import session_holds
from konstruct.tenancy.workspaces import find_membership
from memory.window import Window


class Refused(Exception):
    """The turn cannot begin; nothing was stored. `sentence` is for a person."""

    def __init__(self, code: Code, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


class AlreadySeen(Exception):
    """A message of this client id was stored before, with these ids."""

    def __init__(self, message_id: UUID, reply_id: UUID) -> None:
        super().__init__(message_id)
        self.message_id = message_id
        self.reply_id = reply_id


class Begun(Struct, frozen=True):
    """A turn that has begun: `message_id` is the user's message, `reply_id` the answer to come.

    window: what was said before the message; None where the caller holds it up to `parent_id`.
    """

    message_id: UUID
    reply_id: UUID
    parent_id: UUID | None
    created_at: datetime
    text: str
    employee: Employee | None
    window: Window | None


def begin_message(
    *, inbound: InboundMessage, message_id: UUID, reply_id: UUID, held: Collection[UUID] = ()
) -> Begun:
    """Store the user's message at the end of the conversation's branch and open its answer.

    held: the messages up to which the caller knows what was said: above one of these, the branch is not read.
    Raises AlreadySeen for a client id that is stored, Refused (not_found, forbidden, busy, no_agent).
    """
    with _refuse_second_turn(), transaction.atomic():
        conversation = _lock(inbound)
        if inbound.client_id is not None:
            _raise_if_seen(conversation, inbound.client_id)
        return _open_turn(
            conversation,
            inbound,
            message=Message(id=message_id, client_id=inbound.client_id, parent_id=conversation.leaf_id),
            reply_id=reply_id,
            held=held,
        )


def begin_edit(
    *, inbound: InboundMessage, message_id: UUID, reply_id: UUID, held: Collection[UUID] = ()
) -> Begun:
    """Store an edited form of the user's message `inbound.reply_to` as its sibling, and open its answer."""
    with _refuse_second_turn(), transaction.atomic():
        conversation = _lock(inbound)
        original = _message(conversation, inbound.reply_to, MessageRole.USER)
        return _open_turn(
            conversation,
            inbound,
            message=Message(id=message_id, parent_id=original.parent_id),
            reply_id=reply_id,
            held=held,
        )


def begin_regenerate(
    *, inbound: InboundMessage, message_id: UUID, reply_id: UUID, held: Collection[UUID] = ()
) -> Begun:
    """Open a sibling of the answer `inbound.reply_to`, to the same user's message."""
    with _refuse_second_turn(), transaction.atomic():
        conversation = _lock(inbound)
        answer = _message(conversation, inbound.reply_to, MessageRole.ASSISTANT)
        if answer.parent is None:
            raise Refused(Code.NOT_FOUND, "That answer has no question.")
        agent = _choose_agent(
            conversation, inbound.agent_id or answer.agent_id, strict=inbound.agent_id is not None
        )
        _refuse_if_running(conversation)
        return _open_reply(conversation, agent, answer.parent, reply_id, is_new=False, held=held)


# --- inside ----------------------------------------------------------------------------------------


class _refuse_second_turn:
    """Turns the database's refusal of a second running answer into the sentence for it."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, IntegrityError) and "one_running_answer" in str(error):
            raise _busy() from error


def _busy() -> Refused:
    return Refused(Code.BUSY, "An answer is being written in this conversation. Wait for it or stop it.")


def _lock(inbound: InboundMessage) -> Conversation:
    """The conversation, locked until the transaction ends; its user's access checked anew."""
    membership = find_membership(user_id=inbound.sender.user_id, workspace_id=inbound.tenant_id)
    session = inbound.sender.session
    if membership is None or (session and not session_holds(fingerprint=session, user=membership.user)):
        raise Refused(Code.FORBIDDEN, "You no longer have access to this workspace.")
    owned = Conversation.objects.select_for_update().filter(
        id=inbound.thread_id, user_id=inbound.sender.user_id
    )
    conversation = owned.first()
    if conversation is None:
        raise Refused(Code.NOT_FOUND, "There is no such conversation.")
    return conversation


def _raise_if_seen(conversation: Conversation, client_id: UUID) -> None:
    seen = (
        Message.objects.filter(conversation=conversation, client_id=client_id)
        .values_list("id", flat=True)
        .first()
    )
    if seen is None:
        return
    reply = Message.objects.filter(parent_id=seen).order_by("created_at").values_list("id", flat=True).first()
    raise AlreadySeen(seen, reply or seen)


def _message(conversation: Conversation, message_id: UUID | None, role: MessageRole) -> Message:
    found = Message.objects.filter(
        pk__in=[message_id] if message_id else [], conversation=conversation, role=role
    ).select_related("parent")
    message = found.first()
    if message is None:
        raise Refused(Code.NOT_FOUND, "There is no such message in this conversation.")
    return message


def _choose_agent(conversation: Conversation, agent_id: UUID | None, *, strict: bool) -> Agent | None:
    """The employee asked for; or the conversation's; or the workspace's default; or None."""
    if agent_id is not None:
        agent = employees.find_active(agent_id)
        if agent is not None:
            return agent
        if strict and employees.find_active(None) is not None:
            raise Refused(Code.NO_AGENT, "That employee is not available in this workspace.")
    if conversation.agent_id and (agent := employees.find_active(conversation.agent_id)):
        return agent
    return employees.find_active(None)


def _open_turn(
    conversation: Conversation,
    inbound: InboundMessage,
    *,
    message: Message,
    reply_id: UUID,
    held: Collection[UUID],
) -> Begun:
    agent = _choose_agent(conversation, inbound.agent_id, strict=True)
    _refuse_if_running(conversation)
    message.conversation, message.role, message.text = conversation, MessageRole.USER, inbound.text
    message.created_at = timezone.now()
    message.save(force_insert=True)
    return _open_reply(conversation, agent, message, reply_id, is_new=True, held=held)


def _open_reply(
    conversation: Conversation,
    agent: Agent | None,
    message: Message,
    reply_id: UUID,
    *,
    is_new: bool,
    held: Collection[UUID],
) -> Begun:
    now = max(timezone.now(), message.created_at + timedelta(microseconds=1))
    Message(
        id=reply_id,
        conversation=conversation,
        parent=message,
        role=MessageRole.ASSISTANT,
        status=Status.RUNNING,
        agent=agent,
        created_at=now,
        heartbeat_at=Now(),
    ).save(force_insert=True)
    conversation.leaf_id = reply_id
    conversation.agent_id = conversation.agent_id or (agent.id if agent else None)
    conversation.updated_at = now
    conversation.save(update_fields=["leaf", "agent", "updated_at"])
    news.turn_began(
        conversation_id=conversation.id, reply_id=reply_id, message_id=message.id if is_new else None
    )
    return Begun(
        message_id=message.id,
        reply_id=reply_id,
        parent_id=message.parent_id,
        created_at=message.created_at,
        text=message.text,
        employee=employees.load(agent) if agent else None,
        window=None if message.parent_id in held else window_up_to(message.parent_id),
    )


def _refuse_if_running(conversation: Conversation) -> None:
    if not Message.objects.filter(conversation=conversation, status=Status.RUNNING).exists():
        return
    if not interrupt_stale(conversation_id=conversation.id):
        raise _busy()
