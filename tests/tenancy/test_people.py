"""Who may see, change and remove whom in a workspace."""

import re
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from django.test import Client

from konstruct.tenancy import people
from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.models import Membership, Role, User
from konstruct.tenancy.people import LastOwner, NobodyThere, NotAllowed, grantable
from tests.tenancy.conftest import SeatPerson

ROLES = list(Role)


def role_of(membership: Membership) -> str | None:
    return Membership.objects.filter(pk=membership.pk).values_list("role", flat=True).first()


def change(actor: Membership, target: Membership, role: str) -> None:
    people.change_role(
        workspace_id=actor.workspace_id, actor_id=actor.user_id, membership_id=target.id, role=role
    )


def remove(actor: Membership, target: Membership) -> None:
    people.remove(workspace_id=actor.workspace_id, actor_id=actor.user_id, membership_id=target.id)


def said(client: Client) -> str:
    """What the people page says on top after a form was sent to it."""
    html = client.get("/people/").content.decode()
    return " ".join(re.findall(r'<p class="notice[^>]*>(.*?)</p>', html))


@pytest.mark.parametrize("wanted", ROLES)
@pytest.mark.parametrize("theirs", ROLES)
@pytest.mark.parametrize("mine", ROLES)
def test_every_pair_of_roles(person: SeatPerson, mine: Role, theirs: Role, wanted: Role) -> None:
    """Admins give and take away what is not ownership; members nothing."""
    person("owner")
    (actor, _), (target, _) = person(mine), person(theirs)
    allowed = mine == Role.OWNER or (mine == Role.ADMIN and Role.OWNER not in (theirs, wanted))
    assert ({theirs, wanted} <= set(grantable(mine))) == allowed
    if not allowed:
        with pytest.raises(NotAllowed):
            change(actor, target, wanted)
        assert role_of(target) == theirs
    else:
        change(actor, target, wanted)
        assert role_of(target) == wanted
    if theirs in grantable(mine) and role_of(target) in grantable(mine):
        remove(actor, target)
        assert role_of(target) is None


@pytest.mark.parametrize(("mine", "theirs"), [("admin", "owner"), ("member", "member"), ("member", "admin")])
def test_who_may_not_be_removed(person: SeatPerson, mine: str, theirs: str) -> None:
    person("owner")
    (actor, _), (target, _) = person(mine), person(theirs)
    with pytest.raises(NotAllowed):
        remove(actor, target)
    assert role_of(target) == theirs


def test_the_last_owner_stays(person: SeatPerson) -> None:
    (owner, client), (admin, _) = person("owner"), person("admin")
    for act in (lambda: change(owner, owner, Role.ADMIN), lambda: remove(owner, owner)):
        with pytest.raises(LastOwner, match="last owner"):
            act()
    client.post(f"/people/{owner.id}/remove/")
    assert "make somebody else an owner first" in said(client)
    assert role_of(owner) == Role.OWNER

    change(owner, admin, Role.OWNER)
    change(owner, owner, Role.MEMBER)
    assert (role_of(owner), role_of(admin)) == (Role.MEMBER, Role.OWNER)


def test_everybody_may_leave(person: SeatPerson) -> None:
    person("owner")
    membership, client = person("member")
    assert client.post(f"/people/{membership.id}/remove/")["Location"] == "/"
    assert role_of(membership) is None
    assert client.get("/people/")["Location"] == "/workspaces/"


def test_a_role_that_there_is_not_is_refused(person: SeatPerson) -> None:
    (_, client), (target, _) = person("owner"), person("member")
    for role in ("", "emperor"):
        client.post(f"/people/{target.id}/role/", {"role": role})
        assert "You may not do this." in said(client)
    assert role_of(target) == Role.MEMBER


def test_another_workspaces_people_are_out_of_reach(person: SeatPerson, globex: WorkspaceRef) -> None:
    """Not by their membership's id, nor by one's own place elsewhere."""
    (owner, client), (stranger, _) = person("owner"), person("member", workspace=globex)
    for act in (lambda: change(owner, stranger, Role.ADMIN), lambda: remove(owner, stranger)):
        with pytest.raises(NobodyThere):
            act()
    with pytest.raises(NotAllowed):
        people.remove(workspace_id=globex.id, actor_id=owner.user_id, membership_id=stranger.id)
    for path in (f"/people/{stranger.id}/remove/", f"/people/{uuid4()}/remove/"):
        client.post(path)
        assert "is not in the workspace any more" in said(client)
    assert role_of(stranger) == Role.MEMBER
    assert stranger.user.email not in client.get("/people/").content.decode()


