"""The memory API: one's own is seen, changed and forgotten; nobody else's is even there."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from agents.models import Agent
from chat import conversations, listing
from chat.models import Message
from konstruct.tenancy import job_keeping
from konstruct.tenancy.models import Membership, Role
from memory import store
from memory.embedder import LOCAL, embed_local
from memory.models import Memory, MemoryPolicy, MemoryVector
from memory.recall import recall
from memory.values import NewFact
from tests.portal.conftest import Place, inside

JSON = {"content_type": "application/json"}


def vector(text: str) -> list[float]:
    return embed_local([text])[0]


def know(place: Place, *facts: str, conversation_id: UUID | None = None) -> list[UUID]:
    """Have the place's employee remember an exchange, and these facts of it; their ids, the exchange's
    first."""
    conversation_id = conversation_id or place.conversation_id
    text, message_id = f"I say: {'. '.join(facts)}", uuid4()
    with inside(place.workspace):
        exchange = store.remember_exchange(
            user_id=place.user.id,
            agent_id=place.agent.id,
            conversation_id=conversation_id,
            message_id=message_id,
            text=text,
            said_at=timezone.now(),
            embedder=LOCAL,
            vector=vector(text),
        )
        assert exchange is not None
        found = [NewFact(fact, 0.8, None, vector(fact)) for fact in facts]
        return [exchange, *store.remember_facts(message_id=message_id, facts=found, embedder=LOCAL)]


def note(place: Place, text: str, agent_id: UUID | None = None) -> UUID:
    with inside(place.workspace):
        info = store.add_note(text=text, agent_id=agent_id, embedder=LOCAL, vector=vector(text))
        return info.id


def get(place: Place, path: str = "", **query: Any) -> Any:
    response = place.client.get(f"/api/memories{path}", query)
    assert response.status_code == 200, response.content
    return response.json()


def texts(place: Place, path: str = "", **query: Any) -> list[str]:
    return [item["text"] for item in get(place, path, **query)["items"]]


def kept(place: Place) -> int:
    with inside(place.workspace):
        return Memory.objects.filter(user_id=place.user.id).count()


def promote(place: Place) -> None:
    Membership.objects.filter(user=place.user).update(role=Role.ADMIN)


def recalled(place: Place, query: str) -> list[str]:
    with inside(place.workspace):
        found = recall(
            user_id=place.user.id,
            agent_id=place.agent.id,
            conversation_id=uuid4(),
            query=query,
            query_vector=vector(query),
            embedder=LOCAL,
            sees_shared=True,
            limit=5,
            budget_tokens=500,
            now=timezone.now() + timedelta(days=1),
        )
        return [one.text for one in found]


def test_a_memory_tells_where_and_when(here: Place) -> None:
    exchange, fact = know(here, "Likes apricots")
    items = get(here)["items"]
    assert {item["id"] for item in items} == {str(exchange), str(fact)}
    one = get(here, f"/{fact}")
    assert one in items
    assert one == {
        "id": str(fact),
        "shared": False,
        "kind": "fact",
        "text": "Likes apricots",
        "confidence": 0.8,
        "employee": {"id": str(here.agent.id), "name": "Agent apricot"},
        "conversation": {"id": str(here.conversation_id), "title": "About apricot"},
        "said_at": one["confirmed_at"],
        "confirmed_at": one["confirmed_at"],
        "times_said": 1,
        "edited_at": None,
        "superseded_at": None,
        "history": [],
    }
    # What is deleted is no longer named, though still remembered.
    here.client.delete(here.url)
    assert get(here, f"/{fact}")["conversation"] is None


def test_what_was_believed_before_is_folded_in(here: Place) -> None:
    _, old = know(here, "Lives in Lima")
    message_id, text = uuid4(), "Lives in Quito"
    with inside(here.workspace):
        now = timezone.now()
        common: Any = {"embedder": LOCAL, "vector": vector(text)}
        place: Any = {"user_id": here.user.id, "agent_id": here.agent.id}
        place |= {"conversation_id": here.conversation_id, "message_id": message_id}
        store.remember_exchange(**place, text=text, said_at=now, **common)
        (new,) = store.remember_facts(
            message_id=message_id, facts=[NewFact(text, 0.9, old, vector(text))], embedder=LOCAL
        )
    assert texts(here, kind="fact") == ["Lives in Quito"]
    (earlier,) = get(here, f"/{new}")["history"]
    assert (earlier["id"], earlier["text"]) == (str(old), "Lives in Lima")
    assert earlier["conversation"]["title"] == "About apricot" and earlier["superseded_at"]
    assert here.client.get(f"/api/memories/{old}").status_code == 404
    # An answer may have been given it when it was current.
    (given,) = get(here, "/given", id=[old])["items"]
    assert given["superseded_at"]


def test_pages_filters_and_search(here: Place, neighbour: Place) -> None:
    know(neighbour, "Nectarines are mine")
    with inside(here.workspace):
        other = conversations.create(user_id=here.user.id, agent_id=here.agent.id).id
    know(here, "Likes apricots", "Grows a fig tree")
    know(here, "Sails at weekends", conversation_id=other)
    seen: list[str] = []
    cursor = None
    while True:
        page = get(here, size=2, **({"cursor": cursor} if cursor else {}))
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 5
    assert texts(here, search="FIG", kind="fact") == ["Grows a fig tree"]
    assert texts(here, search="nectarine") == []
    assert set(texts(here, conversation_id=other)) == {"Sails at weekends", "I say: Sails at weekends"}
    assert len(texts(here, agent_id=here.agent.id)) == 5
    assert texts(here, agent_id=neighbour.agent.id) == []
    assert get(here, "/counts") == {
        "items": [{"agent_id": str(here.agent.id), "facts": 3, "exchanges": 2, "notes": 0}],
        "total": 5,
    }
    assert get(here, f"/counts/{other}") == {"total": 2}
    for query in ({"cursor": "x"}, {"size": 0}, {"size": 101}, {"kind": "dream"}, {"search": "x" * 201}):
        assert here.client.get("/api/memories", query).status_code == 422, query


def test_editing_changes_text_and_vector_at_once(here: Place) -> None:
    _, fact = know(here, "Likes apricots")
    url = f"/api/memories/{fact}"
    answer = here.client.patch(url, {"text": " Plays the trombone in a brass band "}, **JSON)
    assert answer.status_code == 200, answer.content
    assert answer.json()["text"] == "Plays the trombone in a brass band" and answer.json()["edited_at"]
    with inside(here.workspace):
        assert MemoryVector.objects.filter(memory_id=fact).count() == 1
    assert recalled(here, "Does anybody play the trombone?") == ["Plays the trombone in a brass band"]
    for text in ("", "  ", "x" * 2001, "the card is 4111 1111 1111 1111"):
        answer = here.client.patch(url, {"text": text}, **JSON)
        assert answer.status_code == 422, text
        assert answer.json()["error"]["message"].endswith((".",))
    assert here.client.patch(url, {"text": "x", "kind": "note"}, **JSON).status_code == 422


def test_a_remote_embedder_makes_the_vector_later(here: Place, settings: Settings) -> None:
    _, fact = know(here, "Likes apricots")
    with inside(here.workspace):
        MemoryPolicy.objects.update(embedder="openai/text-embedding-3-small")
    answer = here.client.patch(f"/api/memories/{fact}", {"text": "Plays the trombone"}, **JSON)
    assert answer.status_code == 200
    with inside(here.workspace):
        assert not MemoryVector.objects.filter(memory_id=fact).exists()
    assert jobs() == [("chat.embed_memory", str(fact))]
    # Forgotten before it was made: the job goes as well.
    assert here.client.delete(f"/api/memories/{fact}").status_code == 204
    assert jobs() == []


def test_forgetting_one_is_final_and_takes_what_says_the_same(here: Place) -> None:
    exchange, fact = know(here, "Likes apricots")
    (other, _) = know(here, "Sails at weekends")
    assert here.client.delete(f"/api/memories/{fact}").status_code == 204
    assert str(exchange) not in {item["id"] for item in get(here)["items"]}
    assert kept(here) == 2
    assert recalled(here, "apricots") == []
    for _ in range(2):
        assert here.client.delete(f"/api/memories/{fact}").status_code == 404
    assert get(here, f"/{other}")
    assert get(here, "/given", id=[fact, other])["items"][0]["id"] == str(other)


def test_forgetting_by_employee_by_conversation_and_all(here: Place, neighbour: Place, there: Place) -> None:
    with inside(here.workspace):
        second = Agent.objects.create(name="Second")
        other = conversations.create(user_id=here.user.id, agent_id=second.id).id
    for place in (here, neighbour, there):
        know(place, f"Likes {place.word}s")
    with inside(here.workspace):
        text = "Sails at weekends"
        store.remember_exchange(
            user_id=here.user.id,
            agent_id=second.id,
            conversation_id=other,
            message_id=uuid4(),
            text=text,
            said_at=timezone.now(),
            embedder=LOCAL,
            vector=vector(text),
        )
    note(here, "The office closes at six")
    client = here.client
    assert client.delete(f"/api/memories?agent_id={second.id}").status_code == 204
    assert set(texts(here)) == {"Likes apricots", "I say: Likes apricots"}
    both = f"/api/memories?agent_id={here.agent.id}&conversation_id={other}"
    assert client.delete(both).status_code == 422
    assert client.delete(f"/api/memories?conversation_id={other}").status_code == 204
    assert kept(here) == 2
    assert client.delete(f"/api/memories?conversation_id={here.conversation_id}").status_code == 204
    assert kept(here) == 0
    know(here, "Likes apricots")
    assert client.delete("/api/memories").status_code == 204
    assert kept(here) == 0
    assert kept(neighbour) == kept(there) == 2
    assert texts(here, "/notes") == ["The office closes at six"]


def jobs() -> list[tuple[str, str]]:
    """The waiting jobs that are about a message or a memory."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT task_name, coalesce(args->>'message_id', args->>'memory_id') FROM procrastinate_jobs"
            " WHERE status = 'todo' AND args ?| ARRAY['message_id', 'memory_id'] ORDER BY id"
        )
        return cursor.fetchall()


