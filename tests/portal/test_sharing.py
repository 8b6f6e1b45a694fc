"""Shared conversations: who reads what by a link, and when it ends."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from chat.models import Conversation, Message, Share, Status
from konstruct.tenancy.http import SESSION_KEY
from konstruct.tenancy.models import Membership, User
from tests.portal.conftest import Place, inside, put, say
from tests.portal.test_pages import page_data


def share(place: Place) -> dict[str, Any]:
    response = place.client.post(f"{place.url}/shares")
    assert response.status_code == 201
    return dict(response.json())


def read(client: Client, shared: dict[str, Any], **query: object) -> Any:
    return client.get(f"/api/shared/{shared['id']}/messages", query)


def texts(client: Client, shared: dict[str, Any]) -> list[str]:
    found: list[str] = []
    cursor = ""
    while True:
        page = read(client, shared, size=1, **({"cursor": cursor} if cursor else {})).json()
        found += [message["text"] for message in page["items"]]
        if page["next_cursor"] is None:
            return found[::-1]
        cursor = page["next_cursor"]


def test_a_member_of_the_workspace_reads_what_was_said_and_nothing_more(
    here: Place, neighbour: Place
) -> None:
    with inside(here.workspace):
        Message.objects.update(cost_usd="0.5", feedback_comment="a secret remark", model="hidden/model")
    shared = share(here)
    response = neighbour.client.get(shared["url"])
    html = response.content.decode()
    assert response.status_code == 200 and "no-store" in response["Cache-Control"]
    data = page_data(html)
    assert [m["text"] for m in data["messages"]["items"]] == ["answer apricot", "question apricot"]  # type: ignore[index]
    assert "Agent apricot" in html and here.user.name in html and "About apricot" in html
    for hidden in ("a secret remark", "hidden/model", here.user.email, str(here.conversation_id), "0.5"):
        assert hidden not in html, hidden
        assert hidden not in read(neighbour.client, shared).content.decode()
    # It is read, not had: the conversation stays foreign.
    assert neighbour.client.get(here.url).status_code == 404
    assert neighbour.client.get(f"/c/{here.conversation_id}").status_code == 404


def test_what_is_said_later_and_other_versions_are_not_shared(here: Place, neighbour: Place) -> None:
    shared = share(here)
    with inside(here.workspace):
        question = Message.objects.get(text="question apricot")
        put(here.conversation_id, question, "another answer")
        say(here.conversation_id, "and later")
    assert texts(neighbour.client, shared) == ["question apricot", "answer apricot"]
    # Nor by a cursor that names a message of another branch.
    elsewhere = here.client.get(f"{here.url}/messages?size=1").json()["next_cursor"]
    assert read(neighbour.client, shared, cursor=elsewhere).json()["items"] == []
    assert texts(neighbour.client, share(here)) == ["question apricot", "another answer", "and later"]


def test_a_cursor_of_another_conversation_leads_nowhere(here: Place, neighbour: Place) -> None:
    shared = share(here)
    theirs = neighbour.client.get(f"{neighbour.url}/messages?size=1").json()["next_cursor"]
    assert read(neighbour.client, shared, cursor=theirs).json() == {"items": [], "next_cursor": None}
    assert read(neighbour.client, shared, cursor="nonsense").status_code == 422


def test_an_answer_that_is_being_written_is_left_out(here: Place, neighbour: Place) -> None:
    with inside(here.workspace):
        (question,) = say(here.conversation_id, "go on")
        answer = put(here.conversation_id, question, "half of")
        Message.objects.filter(id=answer.id).update(status=Status.RUNNING)
    assert texts(neighbour.client, share(here))[-1] == "go on"


def test_there_has_to_be_something_to_share(here: Place) -> None:
    url = f"/api/conversations/{here.client.post('/api/conversations', {}, 'application/json').json()['id']}"
    response = here.client.post(f"{url}/shares")
    assert response.status_code == 422 and "nothing to share" in response.json()["error"]["message"]


def nobody_reads(client: Client, shared: dict[str, Any]) -> bool:
    answers = [client.get(shared["url"]).status_code, read(client, shared).status_code]
    return answers[0] == 404 and answers[1] in (403, 404)


def test_other_workspaces_strangers_and_former_members_find_nothing(
    here: Place, there: Place, neighbour: Place, client: Client
) -> None:
    shared = share(here)
    assert nobody_reads(there.client, shared)
    assert client.get(shared["url"])["Location"] == f"/sign-in/?next={shared['url']}"
    assert read(client, shared).status_code == 401
    Membership.objects.filter(user=neighbour.user).delete()
    assert nobody_reads(neighbour.client, shared)


def test_a_member_of_both_reads_it_in_its_own_workspace_only(
    here: Place, there: Place, make_user: Callable[..., User], signed_in: Callable[..., Client]
) -> None:
    shared = share(here)
    user = make_user(here.workspace)
    Membership.objects.create(user=user, workspace_id=there.workspace.id)
    assert signed_in(user, here.workspace).get(shared["url"]).status_code == 200
    client = signed_in(user, there.workspace)
    assert client.session[SESSION_KEY] == str(there.workspace.id)
    assert nobody_reads(client, shared)


def test_a_link_ends_when_it_is_revoked_and_only_its_owner_can(here: Place, neighbour: Place) -> None:
    first, second = share(here), share(here)
    assert neighbour.client.delete(f"/api/shares/{first['id']}").status_code == 404
    assert neighbour.client.post("/shares", {"share": first["id"]}).status_code == 404
    assert here.client.delete(f"/api/shares/{first['id']}").status_code == 204
    assert nobody_reads(neighbour.client, first) and nobody_reads(here.client, first)
    assert here.client.delete(f"/api/shares/{first['id']}").status_code == 404
    assert neighbour.client.get(second["url"]).status_code == 200
    assert here.client.post("/shares", {"share": second["id"]})["Location"] == "/shares"
    assert nobody_reads(neighbour.client, second)


def test_a_link_ends_with_its_owners_membership(here: Place, neighbour: Place) -> None:
    shared = share(here)
    Membership.objects.filter(user=here.user).delete()
    assert nobody_reads(neighbour.client, shared)


def test_the_owner_sees_all_links_and_nobody_elses(here: Place, neighbour: Place) -> None:
    mine, theirs = [share(here)["id"] for _ in range(3)], share(neighbour)["id"]
    for url in ("/api/shares", f"{here.url}/shares"):
        first = here.client.get(url, {"size": 2}).json()
        rest = here.client.get(url, {"size": 2, "cursor": first["next_cursor"]}).json()
        assert [s["id"] for s in first["items"] + rest["items"]] == mine[::-1]
        assert rest["next_cursor"] is None and first["items"][0]["title"] == "About apricot"
    html = here.client.get("/shares").content.decode()
    assert all(one in html for one in mine) and theirs not in html
    assert here.client.get("/shares?cursor=nonsense").status_code == 404


@pytest.mark.parametrize("stranger", ["there", "neighbour"])
def test_foreign_ids_are_not_found(here: Place, stranger: str, request: pytest.FixtureRequest) -> None:
    theirs: Place = request.getfixturevalue(stranger)
    foreign = share(theirs)["id"]
    for conversation_id in (theirs.conversation_id, uuid4()):
        url = f"/api/conversations/{conversation_id}/shares"
        assert here.client.get(url).status_code == 404
        assert here.client.post(url).status_code == 404
    for share_id in (foreign, uuid4()):
        assert here.client.delete(f"/api/shares/{share_id}").status_code == 404
        if stranger == "there":
            assert here.client.get(f"/s/{share_id}").status_code == 404
            assert here.client.get(f"/api/shared/{share_id}/messages").status_code == 404
    assert theirs.client.get(f"/s/{foreign}").status_code == 200
    for share_id in ("", "1", "x" * 36):
        assert here.client.post("/shares", {"share": share_id}).status_code == 404


def test_links_need_the_csrf_token(here: Place, signed_in: Callable[..., Client]) -> None:
    shared = share(here)
    client = signed_in(here.user, here.workspace, enforce_csrf_checks=True)
    assert client.post(f"{here.url}/shares").status_code == 403
    assert client.delete(f"/api/shares/{shared['id']}").status_code == 403
    assert client.post("/shares", {"share": shared["id"]}).status_code == 403
    with inside(here.workspace):
        assert Share.objects.filter(id=UUID(shared["id"])).exists()


def test_titles_and_texts_cannot_end_the_pages_script(here: Place) -> None:
    with inside(here.workspace):
        Conversation.objects.filter(id=here.conversation_id).update(title="<script>alert(1)</script>")
        say(here.conversation_id, "</script><script>alert(2)</script>")
    html = here.client.get(share(here)["url"]).content.decode()
    assert "<script>alert" not in html
    assert json.loads(json.dumps(page_data(html)))["shared"]["shared_by"] == here.user.name
