"""A conversation's tree of messages: the branch in use, the versions in each place, choosing another."""

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from chat import conversations
from chat.answers import HEARTBEAT_LIMIT
from chat.conversations import AnswerRunning, MessageInfo, MessageNotFound
from chat.models import Conversation, Message, Status
from chat.paging import InvalidCursor
from tests.portal.conftest import Place, inside, put, say
from tests.portal.test_api import ask, error_code


def branch(place: Place) -> list[MessageInfo]:
    """The branch in use, first message first, read in pages of two."""
    found: list[MessageInfo] = []
    cursor = None
    while True:
        page = conversations.messages_page(
            user_id=place.user.id, conversation_id=place.conversation_id, cursor=cursor, size=2
        )
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found[::-1]


def texts(place: Place) -> list[str]:
    return [message.text for message in branch(place)]


def versions(place: Place) -> list[str]:
    """Of each message of the branch which version it is: "2/3"."""
    return [f"{m.siblings.index(m.id) + 1}/{len(m.siblings)}" for m in branch(place)]


def select(place: Place, message: Message | UUID) -> None:
    message_id = message.id if isinstance(message, Message) else message
    info = conversations.select_version(
        user_id=place.user.id, conversation_id=place.conversation_id, message_id=message_id
    )
    assert info.leaf_id == Conversation.objects.get(id=place.conversation_id).leaf_id


def test_an_edited_first_message_has_versions(here: Place) -> None:
    with inside(here.workspace):
        old = branch(here)
        edited = put(here.conversation_id, None, "edited")
        put(here.conversation_id, edited, "answer to edited")
        assert (texts(here), versions(here)) == (["edited", "answer to edited"], ["2/2", "1/1"])
        select(here, old[0].id)
        assert (texts(here), versions(here)) == (["question apricot", "answer apricot"], ["1/2", "1/1"])
        assert branch(here)[0].siblings == (old[0].id, edited.id)


def test_a_regenerated_answer_in_the_middle(here: Place) -> None:
    with inside(here.workspace):
        question, first = Message.objects.filter(conversation_id=here.conversation_id).order_by("created_at")
        say(here.conversation_id, "and then?", "that")
        second = put(here.conversation_id, question, "another answer")
        assert (texts(here), versions(here)) == (["question apricot", "another answer"], ["1/1", "2/2"])
        third = put(here.conversation_id, question, "a third answer")
        assert versions(here) == ["1/1", "3/3"]
        # Down to the end of what was said below it, not only to the message itself.
        select(here, first)
        assert texts(here) == ["question apricot", "answer apricot", "and then?", "that"]
        assert versions(here) == ["1/1", "1/3", "1/1", "1/1"]
        assert branch(here)[1].siblings == (first.id, second.id, third.id)
        # The conversation goes on from there.
        say(here.conversation_id, "go on")
        assert texts(here)[-2:] == ["that", "go on"]


def test_of_several_ends_below_the_newest_is_taken(here: Place) -> None:
    with inside(here.workspace):
        question, answer = Message.objects.filter(conversation_id=here.conversation_id).order_by("created_at")
        put(here.conversation_id, put(here.conversation_id, answer, "left"), "left answer")
        right = put(here.conversation_id, answer, "right")
        newest = put(here.conversation_id, right, "right answer")
        put(here.conversation_id, question, "elsewhere")
        select(here, answer)
        assert texts(here)[2:] == ["right", "right answer"] and versions(here)[2] == "2/2"
        # A message on the branch that is in use leaves it in use.
        select(here, newest)
        select(here, question)
        assert texts(here) == ["question apricot", "elsewhere"]


def test_a_deep_branch_is_read_in_pages(here: Place) -> None:
    with inside(here.workspace):
        first = branch(here)[0]
        parent = None
        said = []
        for number in range(45):
            parent = put(here.conversation_id, parent, f"n{number}")
            said.append(parent.text)
        assert texts(here) == said
        assert versions(here) == ["2/2"] + ["1/1"] * 44
        select(here, first.id)
        assert texts(here) == ["question apricot", "answer apricot"]
        select(here, parent.parent_id)  # type: ignore[union-attr, arg-type]
        assert texts(here) == said


def test_a_page_goes_on_along_its_own_branch(here: Place) -> None:
    """Whoever reads upwards while another version is chosen gets the rest of what was begun."""
    with inside(here.workspace):
        whose = {"user_id": here.user.id, "conversation_id": here.conversation_id}
        first = conversations.messages_page(**whose, size=1)
        edited = put(here.conversation_id, None, "edited")
        put(here.conversation_id, edited, "other")
        rest = conversations.messages_page(**whose, cursor=first.next_cursor)
        assert [m.text for m in rest.items] == ["question apricot"] and rest.next_cursor is None


def test_everything_is_the_whole_tree_newest_first(here: Place) -> None:
    with inside(here.workspace):
        edited = put(here.conversation_id, None, "edited")
        put(here.conversation_id, edited, "other")
    found = []
    path = f"{here.url}/messages?all=true&size=3"
    cursor = ""
    while cursor is not None:
        page = json.loads(ask(here.client, "get", f"{path}&cursor={cursor}" if cursor else path)[1])
        found += page["items"]
        cursor = page["next_cursor"]
    assert [m["text"] for m in found] == ["other", "edited", "answer apricot", "question apricot"]
    assert found[1]["siblings"] == found[3]["siblings"] == [found[3]["id"], found[1]["id"]]
    assert [m["parent_id"] for m in found] == [found[1]["id"], None, found[3]["id"], None]