def wait_for(place: Place, message_id: UUID) -> None:
    job_keeping.add(
        task="chat.remember",
        lock=None,
        queueing_lock=None,
        args={"workspace_id": str(place.workspace.id), "message_id": str(message_id)},
    )


@pytest.mark.parametrize("what", ["all", "employee", "conversation", "deleted"])
def test_forgetting_cancels_what_waits_to_be_remembered(here: Place, neighbour: Place, what: str) -> None:
    with inside(here.workspace):
        mine = Message.objects.get(conversation_id=here.conversation_id, role="user").id
        another = Message.objects.get(conversation_id=neighbour.conversation_id, role="user").id
    for message_id in (mine, another):
        wait_for(here, message_id)
    url = {
        "all": "/api/memories",
        "employee": f"/api/memories?agent_id={here.agent.id}",
        "conversation": f"/api/memories?conversation_id={here.conversation_id}",
        "deleted": f"{here.url}?forget=true",
    }[what]
    assert here.client.delete(url).status_code == 204
    assert jobs() == [("chat.remember", str(another))]


def test_deleting_a_conversation_keeps_its_memories_unless_asked(here: Place) -> None:
    with inside(here.workspace):
        other = conversations.create(user_id=here.user.id, agent_id=here.agent.id).id
    know(here, "Likes apricots")
    know(here, "Sails at weekends", conversation_id=other)
    assert here.client.delete(here.url).status_code == 204
    assert kept(here) == 4
    assert here.client.delete(f"/api/conversations/{other}?forget=true").status_code == 204
    assert set(texts(here)) == {"Likes apricots", "I say: Likes apricots"}
    # The conversation can be taken back; what is forgotten cannot.
    with inside(here.workspace):
        listing.restore(user_id=here.user.id, conversation_id=other)
    assert kept(here) == 2


