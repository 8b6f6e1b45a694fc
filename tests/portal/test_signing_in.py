"""Sign in, sign out, choose a workspace."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client

from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.http import SESSION_KEY
from konstruct.tenancy.models import Membership, User, Workspace
from konstruct.tenancy.throttle import ATTEMPTS
from konstruct.tenancy.workspaces import set_suspended

PASSWORD = "a-long-Password-1"
MISMATCH = "E-mail and password do not match."
TOO_MANY = "Too many attempts to sign in."


@pytest.fixture
def user(acme: WorkspaceRef, make_user: Callable[..., User]) -> User:
    return make_user(acme)


@pytest.fixture
def wanderer(user: User, globex: WorkspaceRef) -> User:
    """A member of two workspaces."""
    Membership.objects.create(user=user, workspace=Workspace.objects.get(id=globex.id))
    return user


def sign_in(client: Client, email: str, password: str = PASSWORD, **extra: str) -> tuple[int, str]:
    response = client.post("/sign-in/", {"username": email, "password": password, **extra})
    return response.status_code, response.get("Location") or response.content.decode()


def test_in_and_out(client: Client, user: User) -> None:
    client.get("/sign-in/")
    client.session.save()
    before = client.session.session_key
    assert sign_in(client, user.email.upper(), next="/c/x") == (302, "/c/x")
    assert client.session.session_key != before
    assert client.get("/").status_code == 200
    assert client.get("/sign-in/")["Location"] == "/"
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert client.get("/").status_code == 302


def test_next_does_not_lead_elsewhere(client: Client, user: User) -> None:
    assert sign_in(client, user.email, next="https://evil.example/")[1] == "/"


def test_wrong_unknown_and_closed_look_alike(client: Client, user: User) -> None:
    User.objects.create_user("closed@example.com", PASSWORD, is_active=False)
    for email, password in (
        (user.email, "wrong"),
        ("nobody@example.com", PASSWORD),
        ("closed@example.com", PASSWORD),
    ):
        status, html = sign_in(client, email, password)
        assert status == 200 and MISMATCH in html


def test_guessing_is_slowed_down(client: Client, user: User) -> None:
    for _ in range(ATTEMPTS):
        assert MISMATCH in sign_in(client, user.email, "guess")[1]
    status, html = sign_in(client, user.email)
    assert status == 429 and TOO_MANY in html
    # Another spelling is the same person; another person or address is not.
    assert sign_in(client, f" {user.email.upper()} ")[0] == 429
    assert MISMATCH in sign_in(client, "nobody@example.com", "guess")[1]
    elsewhere = client.post(
        "/sign-in/", {"username": user.email, "password": PASSWORD}, REMOTE_ADDR="192.0.2.7"
    )
    assert elsewhere.status_code == 302


def test_a_success_forgets_the_failures(client: Client, user: User) -> None:
    for _ in range(3):
        for _ in range(ATTEMPTS - 1):
            sign_in(client, user.email, "guess")
        assert sign_in(client, user.email)[0] == 302
        client.post("/sign-out/")


def test_who_has_one_workspace_need_not_choose(client: Client, user: User) -> None:
    client.force_login(user)
    assert client.get("/").status_code == 200


def test_choosing_between_workspaces(
    client: Client, wanderer: User, acme: WorkspaceRef, globex: WorkspaceRef
) -> None:
    client.force_login(wanderer)
    assert client.get("/")["Location"] == "/workspaces/"
    html = client.get("/workspaces/").content.decode()
    assert str(acme.id) in html and str(globex.id) in html
    assert client.post("/workspaces/enter/", {"workspace": str(globex.id)})["Location"] == "/"
    assert client.session[SESSION_KEY] == str(globex.id)
    assert "Globex" in client.get("/").content.decode()


def test_only_ones_own_workspaces_can_be_entered(client: Client, user: User, globex: WorkspaceRef) -> None:
    client.force_login(user)
    assert "Globex" not in client.get("/workspaces/").content.decode()
    for workspace in (str(globex.id), str(uuid4()), "x", ""):
        assert client.post("/workspaces/enter/", {"workspace": workspace}).status_code == 404
    assert client.get("/workspaces/enter/").status_code == 405


def test_a_suspended_workspace_is_not_offered(client: Client, wanderer: User, globex: WorkspaceRef) -> None:
    set_suspended(slug="globex", suspended=True)
    client.force_login(wanderer)
    assert "Globex" not in client.get("/workspaces/").content.decode()
    assert client.post("/workspaces/enter/", {"workspace": str(globex.id)}).status_code == 404


def test_on_a_workspaces_own_host_there_is_nothing_to_choose(client: Client, user: User) -> None:
    client.force_login(user)
    response = client.get("/workspaces/", headers={"host": "globex.localhost"})
    assert response.status_code == 403
    html = response.content.decode()
    assert "not a member" in html and "Globex" not in html


def test_who_belongs_nowhere_is_told_what_to_do(client: Client, make_user: Callable[..., User]) -> None:
    client.force_login(make_user(None))
    assert "You belong to no workspace yet" in client.get("/workspaces/").content.decode()


def test_choosing_needs_signing_in(client: Client, db: None, acme: WorkspaceRef) -> None:
    assert client.get("/workspaces/")["Location"].startswith("/sign-in/")
    assert client.post("/workspaces/enter/", {"workspace": str(acme.id)})["Location"].startswith("/sign-in/")
