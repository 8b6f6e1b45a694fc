"""Search: what is found, in which order, what is marked, and that it is nobody else's."""

import itertools
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from chat import conversations, listing, search
from chat.models import Conversation, Message, MessageRole, SearchEntry, Status
from chat.paging import InvalidCursor
from chat.search import Found, SearchTooLong
from tests.portal.conftest import Place, inside, put, say

_minutes = itertools.count(1)


def begin(place: Place, title: str, *texts: str) -> UUID:
    """A conversation later than those before it, as are its messages."""
    info = conversations.create(user_id=place.user.id, agent_id=place.agent.id, title=title)
    for message in say(info.id, *texts):
        moment = timezone.now() - timedelta(days=1) + timedelta(minutes=next(_minutes))
        Message.objects.filter(id=message.id).update(created_at=moment)
        SearchEntry.objects.filter(message=message).update(said_at=moment)
        Conversation.objects.filter(id=info.id).update(updated_at=moment)
    return info.id


def find(place: Place, words: str, **wanted: Any) -> list[Found]:
    return list(search.find(user_id=place.user.id, words=words, **wanted).items)


def titles(found: list[Found]) -> list[str]:
    return [one.conversation.title for one in found]


def marked(found: Found) -> list[str]:
    return [fragment.text for hit in found.hits for fragment in hit.snippet if fragment.hit]


@pytest.mark.parametrize("words", ["APRICOT", "question apri", "About", "answer", "ap", "apricots"])
def test_search_reads_titles_and_messages(here: Place, neighbour: Place, there: Place, words: str) -> None:
    with inside(here.workspace):
        assert [one.conversation.id for one in find(here, words)] == [here.conversation_id]


@pytest.mark.parametrize(
    "words", ["%", "_", "\\", "nectarine", "gooseberry", "'", "!", "a:b & | !(", '"', "-"]
)
def test_signs_are_no_commands_and_nobody_elses_words_are_found(
    here: Place, neighbour: Place, there: Place, words: str
) -> None:
    with inside(here.workspace):
        assert find(here, words) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("invoice", {"one", "both"}),
        ("invoices reminders", {"both"}),
        ("invoice reminder", {"both"}),
        ("facturas", {"es"}),
        ("reunion", {"es"}),
        ("reuniones", {"es"}),
        ('"friendly reminder"', {"both"}),
        ('"reminder friendly"', set()),
        ("invoice -reminder", {"one"}),
        ("parcel or factura", {"es", "other"}),
        ("the", {"both"}),
        ("o'brien", {"other"}),
        ("kim@example.com", {"other"}),
        ("rem", {"both"}),
    ],
)
def test_words_stems_phrases_and_beginnings(here: Place, words: str, expected: set[str]) -> None:
    with inside(here.workspace):
        begin(here, "one", "Please send the invoices today".replace("the ", ""))
        begin(here, "both", "A friendly reminder about the unpaid invoice")
        begin(here, "es", "La reunión trata de una factura sin pagar")
        begin(here, "other", "A parcel for Pat O'Brien, kim@example.com")
        assert set(titles(find(here, words))) == expected


@pytest.mark.parametrize("frequent", [0, 10**9])
def test_titles_come_first_then_the_better_and_the_newer(
    here: Place, monkeypatch: pytest.MonkeyPatch, frequent: int
) -> None:
    monkeypatch.setattr(search, "FREQUENT", frequent)
    with inside(here.workspace):
        begin(here, "Walnut cake", "How long does it bake?")
        begin(here, "often", "walnut walnut walnut walnut")
        begin(here, "long ago", "walnut " + "and many other words " * 50)
        begin(here, "just now", "walnut " + "and many other words " * 50)
        assert titles(find(here, "walnut")) == ["Walnut cake", "often", "just now", "long ago"]


def test_hits_are_marked_in_their_surroundings(here: Place) -> None:
    with inside(here.workspace):
        long = (
            "Nothing to see. " * 40
            + "Then **la reunión** was about <b>invoices</b>. "
            + "More. " * 40
            + "The end."
        )
        begin(here, "Reunión of 3 May", long)
        (found,) = find(here, "reunion")
        assert [(f.text, f.hit) for f in found.title] == [("Reunión", True), (" of 3 May", False)]
        (found,) = find(here, "invoice")
        (hit,) = found.hits
        text = "".join(fragment.text for fragment in hit.snippet)
        assert marked(found) == ["invoices"] and hit.role == "user"
        assert text.startswith("… ") and text.endswith(" …") and len(text) < 300 and "*" not in text
        # What is shown to its last sentence has no more to come.
        begin(here, "short", "The tamarillo is here.")
        (hit,) = find(here, "tamarillo")[0].hits
        assert "".join(fragment.text for fragment in hit.snippet) == "The tamarillo is here"
        # A message that has our own marks in it cannot mark anything.
        begin(here, "marks", "before \ue000forged\ue001 quince after")
        assert marked(find(here, "quince")[0]) == ["quince"]


