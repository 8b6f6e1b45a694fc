"""Titles: by a job, after the first answer, for whoever watches."""

import uuid

import pytest
from django_tenants.utils import tenant_context

from chat import answers, records
from chat.answers import Settled
from chat.inbound import InboundMessage, Sender
from chat.jobs.titles import _set_title, first_words, tidy_title
from chat.models import Conversation, Message
from chat.settlement import settle_and_defer
from konstruct.tenancy.door import WorkspaceRef


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        ("Office coffee budget", "Office coffee budget"),
        ('"Office coffee budget."', "Office coffee budget"),
        ("**Title: Office coffee budget**\n\nIt says it all.", "Office coffee budget"),
        ("", ""),
        ("\n \n", ""),
        ("Sure! Here is a title for the conversation that you asked me to summarise for you:", ""),
        ("x" * 81, ""),
    ],
)
def test_a_models_answer_is_a_title_only_where_it_looks_like_one(answer: str, title: str) -> None:
    assert tidy_title(answer) == title


def test_the_first_words_are_cut_between_words() -> None:
    assert first_words("  short\nand sweet ") == "short and sweet"
    assert first_words("word " * 40) == "word " * 11 + "word…"


def test_a_turn_defers_one_title_and_a_found_one_does_not_replace_a_persons(
    acme: WorkspaceRef, make_user: object
) -> None:
    user = make_user(acme)  # type: ignore[operator]
    with tenant_context(acme):
        conversation = Conversation.objects.create(user_id=user.id)
        for text in ("first", "second"):
            inbound = InboundMessage(
                id=uuid.uuid4(),
                tenant_id=acme.id,
                channel="web",
                sender=Sender(user.id, "Max"),
                text=text,
                timestamp=conversation.created_at,
                thread_id=conversation.id,
            )
            begun = records.begin_message(inbound=inbound, message_id=uuid.uuid4(), reply_id=uuid.uuid4())
            settle_and_defer(
                conversation_id=conversation.id,
                reply_id=begun.reply_id,
                settled=Settled(text="ok", status="complete"),
                workspace_id=acme.id,
            )
        assert Message.objects.filter(conversation=conversation).count() == 4
        assert _waiting_titles(conversation.id) == 1

        Conversation.objects.filter(id=conversation.id).update(title="Mine")
        _set_title(conversation_id=conversation.id, title="Found")
        conversation.refresh_from_db()
        assert conversation.title == "Mine"
        assert not answers.settle(
            conversation_id=conversation.id,
            reply_id=begun.reply_id,
            settled=Settled(text="x", status="failed"),
        )


def _waiting_titles(conversation_id: uuid.UUID) -> int:
    from procrastinate.contrib.django.models import ProcrastinateJob

    waiting = ProcrastinateJob.objects.filter(task_name="chat.find_title", status="todo")
    return sum(job.args["conversation_id"] == str(conversation_id) for job in waiting)