def test_switching_off_and_on(here: Place, neighbour: Place) -> None:
    nothing = {"agent_ids": [], "conversation_ids": []}
    assert get(here, "/off") == nothing
    know(here, "Likes apricots")

    def switch(**what: Any) -> Any:
        answer = here.client.put("/api/memories/off", what, **JSON)
        assert answer.status_code == 200, answer.content
        return answer.json()

    agent_id = str(here.agent.id)
    conversation_id = str(here.conversation_id)
    assert switch(agent_id=agent_id, off=True)["agent_ids"] == [agent_id]
    assert switch(conversation_id=conversation_id, off=True) == get(here, "/off")
    assert get(here, "/off") == {"agent_ids": [agent_id], "conversation_ids": [conversation_id]}
    assert get(neighbour, "/off") == nothing
    assert recalled(here, "apricots") == []
    assert switch(agent_id=agent_id, off=False)["agent_ids"] == []
    assert switch(agent_id=agent_id, off=False)["conversation_ids"] == [conversation_id]
    assert "Likes apricots" in recalled(here, "apricots")
    for wrong in ({"off": True}, {"agent_id": agent_id, "conversation_id": conversation_id, "off": True}):
        assert here.client.put("/api/memories/off", wrong, **JSON).status_code == 422


def test_shared_notes_are_read_by_all_and_written_by_managers(here: Place, neighbour: Place) -> None:
    promote(here)
    answer = here.client.post("/api/memories/notes", {"text": "The office closes at six"}, **JSON)
    assert answer.status_code == 201, answer.content
    assert answer.json()["shared"] and answer.json()["employee"] is None
    one = answer.json()["id"]
    for_one = {"text": "Invoices go to Ana", "agent_id": str(here.agent.id)}
    answer = here.client.post("/api/memories/notes", for_one, **JSON)
    assert answer.json()["employee"]["name"] == "Agent apricot"
    assert texts(neighbour, "/notes") == ["Invoices go to Ana", "The office closes at six"]
    assert texts(neighbour, "/notes", agent_id=here.agent.id) == ["Invoices go to Ana"]
    assert recalled(neighbour, "When does the office close?") == ["The office closes at six"]
    assert texts(here) == []

    url = f"/api/memories/notes/{one}"
    answers = [
        neighbour.client.post("/api/memories/notes", {"text": "Mine"}, **JSON),
        neighbour.client.patch(url, {"text": "Mine"}, **JSON),
        neighbour.client.delete(url),
    ]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    # As if it were one's own it cannot be reached either, not even by a manager.
    for place in (here, neighbour):
        assert place.client.get(f"/api/memories/{one}").status_code == 404
        assert place.client.patch(f"/api/memories/{one}", {"text": "Mine"}, **JSON).status_code == 404
        assert place.client.delete(f"/api/memories/{one}").status_code == 404
    assert here.client.patch(url, {"text": "The office closes at five"}, **JSON).status_code == 200
    assert recalled(neighbour, "When does the office close?") == ["The office closes at five"]
    secret = {"text": "password: hunter2hunter2"}
    assert here.client.post("/api/memories/notes", secret, **JSON).status_code == 422
    assert here.client.delete(url).status_code == 204
    assert texts(neighbour, "/notes") == ["Invoices go to Ana"]