@pytest.mark.parametrize("lost", ["role", "account", "membership"])
def test_power_that_was_lost_a_moment_ago_is_gone(person: SeatPerson, lost: str) -> None:
    (actor, _), (target, _) = person("admin"), person("member")
    if lost == "role":
        Membership.objects.filter(pk=actor.pk).update(role=Role.MEMBER)
    elif lost == "account":
        User.objects.filter(pk=actor.user_id).update(is_active=False)
    else:
        Membership.objects.filter(pk=actor.pk).delete()
    for act in (lambda: change(actor, target, Role.ADMIN), lambda: remove(actor, target)):
        with pytest.raises(NotAllowed):
            act()


def test_members_see_who_is_there_and_no_more(person: SeatPerson) -> None:
    (owner, _), (membership, client) = person("owner"), person("member")
    html = client.get("/people/").content.decode()
    assert owner.user.email in html and membership.user.email in html
    assert "Invite somebody" not in html and f"/people/{owner.id}/" not in html
    assert "Leave this workspace" in html
    assert client.post("/people/invite/", {"role": "member"}).status_code == 403
    assert client.post(f"/people/{owner.id}/role/", {"role": "member"}).status_code == 403
    client.post(f"/people/{owner.id}/remove/")
    assert "You may not do this." in said(client)
    assert role_of(owner) == Role.OWNER


def test_admins_are_not_offered_what_they_may_not(person: SeatPerson) -> None:
    (owner, _), (other, _), (_, client) = person("owner"), person("member"), person("admin")
    html = client.get("/people/").content.decode()
    assert f"/people/{owner.id}/" not in html
    assert f"/people/{other.id}/role/" in html
    assert 'value="owner"' not in html


def test_owners_come_first_then_by_name(person: SeatPerson, acme: WorkspaceRef) -> None:
    for role, name in (("member", "bea"), ("member", "Abel"), ("owner", "Zoe"), ("admin", "Yara")):
        membership, _ = person(role)
        User.objects.filter(pk=membership.user_id).update(display_name=name)
    assert [m.user.name for m in people.members(workspace_id=acme.id)] == ["Zoe", "Yara", "Abel", "bea"]


def test_many_people_come_in_pages_and_are_found(person: SeatPerson, acme: WorkspaceRef) -> None:
    _, client = person("owner")
    users = User.objects.bulk_create(User(email=f"crowd{n:03}@example.com") for n in range(120))
    Membership.objects.bulk_create(Membership(user=u, workspace_id=acme.id) for u in users)
    seen: set[str] = set()
    for page in (1, 2, 3):
        html = client.get(f"/people/?page={page}").content.decode()
        seen |= set(re.findall(r"crowd\d{3}@example\.com", html))
    assert len(seen) == 120
    html = client.get("/people/?search=CROWD07").content.decode()
    assert len(set(re.findall(r"crowd\d{3}@example\.com", html))) == 10
    assert "Nobody is called that." in client.get("/people/?search=%00%27%25").content.decode()


def test_when_somebody_was_last_there(person: SeatPerson, globex: WorkspaceRef) -> None:
    membership, client = person("member")
    assert membership.last_seen_at is None
    there = Membership.objects.create(user=membership.user, workspace_id=globex.id)
    client.get("/people/")
    membership.refresh_from_db()
    there.refresh_from_db()
    assert membership.last_seen_at is not None
    assert there.last_seen_at is None


def test_pages_are_for_those_inside(client: Client, db: None, make_user: Callable[..., User]) -> None:
    some: UUID = uuid4()
    assert client.get("/people/")["Location"] == "/sign-in/?next=/people/"
    for path in ("invite/", f"invitations/{some}/revoke/", f"{some}/role/", f"{some}/remove/"):
        assert client.post(f"/people/{path}")["Location"].startswith("/sign-in/")
        assert client.get(f"/people/{path}").status_code == 405
    client.force_login(make_user(None))
    assert client.get("/people/")["Location"] == "/workspaces/"
    assert client.post(f"/people/{some}/remove/")["Location"] == "/workspaces/"


def test_names_are_text(person: SeatPerson) -> None:
    membership, client = person("owner")
    User.objects.filter(pk=membership.user_id).update(display_name="<img src=x onerror=alert(1)>")
    assert "<img" not in client.get("/people/").content.decode()
