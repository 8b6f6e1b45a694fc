"""The HTTP API: what it gives, to whom, and what it says to everyone else."""

import json
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client

from konstruct.tenancy.models import Membership, User, Workspace
from konstruct.tenancy.tokens import TTL, read_token, session_fingerprint
from konstruct.tenancy.workspaces import set_suspended
from tests.portal.conftest import Place

JSON = "application/json"


def endpoints(place: Place) -> list[tuple[str, str, dict[str, str] | None]]:
    return [
        ("get", place.url, None),
        ("patch", place.url, {"title": "taken"}),
        ("delete", place.url, None),
        ("get", f"{place.url}/messages", None),
        ("get", f"{place.url}/messages?all=true", None),
        ("post", f"{place.url}/select", {"message_id": str(uuid4())}),
    ]


def everything(place: Place) -> list[tuple[str, str, dict[str, str] | None]]:
    return [
        *endpoints(place),
        ("post", "/api/token", None),
        ("get", "/api/agents", None),
        ("get", "/api/conversations", None),
        ("post", "/api/conversations", {}),
    ]


def ask(client: Client, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str]:
    data = "" if body is None else json.dumps(body)
    response = client.generic(method.upper(), path, data, content_type=JSON, headers=headers)
    return response.status_code, response.content.decode()


def error_code(text: str) -> str:
    error = json.loads(text)["error"]
    assert error["message"] and set(error) == {"code", "message"}
    return str(error["code"])


def test_a_token_and_the_frame_to_send_it_in(here: Place) -> None:
    status, text = ask(here.client, "post", "/api/token")
    answer = json.loads(text)
    assert status == 200 and answer["expires_in"] == TTL
    assert answer["auth"] == {
        "type": "auth",
        "userId": str(here.user.id),
        "role": "member",
        "tenantId": str(here.workspace.id),
        "token": answer["token"],
    }
    claims = read_token(answer["token"])
    assert (claims.user_id, claims.workspace_id) == (here.user.id, here.workspace.id)
    assert claims.session == session_fingerprint(here.client.session.session_key or "")


def test_the_life_of_a_conversation(here: Place) -> None:
    status, text = ask(
        here.client, "post", "/api/conversations", {"agent_id": str(here.agent.id), "title": "Plans"}
    )
    made = json.loads(text)
    assert status == 201 and made["title"] == "Plans" and made["agent_id"] == str(here.agent.id)
    url = f"/api/conversations/{made['id']}"
    assert json.loads(ask(here.client, "patch", url, {"title": "Better plans"})[1])["title"] == "Better plans"
    listed = json.loads(ask(here.client, "get", "/api/conversations?search=better")[1])
    assert [c["id"] for c in listed["items"]] == [made["id"]] and listed["next_cursor"] is None
    assert ask(here.client, "delete", url) == (204, "")
    assert ask(here.client, "get", url)[0] == 404


def test_pages_of_conversations_and_messages(here: Place) -> None:
    page = json.loads(ask(here.client, "get", f"{here.url}/messages?size=1")[1])
    assert [m["text"] for m in page["items"]] == ["answer apricot"]
    rest = json.loads(ask(here.client, "get", f"{here.url}/messages?cursor={page['next_cursor']}")[1])
    assert [m["text"] for m in rest["items"]] == ["question apricot"]
    assert page["items"][0]["parent_id"] == rest["items"][0]["id"]


def test_agents_are_the_active_ones(here: Place) -> None:
    items = json.loads(ask(here.client, "get", "/api/agents")[1])["items"]
    (agent,) = [a for a in items if a["id"] == str(here.agent.id)]
    assert agent["greeting"] == "Hi from apricot"
    assert not {"system_prompt", "persona", "model"} & agent.keys()


@pytest.mark.parametrize("stranger", ["there", "neighbour"])
def test_foreign_ids_are_not_found_and_nothing_leaks(
    here: Place, stranger: str, request: pytest.FixtureRequest
) -> None:
    theirs: Place = request.getfixturevalue(stranger)
    for method, path, body in endpoints(theirs):
        status, text = ask(here.client, method, path, body)
        assert (status, error_code(text)) == (404, "not_found"), (method, path)
        assert (
            text == ask(here.client, method, path.replace(str(theirs.conversation_id), str(uuid4())), body)[1]
        )
        assert theirs.word not in text
    assert theirs.word not in ask(here.client, "get", "/api/conversations")[1]
    assert theirs.word not in ask(here.client, "get", f"/api/conversations?search={theirs.word}")[1]
    assert ask(theirs.client, "get", theirs.url)[0] == 200


