"""Invitations: made, opened, accepted once, and dead whenever they should be."""

import logging
import re
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from konstruct.tenancy import invitations, people
from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.invitations import (
    AlreadyInvited,
    AlreadyMember,
    EmailTaken,
    ForSomebodyElse,
    InvitationDead,
    TooManyInvitations,
)
from konstruct.tenancy.models import Invitation, Membership, Role, User
from konstruct.tenancy.people import NotAllowed
from konstruct.tenancy.throttle import ATTEMPTS
from konstruct.tenancy.workspaces import set_suspended
from tests.tenancy.conftest import SeatPerson

PASSWORD = "a-long-Password-1"
DEAD = "This invitation is no longer valid."
NEWCOMER = {"display_name": "Nina Neu", "email": "nina@example.com", "password": PASSWORD}


def make(maker: Membership, role: str = "member", email: str = "") -> str:
    """A new invitation's secret."""
    _, token = invitations.invite(
        invitation_id=uuid4(),
        workspace_id=maker.workspace_id,
        actor_id=maker.user_id,
        role=role,
        email=email,
    )
    return token


def use(token: str, user: User) -> Membership:
    return invitations.accept(invitation_id=invitations.find(token=token), user_id=user.id)


def form(**fields: str) -> dict[str, str]:
    return {"invitation_id": str(uuid4()), "role": "member", "email": "", **fields}


def link_in(html: str) -> str:
    found = re.search(r'value="(http://[^"]+/join/#[^"]+)"', html)
    assert found, html
    return found[1]


# --- making -----------------------------------------------------------------------------------------


def test_the_link_is_shown_once_and_stored_nowhere(person: SeatPerson) -> None:
    _, client = person("admin")
    sent = form(email="New.One@Example.com")
    html = client.post("/people/invite/", sent).content.decode()
    token = link_in(html).partition("#")[2]
    assert len(token) >= 40
    row = Invitation.objects.values().get()
    assert token not in str(row) and row["email"] == "new.one@example.com"
    assert timedelta(days=6, hours=23) < row["expires_at"] - timezone.now() <= timedelta(days=7)
    html = client.get("/people/").content.decode()
    assert token not in html and "new.one@example.com" in html
    # Sent again, as by a reload: neither a second invitation nor the link.
    html = client.post("/people/invite/", sent).content.decode()
    assert "was made already" in html and token not in html
    assert Invitation.objects.count() == 1


@pytest.mark.parametrize(
    ("mine", "role", "allowed"),
    [
        ("owner", "owner", True),
        ("admin", "admin", True),
        ("admin", "owner", False),
        ("member", "member", False),
    ],
)
def test_nobody_invites_above_their_own_power(
    person: SeatPerson, mine: str, role: str, allowed: bool
) -> None:
    maker, _ = person(mine)
    if allowed:
        assert make(maker, role)
    else:
        with pytest.raises(NotAllowed):
            make(maker, role)


def test_who_is_in_already_is_not_invited(person: SeatPerson) -> None:
    (maker, _), (member, _) = person("owner"), person("member")
    with pytest.raises(AlreadyMember):
        make(maker, email=member.user.email.upper())


def test_what_is_wrong_with_the_form_is_said(person: SeatPerson) -> None:
    _, client = person("admin")
    for wrong in ({"email": "no address"}, {"role": "owner"}, {"role": "x"}, {"invitation_id": "x"}):
        html = client.post("/people/invite/", form(**wrong)).content.decode()
        assert "/join/#" not in html
    assert not Invitation.objects.exists()


