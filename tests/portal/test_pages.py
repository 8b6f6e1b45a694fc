"""The pages: who may see what, and that they bring what the front end draws."""

import json
import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client

from agents.models import Agent
from konstruct.tenancy.models import Membership, User
from tests.portal.conftest import Place, inside


def page_data(html: str) -> dict[str, object]:
    found = re.search(r'<script id="page-data" type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def test_home_shows_the_employees_as_people(here: Place, there: Place) -> None:
    html = here.client.get("/").content.decode()
    assert "Agent apricot" in html and "Hi from apricot" in html and "About apricot" in html
    assert "gooseberry" not in html


def test_home_has_no_inline_style_or_script_but_the_import_map(here: Place) -> None:
    for path in ("/", f"/c/{here.conversation_id}"):
        response = here.client.get(path)
        html = response.content.decode()
        nonce = re.search(r"'nonce-([^']+)'", response["Content-Security-Policy"])
        assert nonce and f'<script type="importmap" nonce="{nonce[1]}">' in html
        executable = re.findall(r"<script(?![^>]*(?:type=\"application/json\"|importmap|src=))", html)
        assert executable == []
        assert not re.search(r"<[^>]+\s(?:style|on\w+)=", html)
        assert json.loads(re.search(r'nonce="[^"]+">(.*?)</script>', html, re.DOTALL)[1])["imports"]  # type: ignore[index]


def test_one_click_begins_a_conversation(here: Place) -> None:
    response = here.client.post("/c/", {"agent": str(here.agent.id), "opening": " Hello there "})
    assert response.status_code == 302 and response["Location"].startswith("/c/")
    data = page_data(here.client.get(response["Location"]).content.decode())
    assert data["opening"] == "Hello there"
    # Once only: a reload must not send it again.
    assert page_data(here.client.get(response["Location"]).content.decode())["opening"] is None


def test_a_conversation_brings_its_messages_and_people(here: Place) -> None:
    with inside(here.workspace):
        Agent.objects.filter(id=here.agent.id).update(is_active=False)
    response = here.client.get(f"/c/{here.conversation_id}")
    data = page_data(response.content.decode())
    assert [m["text"] for m in data["messages"]["items"]] == ["answer apricot", "question apricot"]  # type: ignore[index]
    # Who has answered is named, also after leaving.
    assert str(here.agent.id) in [a["id"] for a in data["agents"]]  # type: ignore[attr-defined]
    assert "no-store" in response["Cache-Control"]


def test_data_cannot_end_its_script(here: Place) -> None:
    here.client.patch(
        here.url, json.dumps({"title": "</script><script>alert(1)"}), content_type="application/json"
    )
    html = here.client.get(f"/c/{here.conversation_id}").content.decode()
    assert "<script>alert" not in html


@pytest.mark.parametrize("stranger", ["there", "neighbour"])
def test_foreign_pages_are_not_found(here: Place, stranger: str, request: pytest.FixtureRequest) -> None:
    theirs: Place = request.getfixturevalue(stranger)
    for path in (f"/c/{theirs.conversation_id}", f"/c/{uuid4()}", "/c/1"):
        response = here.client.get(path)
        assert response.status_code == 404 and theirs.word not in response.content.decode()


def test_begin_refuses_a_foreign_employee(here: Place, there: Place) -> None:
    for agent in (str(there.agent.id), str(uuid4()), "x"):
        assert here.client.post("/c/", {"agent": agent}).status_code == 404


@pytest.mark.parametrize("path", ["/", f"/c/{uuid4()}"])
def test_strangers_are_sent_to_sign_in(client: Client, db: None, path: str) -> None:
    assert client.get(path)["Location"] == f"/sign-in/?next={path}"


def test_without_a_workspace_one_is_sent_to_choose(here: Place) -> None:
    Membership.objects.filter(user=here.user).delete()
    for path in ("/", f"/c/{here.conversation_id}"):
        assert here.client.get(path)["Location"] == "/workspaces/"
    assert here.client.post("/c/", {"agent": str(here.agent.id)})["Location"] == "/workspaces/"


def test_pages_need_the_csrf_token(here: Place, signed_in: Callable[..., Client]) -> None:
    client = signed_in(here.user, here.workspace, enforce_csrf_checks=True)
    for path in ("/c/", "/workspaces/enter/", "/sign-out/", "/sign-in/"):
        response = client.post(path, {"agent": str(here.agent.id)})
        assert response.status_code == 403 and "reload it" in response.content.decode()


def test_a_missing_page_says_so_in_our_look(here: Place) -> None:
    html = here.client.get("/nowhere").content.decode()
    assert "There is nothing here" in html and "logo" in html


def test_under_api_even_a_missing_page_is_json(client: Client, db: None) -> None:
    response = client.get("/api/nowhere")
    assert response.status_code == 404 and response.json()["error"]["code"] == "not_found"


def test_a_failure_shows_no_detail(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr("chat.listing.page", broken)
    here.client.raise_request_exception = False
    for path, word in (("/", "Something went wrong"), ("/api/conversations", "internal")):
        response = here.client.get(path)
        text = response.content.decode()
        assert response.status_code == 500 and word in text and "secret" not in text


def test_managers_find_the_administration(
    here: Place, make_user: Callable[..., User], signed_in: Callable[..., Client]
) -> None:
    assert 'href="/admin/"' not in here.client.get("/").content.decode()
    owner = signed_in(make_user(here.workspace, "owner"), here.workspace)
    assert 'href="/admin/"' in owner.get("/").content.decode()
