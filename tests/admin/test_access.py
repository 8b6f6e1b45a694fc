"""Who gets into the admin, and what becomes of those who do not."""

import pytest
from django.test import Client
from django.urls import reverse

from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.models import Role, User, Workspace
from konstruct.tenancy.workspaces import add_member
from tests.conftest import MakeUser, SignedIn

pytestmark = pytest.mark.django_db
INDEX = "/admin/"


def test_a_stranger_signs_in_first_and_comes_back() -> None:
    response = Client().get("/admin/chat/conversation/?channel=web")
    assert response.status_code == 302
    assert response["Location"] == "/sign-in/?next=/admin/chat/conversation/%3Fchannel%3Dweb"


def test_the_admin_has_no_sign_in_of_its_own(
    acme: WorkspaceRef, make_user: MakeUser, signed_in: SignedIn
) -> None:
    assert Client().get("/admin/login/")["Location"] == "/sign-in/?next=/admin/"
    member = signed_in(make_user(acme, Role.MEMBER), acme)
    assert member.get("/admin/login/")["Location"] == INDEX
    assert member.post("/admin/login/", {"username": "x", "password": "y"})["Location"] == INDEX


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
def test_those_who_manage_the_workspace_get_in(
    acme: WorkspaceRef, make_user: MakeUser, signed_in: SignedIn, role: str
) -> None:
    user = make_user(acme, role)
    assert not user.is_staff
    page = signed_in(user, acme).get(INDEX)
    assert page.status_code == 200
    text = page.content.decode()
    assert acme.name in text
    assert reverse("admin:agents_agent_changelist") in text
    assert reverse("admin:tenancy_user_changelist") not in text


def test_a_member_is_told_whom_to_ask(acme: WorkspaceRef, make_user: MakeUser, signed_in: SignedIn) -> None:
    client = signed_in(make_user(acme, Role.MEMBER), acme)
    for url in (
        INDEX,
        "/admin/agents/agent/",
        "/admin/jsi18n/",
        "/admin/password_change/",
        "/admin/nowhere/",
    ):
        response = client.get(url)
        assert response.status_code == 403, url
        assert "Only the owners and admins of Acme" in response.content.decode()


def test_who_has_not_chosen_a_workspace_chooses_one(
    acme: WorkspaceRef, globex: WorkspaceRef, make_user: MakeUser, signed_in: SignedIn
) -> None:
    assert signed_in(make_user(None)).get(INDEX)["Location"] == reverse("choose-workspace")


def test_the_role_counts_where_one_is(
    acme: WorkspaceRef, globex: WorkspaceRef, make_user: MakeUser, signed_in: SignedIn
) -> None:
    user = make_user(acme, Role.OWNER)
    add_member(workspace=Workspace.objects.get(id=globex.id), user=user, role=Role.MEMBER)
    client = signed_in(user, acme)
    assert client.get(INDEX).status_code == 200
    assert client.get(INDEX, headers={"host": "globex.localhost"}).status_code == 403


def test_a_demoted_admin_is_out_at_once(acme: WorkspaceRef, make_user: MakeUser, signed_in: SignedIn) -> None:
    user = make_user(acme, Role.ADMIN)
    client = signed_in(user, acme)
    assert client.get(INDEX).status_code == 200
    user.memberships.update(role=Role.MEMBER)
    assert client.get(INDEX).status_code == 403


def test_staff_alone_opens_nothing(acme: WorkspaceRef, make_user: MakeUser, signed_in: SignedIn) -> None:
    user = make_user(acme, Role.MEMBER)
    User.objects.filter(id=user.id).update(is_staff=True)
    assert signed_in(user, acme).get(INDEX).status_code == 403


def test_signing_out_works_from_the_admin(
    acme: WorkspaceRef, make_user: MakeUser, signed_in: SignedIn
) -> None:
    client = signed_in(make_user(acme, Role.OWNER), acme)
    assert client.post("/admin/logout/")["Location"] == "/sign-in/"
    assert client.get(INDEX)["Location"].startswith("/sign-in/")


def test_only_the_admin_may_evaluate_and_nothing_may_come_from_elsewhere(
    acme: WorkspaceRef, make_user: MakeUser, signed_in: SignedIn
) -> None:
    for role in (Role.OWNER, Role.MEMBER):
        response = signed_in(make_user(acme, role), acme).get(INDEX)
        policy = dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))
        assert policy["script-src"] == "'self' 'unsafe-eval'"
        assert policy["style-src"] == "'self' 'unsafe-inline'"
        assert policy["default-src"] == "'none'"
        assert "http" not in response["Content-Security-Policy"]
    assert "unsafe" not in Client().get("/sign-in/")["Content-Security-Policy"]