def foreign(place: Place) -> Iterator[tuple[str, str, Any]]:
    """Every way to name something of `place`: method, address, body."""
    exchange, fact = know(place, f"Likes {place.word}s")
    shared = note(place, f"A note of {place.word}")
    return _foreign([exchange, fact], shared, place.agent.id, place.conversation_id)


def _foreign(own: list[UUID], shared: UUID, agent_id: UUID, conversation_id: UUID) -> Iterator[Any]:
    for memory_id in own:
        yield "get", f"/{memory_id}", None
        yield "patch", f"/{memory_id}", {"text": "taken over"}
        yield "delete", f"/{memory_id}", None
    for memory_id in (*own, shared):
        yield "patch", f"/notes/{memory_id}", {"text": "taken over"}
        yield "delete", f"/notes/{memory_id}", None
    yield "get", f"?agent_id={agent_id}", None
    yield "get", f"/notes?agent_id={agent_id}", None
    yield "post", "/notes", {"text": "taken over", "agent_id": str(agent_id)}
    yield "delete", f"?agent_id={agent_id}", None
    yield "put", "/off", {"agent_id": str(agent_id), "off": True}
    yield from _of_conversation(conversation_id)


def _of_conversation(conversation_id: UUID) -> Iterator[Any]:
    yield "get", f"?conversation_id={conversation_id}", None
    yield "get", f"/counts/{conversation_id}", None
    yield "delete", f"?conversation_id={conversation_id}", None
    yield "put", "/off", {"conversation_id": str(conversation_id), "off": True}