def test_another_workspaces_employee_cannot_be_hired_for_a_conversation(here: Place, there: Place) -> None:
    assert there.word not in ask(here.client, "get", "/api/agents")[1]
    status, text = ask(here.client, "post", "/api/conversations", {"agent_id": str(there.agent.id)})
    assert (status, error_code(text)) == (404, "not_found")


def test_strangers_are_told_to_sign_in(here: Place) -> None:
    for method, path, body in everything(here):
        status, text = ask(Client(enforce_csrf_checks=True), method, path, body)
        assert (status, error_code(text)) == (401, "not_authenticated"), (method, path)


def _no_membership(place: Place) -> None:
    Membership.objects.filter(user=place.user).delete()


def _suspended(place: Place) -> None:
    set_suspended(slug=place.workspace.slug, suspended=True)


@pytest.mark.parametrize("withdraw", [_no_membership, _suspended])
def test_without_membership_there_is_nothing(here: Place, withdraw: Callable[[Place], None]) -> None:
    withdraw(here)
    for method, path, body in everything(here):
        status, text = ask(here.client, method, path, body)
        assert (status, error_code(text)) == (403, "forbidden"), (method, path)
        assert here.word not in text


def test_a_closed_account_is_signed_out(here: Place) -> None:
    User.objects.filter(id=here.user.id).update(is_active=False)
    assert ask(here.client, "get", here.url)[0] == 401


def test_a_host_that_names_a_workspace_wins_over_the_session(here: Place) -> None:
    assert ask(here.client, "get", here.url, host="acme.localhost")[0] == 200
    assert ask(here.client, "get", here.url, host="globex.localhost")[0] == 403


def test_the_session_chooses_between_ones_workspaces(
    here: Place, there: Place, signed_in: Callable[..., Client]
) -> None:
    Membership.objects.create(user=here.user, workspace=Workspace.objects.get(id=there.workspace.id))
    assert ask(here.client, "get", here.url)[0] == 200
    elsewhere = signed_in(here.user, there.workspace)
    assert ask(elsewhere, "get", here.url)[0] == 404
    # Two to choose from and none chosen: none it is.
    assert ask(signed_in(here.user), "get", here.url)[0] == 403


def test_what_changes_something_needs_the_csrf_header(here: Place, signed_in: Callable[..., Client]) -> None:
    client = signed_in(here.user, here.workspace, enforce_csrf_checks=True)
    client.get("/")
    token = client.cookies["csrftoken"].value
    for method, path, body in everything(here):
        if method == "get":
            assert ask(client, method, path, body)[0] == 200
            continue
        status, text = ask(client, method, path, body)
        assert (status, error_code(text)) == (403, "forbidden"), (method, path)
    assert ask(client, "post", "/api/token", **{"X-CSRFToken": token})[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", "/api/conversations", {"agent_id": "no-uuid"}),
        ("post", "/api/conversations", {"title": "x" * 201}),
        ("post", "/api/conversations", {"title": " \n "}),
        ("post", "/api/conversations", {"user_id": str(uuid4())}),
        ("post", "/api/conversations", []),
        ("patch", None, {}),
        ("patch", None, {"title": ""}),
        ("patch", None, {"title": "   "}),
        ("patch", None, {"title": "ok", "agent_id": None}),
        ("get", "/api/conversations?cursor=nonsense", None),
        ("get", "/api/conversations?size=0", None),
        ("get", "/api/conversations?size=101", None),
        ("get", f"/api/conversations?search={'x' * 201}", None),
    ],
)
def test_input_that_cannot_be_taken(here: Place, method: str, path: str | None, body: object) -> None:
    status, text = ask(here.client, method, path or here.url, body)
    assert (status, error_code(text)) == (422, "bad_input")


def test_broken_json_is_bad_input(here: Place) -> None:
    response = here.client.generic("POST", "/api/conversations", "{", content_type=JSON)
    assert response.status_code in (400, 422) and error_code(response.content.decode()) == "bad_input"


def test_an_id_that_is_no_uuid_is_not_found(here: Place) -> None:
    status, text = ask(here.client, "get", "/api/conversations/1")
    assert (status, error_code(text)) == (404, "not_found")


def test_the_description_names_every_endpoint(client: Client) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    assert {path for path in paths if "memories" not in path} == {
        "/api/token",
        "/api/agents",
        "/api/conversations",
        "/api/conversations/{conversation_id}",
        "/api/conversations/{conversation_id}/messages",
        "/api/conversations/{conversation_id}/select",
        "/api/conversations/{conversation_id}/restore",
        "/api/conversations/{conversation_id}/export",
        "/api/conversations/{conversation_id}/shares",
        "/api/conversations/import",
        "/api/shares",
        "/api/shares/{share_id}",
        "/api/shared/{share_id}/messages",
    }
    assert b"swagger-ui-init.js" in client.get("/api/docs").content