def test_not_without_end(person: SeatPerson, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MOST_PENDING", 2)
    maker, _ = person("owner")
    make(maker)
    make(maker)
    with pytest.raises(TooManyInvitations):
        make(maker)


def test_an_id_of_another_workspace_makes_nothing(person: SeatPerson, globex: WorkspaceRef) -> None:
    (maker, _), (stranger, _) = person("owner"), person("owner", workspace=globex)
    make(maker)
    taken = Invitation.objects.get().id
    with pytest.raises(AlreadyInvited):
        invitations.invite(
            invitation_id=taken, workspace_id=globex.id, actor_id=stranger.user_id, role="member"
        )
    assert Invitation.objects.get().workspace_id == maker.workspace_id


# --- when a link opens nothing ------------------------------------------------------------------------


def expire(maker: Membership) -> None:
    Invitation.objects.update(expires_at=timezone.now())


def revoke(maker: Membership) -> None:
    invitations.revoke(
        workspace_id=maker.workspace_id, actor_id=maker.user_id, invitation_id=Invitation.objects.get().id
    )


def lose_role(maker: Membership) -> None:
    Membership.objects.filter(pk=maker.pk).update(role=Role.MEMBER)


def lose_membership(maker: Membership) -> None:
    Membership.objects.filter(pk=maker.pk).delete()


def switch_off(maker: Membership) -> None:
    User.objects.filter(pk=maker.user_id).update(is_active=False)


def suspend(maker: Membership) -> None:
    set_suspended(slug=maker.workspace.slug, suspended=True)


@pytest.mark.parametrize("way", [expire, revoke, lose_role, lose_membership, switch_off, suspend])
def test_dead_links(
    person: SeatPerson,
    client: Client,
    make_user: Callable[..., User],
    way: Callable[[Membership], None],
) -> None:
    maker, _ = person("admin")
    token = make(maker)
    # Opened while it was good, and then left open.
    assert client.post("/join/", {"code": token})["Location"] == "/join/accept/"
    opened = invitations.find(token=token)
    way(maker)
    with pytest.raises(InvitationDead):
        invitations.accept(invitation_id=opened, user_id=make_user(None).id)
    assert DEAD in client.get("/join/accept/").content.decode()
    assert DEAD in client.post("/join/", {"code": token}).content.decode()
    assert DEAD in client.post("/join/new/", NEWCOMER).content.decode()
    assert not User.objects.filter(email=NEWCOMER["email"]).exists()
    if way not in (suspend,):
        assert invitations.pending(workspace_id=maker.workspace_id) == []


@pytest.mark.parametrize("code", ["x", "", " ", "https://evil.example/join/#x", "\udcff", "a" * 2001, "\0"])
def test_secrets_that_are_none(client: Client, db: None, code: str) -> None:
    response = client.post("/join/", {"code": code.encode("utf-8", "replace").decode()})
    assert response.status_code == 200
    assert client.get("/join/accept/").status_code == 200
    assert DEAD in client.get("/join/accept/").content.decode()


def test_a_removed_persons_links_are_dead(person: SeatPerson) -> None:
    """Those they made stay dead when they come back; so do those that were for them."""
    (owner, _), (admin, _) = person("owner"), person("admin")
    user = admin.user
    theirs = make(admin)
    used = make(owner, email="")
    people.remove(workspace_id=owner.workspace_id, actor_id=owner.user_id, membership_id=admin.id)
    for_them = make(owner, email=user.email)
    use(used, user)
    membership = user.memberships.get()
    Membership.objects.filter(pk=membership.pk).update(role=Role.ADMIN)
    with pytest.raises(InvitationDead):
        invitations.find(token=theirs)
    people.remove(workspace_id=owner.workspace_id, actor_id=owner.user_id, membership_id=membership.id)
    for token in (used, for_them, theirs):
        with pytest.raises(InvitationDead):
            use(token, user)
    assert not user.memberships.exists()


def test_who_loses_the_power_loses_the_links_for_good(person: SeatPerson) -> None:
    (owner, _), (second, _) = person("owner"), person("owner")
    as_owner, as_member = make(second, "owner"), make(second, "member")
    where = {"workspace_id": owner.workspace_id, "actor_id": owner.user_id, "membership_id": second.id}
    people.change_role(**where, role=Role.ADMIN)
    people.change_role(**where, role=Role.OWNER)
    with pytest.raises(InvitationDead):
        invitations.find(token=as_owner)
    assert invitations.find(token=as_member)


def test_admins_cannot_revoke_what_they_could_not_have_made(person: SeatPerson) -> None:
    (owner, _), (_, client) = person("owner"), person("admin")
    token = make(owner, "owner")
    client.post(f"/people/invitations/{invitations.find(token=token)}/revoke/")
    assert invitations.find(token=token)


def test_another_workspace_cannot_revoke(person: SeatPerson, globex: WorkspaceRef) -> None:
    (owner, client), (_, stranger) = person("owner"), person("owner", workspace=globex)
    token = make(owner)
    url = f"/people/invitations/{invitations.find(token=token)}/revoke/"
    stranger.post(url)
    assert invitations.find(token=token)
    client.post(url)
    with pytest.raises(InvitationDead):
        invitations.find(token=token)


# --- accepting ----------------------------------------------------------------------------------------


def test_signed_in_one_joins_with_a_click(person: SeatPerson, globex: WorkspaceRef) -> None:
    (maker, _), (other, client) = person("admin"), person("member", workspace=globex)
    client.post("/join/", {"code": f"http://testserver/join/#{make(maker, 'admin')}"})
    page = client.get("/join/accept/").content.decode()
    assert "Join Acme" in page and maker.user.name in page and other.user.email in page
    assert client.post("/join/accept/")["Location"] == "/"
    membership = Membership.objects.get(user=other.user, workspace_id=maker.workspace_id)
    assert membership.role == Role.ADMIN
    # And is there, not in the workspace of before.
    assert "Acme" in client.get("/people/").content.decode()


def test_a_newcomer_makes_an_account(person: SeatPerson, client: Client) -> None:
    maker, _ = person("admin")
    client.post("/join/", {"code": make(maker)})
    before = client.session.session_key
    assert client.post("/join/new/", NEWCOMER)["Location"] == "/"
    user = User.objects.get(email="nina@example.com")
    assert user.check_password(PASSWORD) and user.name == "Nina Neu"
    assert user.memberships.get().role == Role.MEMBER
    assert client.session.session_key != before
    assert client.get("/").status_code == 200


def test_who_has_an_account_signs_in_to_join(
    person: SeatPerson, client: Client, make_user: Callable[..., User]
) -> None:
    maker, _ = person("admin")
    user = make_user(None)
    client.post("/join/", {"code": make(maker)})
    credentials = {"username": user.email, "password": PASSWORD, "next": "/join/accept/"}
    assert client.post("/sign-in/", credentials)["Location"] == "/join/accept/"
    assert client.post("/join/accept/")["Location"] == "/"
    assert user.memberships.get().workspace_id == maker.workspace_id


def test_a_link_lets_one_person_in(
    person: SeatPerson, client: Client, make_user: Callable[..., User]
) -> None:
    maker, _ = person("owner")
    token = make(maker)
    use(token, make_user(None))
    with pytest.raises(InvitationDead):
        use(token, make_user(None))
    assert DEAD in client.post("/join/", {"code": token}).content.decode()


def test_who_is_in_already_does_not_spend_the_link(
    person: SeatPerson, make_user: Callable[..., User]
) -> None:
    (maker, _), (member, client) = person("owner"), person("member")
    token = make(maker, "admin")
    client.post("/join/", {"code": token})
    assert client.post("/join/accept/")["Location"] == "/"
    member.refresh_from_db()
    assert member.role == Role.MEMBER
    assert use(token, make_user(None)).role == Role.ADMIN


def test_an_invitation_for_one_e_mail_is_for_nobody_else(
    person: SeatPerson, client: Client, make_user: Callable[..., User]
) -> None:
    maker, _ = person("owner")
    wrong, right = make_user(None), make_user(None, "member", "right@example.com")
    token = make(maker, email="Right@Example.com")
    with pytest.raises(ForSomebodyElse, match=r"right@example\.com"):
        use(token, wrong)
    client.force_login(wrong)
    client.post("/join/", {"code": token})
    page = client.get("/join/accept/").content.decode()
    assert "This invitation is for right@example.com." in page
    client.post("/join/accept/")
    assert not wrong.memberships.exists()
    # The way out: another account, with the invitation still at hand.
    assert client.post("/join/other/")["Location"] == "/join/accept/"
    assert "Make an account and join" in client.get("/join/accept/").content.decode()
    # The e-mail is the invitation's, whatever is posted.
    html = client.post("/join/new/", {**NEWCOMER, "email": "mallory@example.com"}).content.decode()
    assert "There is an account with this e-mail already" in html
    assert not User.objects.filter(email="mallory@example.com").exists()
    assert use(token, right).user == right


def test_an_e_mail_that_has_an_account_is_not_taken_over(
    person: SeatPerson, client: Client, make_user: Callable[..., User]
) -> None:
    maker, _ = person("owner")
    there = make_user(None)
    token = make(maker)
    with pytest.raises(EmailTaken):
        invitations.accept_as_new(
            invitation_id=invitations.find(token=token),
            email=there.email.upper(),
            display_name="X",
            password="another-Password-9",
        )
    client.post("/join/", {"code": token})
    html = client.post("/join/new/", {**NEWCOMER, "email": there.email.title()}).content.decode()
    assert "Sign in with it to join." in html
    there.refresh_from_db()
    assert there.check_password(PASSWORD) and not there.memberships.exists()
    assert invitations.find(token=token)


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "short"},
        {"password": "password123456"},
        {"password": "nina@example.com"},
        {"email": "x"},
        {"display_name": " "},
        {"display_name": "x" * 101},
    ],
)
def test_a_poor_account_is_not_made(person: SeatPerson, client: Client, wrong: dict[str, str]) -> None:
    maker, _ = person("owner")
    token = make(maker)
    client.post("/join/", {"code": token})
    response = client.post("/join/new/", {**NEWCOMER, **wrong})
    assert response.status_code == 200 and "field-error" in response.content.decode()
    assert User.objects.count() == 1
    assert invitations.find(token=token)


