"""Conversations as files: what is in them, that they come back the same, and what is no such file."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.models import Agent
from chat import export, importing
from chat.importing import InvalidImport
from chat.models import Conversation, Message, MessageRole, Status
from konstruct.tenancy.models import User
from tests.portal.conftest import Place, inside, put, say

Json = dict[str, Any]


def body(response: Any) -> bytes:
    assert response.status_code == 200, response.content
    return b"".join(response.streaming_content)


def exported(place: Place, conversation_id: UUID | None = None) -> Json:
    url = f"/api/conversations/{conversation_id or place.conversation_id}/export?format=json"
    return dict(json.loads(body(place.client.get(url))))


def upload(place: Place, file: Json | bytes, client: Client | None = None) -> Any:
    data = file if isinstance(file, bytes) else json.dumps(file).encode()
    sent = SimpleUploadedFile("conversation.json", data, "application/json")
    return (client or place.client).post("/api/conversations/import", {"file": sent})


def same(file: Json) -> Json:
    return {name: value for name, value in file.items() if name != "exported_at"}


def test_json_holds_the_whole_tree_and_what_was_thought_of_it(here: Place) -> None:
    with inside(here.workspace):
        question, answer = Message.objects.order_by("created_at")
        again = put(here.conversation_id, question, "another answer")
        Message.objects.filter(id=again.id).update(
            status=Status.STOPPED, feedback="down", feedback_comment="too short", model="m", duration_ms=7
        )
    response = here.client.get(f"{here.url}/export?format=json")
    assert response["Content-Disposition"] == 'attachment; filename="about-apricot.json"'
    assert response["Content-Type"] == "application/json" and "no-store" in response["Cache-Control"]
    file = json.loads(body(response))
    assert (file["format"], file["version"], file["title"]) == ("konstruct-conversation", 1, "About apricot")
    assert file["employee"] == "Agent apricot" and file["leaf"] == 3
    assert [(m["id"], m["parent"], m["role"], m["text"], m["status"]) for m in file["messages"]] == [
        (1, None, "user", "question apricot", "complete"),
        (2, 1, "assistant", "answer apricot", "complete"),
        (3, 1, "assistant", "another answer", "stopped"),
    ]
    last = file["messages"][-1]
    assert (last["feedback"], last["feedback_comment"], last["duration_ms"]) == ("down", "too short", 7)
    assert answer.id.hex not in json.dumps(file).replace("-", "")


def test_markdown_holds_the_branch_in_use(here: Place) -> None:
    with inside(here.workspace):
        question = Message.objects.get(text="question apricot")
        put(here.conversation_id, question, "Use *this*:\n\n```\ncode\n```")
        say(here.conversation_id, "thanks")
    response = here.client.get(f"{here.url}/export?format=markdown")
    assert response["Content-Disposition"] == 'attachment; filename="about-apricot.md"'
    text = body(response).decode()
    lines = text.splitlines()
    assert lines[0] == "# About apricot"
    heads = [line for line in lines if line.startswith("## ")]
    assert [head.split(" · ")[0] for head in heads] == ["## You", "## Agent apricot", "## You"]
    assert "```\ncode\n```" in text and "answer apricot" not in text and text.endswith("thanks\n")


def test_long_ones_come_in_pieces(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "BATCH", 7)
    with inside(here.workspace):
        say(here.conversation_id, *(f"line {number}" for number in range(40)))
        # Two of one moment, at a batch's edge among others.
        moment = datetime.now(UTC)
        Message.objects.filter(text__startswith="line 1").update(created_at=moment)
    for kind in ("json", "markdown"):
        pieces = list(here.client.get(f"{here.url}/export?format={kind}").streaming_content)
        assert len(pieces) > 5
        text = b"".join(pieces).decode()
        for number in range(40):
            assert text.count(f"line {number}\n" if kind == "markdown" else f'"line {number}"') == 1
    assert len(exported(here)["messages"]) == 42


def test_a_name_for_any_title(here: Place) -> None:
    for title, name in [
        ("¿Qué tal? Reunión", "qué-tal-reunión"),
        ("../..//", "conversation"),
        ("日本", "日本"),
    ]:
        with inside(here.workspace):
            Conversation.objects.filter(id=here.conversation_id).update(title=title)
        header = here.client.get(f"{here.url}/export")["Content-Disposition"]
        assert "/" not in header and "\n" not in header
        assert name in header or "filename*=utf-8''" in header


def test_an_import_is_ones_own_new_conversation_each_time(here: Place, neighbour: Place) -> None:
    file = exported(here)
    made = [upload(neighbour, file), upload(neighbour, file), upload(here, file)]
    ids = {response.json()["id"] for response in made}
    assert [response.status_code for response in made] == [201] * 3 and len(ids) == 3
    assert str(here.conversation_id) not in ids
    assert neighbour.client.get(f"/api/conversations/{made[2].json()['id']}").status_code == 404
    copy = UUID(made[0].json()["id"])
    messages = neighbour.client.get(f"/api/conversations/{copy}/messages").json()["items"]
    assert [m["text"] for m in messages] == ["answer apricot", "question apricot"]
    assert messages[0]["agent_id"] == str(here.agent.id)
    assert same(exported(neighbour, copy)) == same(file)
    # It is the first in the list, and found.
    assert neighbour.client.get("/api/conversations").json()["items"][0]["id"] in ids
    found = neighbour.client.get("/api/conversations?search=apricot").json()["items"]
    assert {item["id"] for item in found} == ids - {made[2].json()["id"]}


def test_in_another_workspace_employees_are_found_by_name_or_not_at_all(here: Place, there: Place) -> None:
    with inside(there.workspace):
        Agent.objects.filter(id=there.agent.id).update(name="Agent apricot")
        Agent.objects.create(name="Agent apricot", is_active=False)
    file = exported(here)
    file["messages"][1]["employee"] = "Nobody Here"
    made = upload(there, file).json()
    assert made["agent_id"] == str(there.agent.id)
    messages = there.client.get(f"/api/conversations/{made['id']}/messages").json()["items"]
    assert messages[0]["agent_id"] is None


def spoilt(**changes: Any) -> Callable[[Json], object]:
    def spoil(file: Json) -> Json:
        return {**file, **changes}

    return spoil


def line(number: int, **changes: Any) -> Callable[[Json], object]:
    def spoil(file: Json) -> Json:
        file["messages"][number].update(changes)
        return file

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: b"",
        lambda file: b"\xff\xfe",
        lambda file: b"[" * 100_000,
        lambda file: b'{"format":"konstruct-conversation","version":1}',
        lambda file: json.dumps(file).encode()[:-9],
        lambda file: [file],
        lambda file: {**file, "extra": 1},
        lambda file: {name: file[name] for name in file if name != "title"},
        spoilt(format="other"),
        spoilt(version=2),
        spoilt(version="1"),
        spoilt(title="x" * 201),
        spoilt(title="a\x00b"),
        spoilt(created_at="yesterday"),
        spoilt(created_at="2026-01-01T00:00:00"),
        spoilt(created_at="0001-01-01T00:00:00+14:00"),
        spoilt(messages=None),
        spoilt(leaf=3),
        spoilt(leaf=None),
        spoilt(leaf=0),
        line(0, role="system"),
        line(0, text=None),
        line(0, text="a\x00b"),
        line(0, status="failed"),
        line(0, user_id=str(uuid4())),
        line(0, parent=1),
        line(0, parent=2),
        line(1, parent=9),
        line(1, id=1),
        line(1, id=-1),
        line(1, status="running"),
        line(1, duration_ms=-1),
        line(1, duration_ms=2**31),
        line(1, feedback="great"),
        line(1, feedback_comment="x" * 4001),
        line(1, model="x" * 201),
        line(1, created_at="9999-12-31T23:59:59-14:00"),
    ],
)
def test_what_is_no_such_file_changes_nothing(here: Place, spoil: Callable[[Json], Any]) -> None:
    file = exported(here)
    response = upload(here, spoil(json.loads(json.dumps(file))))
    assert response.status_code == 422, response.content
    message = response.json()["error"]["message"]
    assert message.startswith("This file is not a conversation that Konstruct can import")
    with inside(here.workspace):
        assert Conversation.objects.count() == 1 and Message.objects.count() == 2


def test_there_is_a_greatest_size(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.portal.files.MAX_BYTES", 500)
    assert upload(here, exported(here)).status_code == 422
    monkeypatch.setattr(importing, "MAX_BYTES", 500)
    with inside(here.workspace), pytest.raises(InvalidImport, match="larger"):
        importing.take(user_id=here.user.id, data=b" " * 501)


def test_a_lone_surrogate_is_not_stored(here: Place) -> None:
    file = json.dumps(exported(here)).replace("question apricot", "\\ud800").encode()
    assert upload(here, file).status_code == 422


@pytest.mark.parametrize("stranger", ["there", "neighbour"])
def test_foreign_ids_are_not_found(here: Place, stranger: str, request: pytest.FixtureRequest) -> None:
    theirs: Place = request.getfixturevalue(stranger)
    for one in (theirs.conversation_id, uuid4()):
        for kind in ("json", "markdown"):
            response = here.client.get(f"/api/conversations/{one}/export?format={kind}")
            assert response.status_code == 404 and theirs.word not in response.content.decode()
    assert here.client.get(f"{here.url}/export?format=pdf").status_code == 422


def test_an_import_needs_the_csrf_token_and_a_file(here: Place, signed_in: Callable[..., Client]) -> None:
    client = signed_in(here.user, here.workspace, enforce_csrf_checks=True)
    assert upload(here, exported(here), client).status_code == 403
    assert here.client.post("/api/conversations/import").status_code == 422


# --- whatever was said: exported, imported, exported ----------------------------------------------

words = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=60)
moments = st.integers(0, 40).map(lambda n: datetime(2026, 5, 1, tzinfo=UTC) + timedelta(microseconds=n))


@st.composite
def trees(draw: st.DrawFn) -> list[tuple[int | None, str, str, datetime, str]]:
    """Messages with the place of the one they follow, which comes before them; times as they may be."""
    made: list[tuple[int | None, str, str, datetime, str]] = []
    for number in range(draw(st.integers(0, 12))):
        parent = draw(st.none() | st.integers(0, number - 1)) if number else None
        role = draw(st.sampled_from(MessageRole.values))
        status = draw(st.sampled_from(["complete", "stopped", "failed", "interrupted"]))
        made.append((parent, role, draw(words), draw(moments), "complete" if role == "user" else status))
    return made


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees(), title=words.map(lambda text: " ".join(text.split())[:200]), data=st.data())
def test_exported_imported_exported_is_the_same(
    here: Place, tree: list[tuple[int | None, str, str, datetime, str]], title: str, data: st.DataObject
) -> None:
    with inside(here.workspace):
        # One database for all examples: ids of an earlier one may come again.
        Conversation.objects.exclude(id=here.conversation_id).delete()
        conversation = Conversation.objects.create(user_id=here.user.id, agent=here.agent, title=title)
        rows: list[Message] = []
        ids = data.draw(st.lists(st.uuids(), min_size=len(tree), max_size=len(tree), unique=True))
        for one, (parent, role, text, moment, status) in zip(ids, tree, strict=True):
            agent = here.agent if role == "assistant" and data.draw(st.booleans()) else None
            rows.append(
                Message.objects.create(
                    id=one,
                    conversation=conversation,
                    parent=None if parent is None else rows[parent],
                    role=role,
                    text=text,
                    status=status,
                    created_at=moment,
                    agent=agent,
                )
            )
        if rows:
            conversation.leaf = data.draw(st.sampled_from(rows))
            conversation.save()
    first = exported(here, conversation.id)
    made = upload(here, first)
    assert made.status_code == 201, made.content
    assert same(exported(here, UUID(made.json()["id"]))) == same(first)
    assert len(first["messages"]) == len(tree)


def test_a_user_of_another_role_may_too(here: Place, make_user: Callable[..., User], signed_in: Any) -> None:
    owner = signed_in(make_user(here.workspace, "owner"), here.workspace)
    # An owner reads nobody's conversations either.
    assert owner.get(f"{here.url}/export").status_code == 404
    assert upload(here, exported(here), owner).status_code == 201
