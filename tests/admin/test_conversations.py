"""Finding, reading and deleting conversations."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_tenants.utils import tenant_context

from chat import transcript
from chat.models import Conversation, Message
from konstruct.tenancy.models import User
from tests.admin.conftest import Rows
from tests.conftest import MakeUser, SignedIn

pytestmark = pytest.mark.django_db

LIST = "/admin/chat/conversation/"


@pytest.fixture
def client(acme_rows: Rows, signed_in: SignedIn) -> Client:
    return signed_in(acme_rows.owner, acme_rows.workspace)


@pytest.fixture
def url(acme_rows: Rows) -> str:
    return reverse("admin:chat_conversation_change", args=[acme_rows.conversation.id])


def titles(client: Client, query: str) -> set[str]:
    return {c.title for c in client.get(f"{LIST}?{query}").context["cl"].result_list}


def write(conversation: Conversation, count: int) -> list[Message]:
    """A chain of questions and answers after whatever is there."""
    begun, parent = timezone.now() - timedelta(days=1), conversation.leaf
    written = []
    for number in range(count):
        parent = Message.objects.create(
            conversation=conversation,
            parent=parent,
            role="assistant" if number % 2 else "user",
            text=f"message {number:04}.",
            created_at=begun + timedelta(seconds=number),
        )
        written.append(parent)
    conversation.leaf = parent
    conversation.save()
    return written


def test_search_finds_titles_texts_and_people(client: Client, acme_rows: Rows, make_user: MakeUser) -> None:
    other = make_user(acme_rows.workspace, email="zoe@elsewhere.example")
    User.objects.filter(id=other.id).update(display_name="Zoë Quill")
    with tenant_context(acme_rows.workspace):
        theirs = Conversation.objects.create(user_id=other.id, title="Quarterly 100% plan", channel="slack")
        Message.objects.create(conversation=theirs, role="user", text="Where is the harbour master?")
    mine = acme_rows.conversation.title
    assert titles(client, "") == {mine, theirs.title}
    for words in (
        "quarterly",
        "100%25",
        "HARBOUR",
        "zoe@elsewhere",
        "quill",
        "%22harbour+master%22",
        "plan+zoe",
    ):
        assert titles(client, f"q={words}") == {theirs.title}, words
    assert titles(client, "q=%22master+harbour%22") == set()
    assert titles(client, "q=plan+nobody") == set()
    assert titles(client, "q=_") == set()


def test_filters(client: Client, acme_rows: Rows) -> None:
    with tenant_context(acme_rows.workspace):
        failed = Conversation.objects.create(user_id=acme_rows.owner.id, title="failed", channel="whatsapp")
        Message.objects.create(conversation=failed, role="assistant", status="failed")
    assert titles(client, "answers=failed") == {"failed"}
    assert titles(client, "answers=complete") == set()
    assert titles(client, "answers=nonsense") == titles(client, "")
    assert titles(client, "channel__exact=whatsapp") == {"failed"}
    assert titles(client, f"agent__id__exact={acme_rows.agent.id}") == {acme_rows.conversation.title}


def test_the_list_costs_the_same_for_one_row_and_for_many(
    client: Client, acme_rows: Rows, make_user: MakeUser
) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(LIST).status_code == 200
        return len(queries)

    client.get(LIST)
    one = cost()
    with tenant_context(acme_rows.workspace):
        for _ in range(10):
            conversation = Conversation.objects.create(
                user_id=make_user(acme_rows.workspace).id, agent=acme_rows.agent
            )
            write(conversation, 3)
    assert cost() == one
    rows = client.get(LIST).context["cl"].result_list
    assert sorted(row.messages_written for row in rows) == [1] + [3] * 10
    assert all(row.person_email for row in rows)


def test_a_person_who_is_gone_is_a_former_user(client: Client, acme_rows: Rows) -> None:
    with tenant_context(acme_rows.workspace):
        Conversation.objects.update(user_id="00000000-0000-4000-8000-000000000000")
    assert "a former user" in client.get(LIST).content.decode()


def test_texts_are_shown_as_text(client: Client, acme_rows: Rows, url: str) -> None:
    nasty = (
        "<script>alert(1)</script>\n  <img src=x onerror=alert(2)> & {{ 7|add:1 }} **bold** [a](javascript:b)"
    )
    with tenant_context(acme_rows.workspace):
        Conversation.objects.update(title="<i>title</i>")
        Message.objects.create(
            conversation=acme_rows.conversation,
            role="assistant",
            text=nasty,
            agent=acme_rows.agent,
            status="failed",
            error_code="model_timeout",
            model="openai/<b>gpt</b>",
            prompt_tokens=12,
            completion_tokens=34,
            cost_usd="0.00012",
        )
    for address in (LIST, url, url.replace("change", "delete"), url.replace("change", "history")):
        page = client.get(address).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "<i>title" not in page
    page = client.get(url).content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\n  &lt;img src=x onerror=alert(2)&gt;" in page
    assert "&amp; {{ 7|add:1 }} **bold** [a](javascript:b)</div>" in page
    assert "openai/&lt;b&gt;gpt&lt;/b&gt;" in page
    for shown in ("failed", "model_timeout", "12 tokens read, 34 written", "$0.00012"):
        assert shown in page


def test_long_conversations_are_read_in_pages(client: Client, acme_rows: Rows, url: str) -> None:
    with tenant_context(acme_rows.workspace):
        Message.objects.all().delete()
        write(acme_rows.conversation, 2 * transcript.PAGE + 50)
    seen: list[str] = []
    address = url
    while address:
        shown = client.get(address).context["transcript"]
        seen = [line.message.text for line in shown.lines] + seen
        address = f"{url}?before={shown.older}" if shown.older else ""
    assert seen == [f"message {n:04}." for n in range(2 * transcript.PAGE + 50)]
    first = client.get(url).content.decode()
    assert "Older messages" in first
    assert "Back to the latest" not in first


@pytest.mark.parametrize("before", ["nonsense", "00000000-0000-4000-8000-000000000000", ""])
def test_an_unknown_page_is_not_found(client: Client, url: str, before: str) -> None:
    assert client.get(f"{url}?before={before}").status_code == 404


def test_replaced_versions_are_marked(acme_rows: Rows) -> None:
    conversation = acme_rows.conversation
    with tenant_context(acme_rows.workspace):
        Message.objects.all().delete()
        question, first, *_ = write(conversation, 2)
        second = Message.objects.create(
            conversation=conversation, parent=question, role="assistant", text="again"
        )
        conversation.leaf = second
        conversation.save()
        lines = transcript.read(conversation).lines
    assert {line.message.id: line.in_use for line in lines} == {
        question.id: True,
        first.id: False,
        second.id: True,
    }


def test_nothing_can_be_written(client: Client, acme_rows: Rows, url: str) -> None:
    assert client.get(f"{LIST}add/").status_code == 403
    assert client.post(url, {"title": "changed", "user_id": str(acme_rows.owner.id)}).status_code == 403
    with tenant_context(acme_rows.workspace):
        assert Conversation.objects.get().title == acme_rows.conversation.title


def test_deleting_asks_with_numbers_and_takes_the_messages_along(
    client: Client, acme_rows: Rows, url: str
) -> None:
    with tenant_context(acme_rows.workspace):
        write(acme_rows.conversation, 5)
    delete = reverse("admin:chat_conversation_delete", args=[acme_rows.conversation.id])
    question = client.get(delete).content.decode()
    assert "Messages: 6" in question
    assert "message 0003." not in question
    assert client.post(delete, {"post": "yes"})["Location"] == LIST
    with tenant_context(acme_rows.workspace):
        assert not Conversation.objects.exists()
        assert not Message.objects.exists()


def test_many_are_deleted_at_once(client: Client, acme_rows: Rows) -> None:
    chosen = {"action": "delete_selected", "_selected_action": [str(acme_rows.conversation.id)]}
    assert "Messages: 1" in client.post(LIST, chosen).content.decode()
    client.post(LIST, {**chosen, "post": "yes"})
    with tenant_context(acme_rows.workspace):
        assert not Conversation.objects.exists()
