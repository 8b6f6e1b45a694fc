"""Whatever is done to a conversation, the window at hand is what a plain rebuild from the database gives."""

import asyncio
import random
import uuid
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import tenant_context

from agents.models import Agent
from chat import answers, branch, records
from chat.answers import Settled
from chat.context import Context
from chat.conversations import select_version
from chat.inbound import InboundMessage, Sender
from chat.models import Conversation, Message, MessageRole
from chat.records import Begun
from konstruct.tenancy.door import WorkspaceRef
from memory import summaries
from memory.hot import InProcess
from memory.models import Summary
from memory.window import Window
from tests.conftest import MakeUser

STATUSES = ("complete", "complete", "complete", "stopped", "interrupted", "failed")


class Talk:
    """A conversation, written to by one of several processes at a time, each with windows of its own."""

    def __init__(self, workspace: WorkspaceRef, user_id: UUID, chance: random.Random, processes: int) -> None:
        self.workspace, self.user_id, self.chance = workspace, user_id, chance
        self.agent = Agent.objects.create(name="Kim")
        self.conversation = Conversation.objects.create(user_id=user_id, agent=self.agent)
        self.hot = [InProcess() for _ in range(processes)]
        self.branch_reads = 0

    def turn(self, begin: Any, **said: Any) -> None:
        """One whole turn; checks what its prompt would show."""
        inbound = InboundMessage(
            id=uuid.uuid4(),
            tenant_id=self.workspace.id,
            channel="web",
            sender=Sender(self.user_id, "Ana"),
            timestamp=datetime.now(UTC),
            thread_id=self.conversation.id,
            **said,
        )
        context = Context(self.chance.choice(self.hot), NoRecalls(), self.workspace, inbound, self.agent.id)  # type: ignore[arg-type]
        asyncio.run(context.open())
        with CaptureQueriesContext(connection) as queries:
            begun: Begun = begin(
                inbound=inbound, message_id=uuid.uuid4(), reply_id=uuid.uuid4(), held=context.held
            )
        reads = [query for query in queries if "RECURSIVE" in query["sql"]]
        assert len(reads) == (begun.window is not None and begun.parent_id is not None)
        self.branch_reads += len(reads)
        window = context._window = context._window_of(begun)
        rebuilt = branch.window_up_to(begun.parent_id)
        # One at hand may still stand on an earlier summary, and then says more word for word.
        if window.base_id == rebuilt.base_id:
            assert window == rebuilt
        assert rebuilt.base_id == nearest_summary(begun.parent_id)
        assert window.whole and window.summary == (f"up to {window.base_id}" if window.base_id else "")
        assert [one.text for one in window.lines(10**9)] == plain(begun.parent_id, window)
        status = self.chance.choice(STATUSES)
        settled = Settled(text=f"answer {uuid.uuid4()}", status=status)
        answers.settle(conversation_id=self.conversation.id, reply_id=begun.reply_id, settled=settled)
        asyncio.run(context.keep(begun, settled))

    def some(self, role: MessageRole) -> UUID | None:
        ids = list(
            Message.objects.filter(conversation=self.conversation, role=role).values_list("id", flat=True)
        )
        return self.chance.choice(ids) if ids else None

    def act(self) -> None:
        what = self.chance.choices(["say", "edit", "regenerate", "select", "fold"], [8, 2, 2, 1, 1])[0]
        question, answer = self.some(MessageRole.USER), self.some(MessageRole.ASSISTANT)
        if what == "say" or question is None:
            self.turn(records.begin_message, text=f"message {uuid.uuid4()}")
        elif what == "edit":
            self.turn(records.begin_edit, text=f"edit {uuid.uuid4()}", reply_to=question)
        elif what == "regenerate":
            self.turn(records.begin_regenerate, text="", reply_to=answer)
        elif what == "select":
            message_id = self.chance.choice([question, answer])
            assert message_id is not None
            select_version(user_id=self.user_id, conversation_id=self.conversation.id, message_id=message_id)
        elif answer is not None:
            summaries.keep(conversation_id=self.conversation.id, upto_id=answer, text=f"up to {answer}")


class NoRecalls:
    """Nothing is recalled here."""

    def start(self, *_: Any) -> None: ...


def nearest_summary(leaf_id: UUID | None) -> UUID | None:
    while leaf_id is not None and not Summary.objects.filter(upto_id=leaf_id).exists():
        leaf_id = Message.objects.get(id=leaf_id).parent_id
    return leaf_id


def plain(leaf_id: UUID | None, window: Window) -> list[str]:
    """The rule once more, in Python, message by message from the leaf up to where the window begins."""
    found: list[Message] = []
    while leaf_id is not None and leaf_id != window.base_id:
        found.insert(0, Message.objects.get(id=leaf_id))
        leaf_id = found[0].parent_id
    lines: list[str] = []
    before = ""
    for message in found:
        if message.status == "failed":
            continue
        if message.role == before:
            lines[-1] += f"\n\n{message.text}"
        else:
            lines.append(message.text)
        before = message.role
    return lines


@pytest.mark.parametrize("seed", range(12))
def test_at_hand_or_not_the_window_is_that_of_the_branch(
    acme: WorkspaceRef, make_user: MakeUser, seed: int
) -> None:
    with tenant_context(acme):
        chance = random.Random(seed)
        talk = Talk(acme, make_user(acme).id, chance, processes=1 + seed % 3)
        for _ in range(25):
            talk.act()


def test_in_one_process_talking_on_reads_the_branch_never(acme: WorkspaceRef, make_user: MakeUser) -> None:
    """Nor does another answer, or an edit, of what is at hand."""
    with tenant_context(acme):
        talk = Talk(acme, make_user(acme).id, random.Random(0), processes=1)
        for number in range(10):
            talk.turn(records.begin_message, text=f"message {number}")
        talk.turn(
            records.begin_regenerate,
            text="",
            reply_to=Conversation.objects.get(id=talk.conversation.id).leaf_id,
        )
        assert talk.branch_reads == 0