def call(client: Client, method: str, path: str, body: Any) -> Any:
    arguments: dict[str, Any] = {"data": body, **JSON} if body is not None else {}
    return getattr(client, method)(f"/api/memories{path}", **arguments)


@pytest.mark.parametrize("whose", ["another workspace's", "nobody's"])
def test_foreign_ids_are_not_found(here: Place, there: Place, whose: str) -> None:
    promote(here)
    requests = list(foreign(there))
    if whose == "nobody's":
        requests = list(_foreign([uuid4()], uuid4(), uuid4(), uuid4()))
    for method, path, body in requests:
        assert call(here.client, method, path, body).status_code == 404, (method, path)
    assert kept(there) == 2
    assert texts(there, "/notes") == ["A note of gooseberry"]


def test_a_colleagues_memories_are_not_found_not_even_by_an_owner(here: Place, neighbour: Place) -> None:
    Membership.objects.filter(user=here.user).update(role=Role.OWNER)
    own = know(neighbour, "Likes nectarines")
    paths: list[Any] = [*_of_conversation(neighbour.conversation_id)]
    paths += [row for row in _foreign(own, own[0], uuid4(), uuid4()) if any(str(id) in row[1] for id in own)]
    for method, path, body in paths:
        assert call(here.client, method, path, body).status_code == 404, (method, path)
    assert get(here, "/given", id=own)["items"] == []
    assert kept(neighbour) == 2


def test_strangers_and_requests_without_a_token_are_refused(here: Place, client: Client) -> None:
    (exchange,) = know(here)
    for method, path, body in _foreign([exchange], exchange, here.agent.id, here.conversation_id):
        assert call(client, method, path, body).status_code == 401, (method, path)
    careful = Client(enforce_csrf_checks=True)
    careful.cookies = here.client.cookies
    for method, path, body in (("delete", "", None), ("put", "/off", {"off": True}), ("post", "/notes", {})):
        assert call(careful, method, path, body).status_code == 403, (method, path)
    assert kept(here) == 1


def test_an_employee_that_is_deleted_knows_nothing_any_more(here: Place, neighbour: Place) -> None:
    know(here, "Likes apricots")
    know(neighbour, "Likes nectarines")
    with inside(here.workspace):
        here.agent.delete()
    assert texts(here) == []
    assert kept(neighbour) == 2


def test_the_page_shows_ones_own(here: Place, neighbour: Place) -> None:
    (_, fact) = know(here, "Likes apricots")
    know(neighbour, "Likes nectarines")
    note(here, "The office closes at six")
    page = here.client.get(reverse("memory"))
    assert page.status_code == 200
    text = page.content.decode()
    assert "Likes apricots" in text and "The office closes at six" in text
    assert "Likes nectarines" not in text
    assert "no-store" in page["Cache-Control"]
    one = here.client.get(reverse("memory"), {"show": str(fact)}).content.decode()
    assert "Likes apricots" in one
    for wrong in (uuid4(), "x", ""):
        assert here.client.get(reverse("memory"), {"show": str(wrong)}).status_code == 200
    assert Client().get(reverse("memory")).status_code == 302