def test_on_another_workspaces_host_the_link_opens_nothing(person: SeatPerson, client: Client) -> None:
    maker, _ = person("owner")
    token = make(maker)
    assert (
        DEAD in client.post("/join/", {"code": token}, headers={"host": "globex.localhost"}).content.decode()
    )
    assert client.post("/join/", {"code": token}, headers={"host": "acme.localhost"}).status_code == 302


# --- guessing, and what is kept from logs ----------------------------------------------------------------


def test_guessing_is_slowed_down(person: SeatPerson, client: Client) -> None:
    maker, _ = person("owner")
    for number in range(ATTEMPTS):
        assert DEAD in client.post("/join/", {"code": f"guess{number}"}).content.decode()
    response = client.post("/join/", {"code": make(maker)})
    assert response.status_code == 429 and "Too many attempts" in response.content.decode()
    elsewhere = client.post("/join/", {"code": make(maker)}, REMOTE_ADDR="192.0.2.7")
    assert elsewhere.status_code == 302


def test_a_success_forgets_the_failures(person: SeatPerson, client: Client) -> None:
    """Colleagues of one office share an address."""
    maker, _ = person("owner")
    token = make(maker)
    for _ in range(ATTEMPTS + 1):
        assert client.post("/join/", {"code": token}).status_code == 302