def test_a_text_that_is_being_written_is_not_found_before_it_stands(here: Place) -> None:
    with inside(here.workspace):
        (question,) = say(here.conversation_id, "tell me")
        answer = put(here.conversation_id, question, "", role=MessageRole.ASSISTANT)
        Message.objects.filter(id=answer.id).update(status=Status.RUNNING, text="a persimmon")
        assert find(here, "persimmon") == []
        Message.objects.filter(id=answer.id).update(status=Status.STOPPED, text="a persimmon and")
        assert titles(find(here, "persimmon")) == ["About apricot"]
        Message.objects.filter(id=answer.id).update(text="nothing of it")
        assert find(here, "persimmon") == []


def test_another_title_is_found_instead(here: Place) -> None:
    with inside(here.workspace):
        listing.change(user_id=here.user.id, conversation_id=here.conversation_id, title="Medlar")
        assert titles(find(here, "medlar")) == ["Medlar"]
        assert find(here, "about") == []
        listing.change(user_id=here.user.id, conversation_id=here.conversation_id, archived=True)
        assert titles(find(here, "medlar")) == ["Medlar"]


@pytest.mark.parametrize("frequent", [0, 10**9])
@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_pages_hold_each_conversation_once_across_pools(
    here: Place, monkeypatch: pytest.MonkeyPatch, size: int, frequent: int
) -> None:
    """In both ways of reading a pool: from the newest message on, and through the index."""
    monkeypatch.setattr(search, "POOL", 5)
    monkeypatch.setattr(search, "FREQUENT", frequent)
    with inside(here.workspace):
        for number in range(4):
            begin(here, f"Quince {number}", "quince", "quince", "quince")
        for number in range(9):
            begin(here, f"Talk {number}", "a quince", "no", "quinces", "a quince")
        # One conversation with matches in many pools.
        for _ in range(4):
            say(here.conversation_id, "quince again")
        found: list[str] = []
        cursor = None
        while True:
            page = search.find(user_id=here.user.id, words="quince", cursor=cursor, size=size)
            found += titles(list(page.items))
            cursor = page.next_cursor
            if cursor is None:
                break
            # What is said meanwhile shifts nothing.
            say(here.conversation_id, "quince once more")
        assert found[:4] == [f"Quince {number}" for number in (3, 2, 1, 0)]
        assert sorted(found[4:]) == ["About apricot", *(f"Talk {number}" for number in range(9))]


@pytest.mark.parametrize("cursor", ["x", "é", "AAAA", "=", "W251bGwsMV0", "WyIyMDI2LTAxLTAxVDAwOjAwIl0"])
def test_a_cursor_of_nobody_is_refused(here: Place, cursor: str) -> None:
    with inside(here.workspace), pytest.raises(InvalidCursor):
        find(here, "apricot", cursor=cursor)


def test_a_search_has_a_deadline(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_PROBE", "SELECT count(*) FROM pg_sleep(20)")
    monkeypatch.setattr(search, "SECONDS", 0.05)
    with inside(here.workspace):
        with pytest.raises(SearchTooLong):
            find(here, "apricot")
        # The next one is not held to it.
        assert listing.page(user_id=here.user.id).items


def test_the_api_gives_hits_and_keeps_others_out(here: Place, neighbour: Place, there: Place) -> None:
    body = here.client.get("/api/conversations?search=question apricot").json()
    (item,) = body["items"]
    assert item["id"] == str(here.conversation_id) and item["title"] == "About apricot"
    assert item["hits"][0]["snippet"] == [
        {"text": "question", "hit": True},
        {"text": " ", "hit": False},
        {"text": "apricot", "hit": True},
    ]
    assert body["next_cursor"] is None
    for word in (neighbour.word, there.word):
        assert here.client.get(f"/api/conversations?search={word}").json()["items"] == []
    assert here.client.get("/api/conversations?search=x&cursor=nonsense").status_code == 422


def test_very_long_messages_can_be_stored_and_found(here: Place) -> None:
    with inside(here.workspace):
        words = " ".join(uuid4().hex for _ in range(30_000))
        begin(here, "long", "tamarind " + words)
        assert titles(find(here, "tamarind")) == ["long"]
        begin(here, "one word", "x" * 400_000)


def test_what_leads_to_a_hit_is_json(here: Place) -> None:
    text = here.client.get("/api/conversations?search=apricot").content.decode()
    assert json.loads(text)["items"][0]["marked_title"][-1] == {"text": "apricot", "hit": True}