def test_an_empty_conversation_has_no_branch(here: Place) -> None:
    made = json.loads(ask(here.client, "post", "/api/conversations", {})[1])
    page = json.loads(ask(here.client, "get", f"/api/conversations/{made['id']}/messages")[1])
    assert page == {"items": [], "next_cursor": None}


def test_feedback_comes_with_the_message(here: Place) -> None:
    with inside(here.workspace):
        answer = branch(here)[-1]
        Message.objects.filter(id=answer.id).update(feedback="down", feedback_comment="too long")
    newest, question = json.loads(ask(here.client, "get", f"{here.url}/messages")[1])["items"]
    assert (newest["feedback"], newest["feedback_comment"]) == ("down", "too long")
    assert (question["feedback"], question["feedback_comment"]) == (None, "")


def test_select_over_http(here: Place) -> None:
    with inside(here.workspace):
        question, old = branch(here)
        new = put(here.conversation_id, Message.objects.get(id=question.id), "another")
        before = Conversation.objects.get(id=here.conversation_id).updated_at
    status, text = ask(here.client, "post", f"{here.url}/select", {"message_id": str(old.id)})
    assert (status, json.loads(text)["leaf_id"]) == (200, str(old.id))
    newest = json.loads(ask(here.client, "get", f"{here.url}/messages")[1])["items"][0]
    assert newest["id"] == str(old.id) and newest["siblings"] == [str(old.id), str(new.id)]
    with inside(here.workspace):
        # Looking at an older version is no news: the conversation keeps its place in the list.
        assert Conversation.objects.get(id=here.conversation_id).updated_at == before


def test_not_while_an_answer_is_written(here: Place) -> None:
    with inside(here.workspace):
        question, old = branch(here)
        new = put(here.conversation_id, Message.objects.get(id=question.id), "wri")
        running = Message.objects.filter(id=new.id)
        running.update(status=Status.RUNNING, heartbeat_at=timezone.now())
        with pytest.raises(AnswerRunning):
            select(here, old.id)
    status, text = ask(here.client, "post", f"{here.url}/select", {"message_id": str(old.id)})
    assert (status, error_code(text)) == (409, "busy")
    with inside(here.workspace):
        assert texts(here) == ["question apricot", "wri"]
        # An answer whose process has died does not hold the conversation for ever.
        running.update(heartbeat_at=timezone.now() - HEARTBEAT_LIMIT - timedelta(seconds=5))
        select(here, old.id)
        assert texts(here) == ["question apricot", "answer apricot"]
        assert running.get().status == Status.INTERRUPTED


@pytest.mark.parametrize("stranger", ["there", "neighbour"])
def test_foreign_messages_are_not_found(here: Place, stranger: str, request: pytest.FixtureRequest) -> None:
    theirs: Place = request.getfixturevalue(stranger)
    with inside(theirs.workspace):
        foreign = branch(theirs)[0].id
        leaf = Conversation.objects.get(id=theirs.conversation_id).leaf_id
    with inside(here.workspace):
        own = branch(here)[0].id
        for unknown in (foreign, uuid4()):
            with pytest.raises(MessageNotFound):
                select(here, unknown)
    answers = {
        ask(here.client, "post", f"{url}/select", {"message_id": str(message_id)})
        for url in (theirs.url, f"/api/conversations/{uuid4()}")
        for message_id in (foreign, own, uuid4())
    }
    assert {(status, error_code(text)) for status, text in answers} == {(404, "not_found")}
    assert len(answers) == 1, "one can tell which of them exists"
    status, text = ask(here.client, "post", f"{here.url}/select", {"message_id": str(foreign)})
    assert (status, error_code(text)) == (404, "not_found")
    with inside(theirs.workspace):
        assert Conversation.objects.get(id=theirs.conversation_id).leaf_id == leaf


def test_a_foreign_cursor_leads_nowhere(here: Place, neighbour: Place) -> None:
    with inside(here.workspace):
        theirs = conversations.messages_page(
            user_id=neighbour.user.id, conversation_id=neighbour.conversation_id, size=1
        )
        whose = {"user_id": here.user.id, "conversation_id": here.conversation_id}
        page = conversations.messages_page(**whose, cursor=theirs.next_cursor)
        assert page.items == () and page.next_cursor is None
        with pytest.raises(InvalidCursor):
            conversations.messages_page(**whose, cursor="nonsense")


@pytest.mark.parametrize("body", [{}, {"message_id": "x"}, {"message_id": None}, {"leaf_id": str(uuid4())}])
def test_a_version_must_be_named(here: Place, body: object) -> None:
    status, text = ask(here.client, "post", f"{here.url}/select", body)
    assert (status, error_code(text)) == (422, "bad_input")


def test_the_page_brings_the_branch_in_use(here: Place) -> None:
    from tests.portal.test_pages import page_data

    with inside(here.workspace):
        put(here.conversation_id, put(here.conversation_id, None, "edited"), "other")
    data = page_data(here.client.get(f"/c/{here.conversation_id}").content.decode())
    items = data["messages"]["items"]  # type: ignore[index]
    assert [m["text"] for m in items] == ["other", "edited"] and len(items[1]["siblings"]) == 2