def test_making_accounts_is_slowed_down(person: SeatPerson, client: Client, acme: WorkspaceRef) -> None:
    (maker, _), (there, _) = person("owner"), person("member")
    client.post("/join/", {"code": make(maker)})
    for _ in range(ATTEMPTS):
        assert client.post("/join/new/", {**NEWCOMER, "email": there.user.email}).status_code == 200
    assert client.post("/join/new/", NEWCOMER).status_code == 429
    assert not User.objects.filter(email="nina@example.com").exists()


def test_no_log_line_and_no_address_holds_the_secret(
    person: SeatPerson, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _, owner = person("owner")
    link = link_in(owner.post("/people/invite/", form()).content.decode())
    address, _, token = link.partition("#")
    assert address.endswith("/join/")
    client.get("/join/")
    opened = client.post("/join/", {"code": token})
    page = client.get(opened["Location"])
    assert token not in opened["Location"] and token not in page.content.decode()
    assert page["Referrer-Policy"] == "same-origin" and "no-store" in page["Cache-Control"]
    client.post("/join/new/", NEWCOMER)
    client.post("/join/", {"code": token})
    assert caplog.records
    for record in caplog.records:
        assert token not in record.getMessage()


def test_forms_need_the_csrf_token(person: SeatPerson, db: None) -> None:
    maker, _ = person("owner")
    client = Client(enforce_csrf_checks=True)
    client.force_login(maker.user)
    some = uuid4()
    for path in (
        *("/join/", "/join/accept/", "/join/new/", "/join/other/"),
        *("/people/invite/", f"/people/{some}/role/", f"/people/{some}/remove/"),
        *("/account/profile/", "/account/password/", f"/account/sessions/{some}/end/"),
        "/account/sign-out-everywhere/",
    ):
        assert client.post(path, {"code": "x"}).status_code == 403, path
