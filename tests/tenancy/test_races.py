"""Changes of one workspace's people that are made at the same moment, on connections of their own."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import overload
from uuid import UUID, uuid4

import pytest
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from konstruct.tenancy import invitations, people
from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.invitations import InvitationDead
from konstruct.tenancy.models import Membership, Role, User
from konstruct.tenancy.people import LastOwner, NotAllowed

ROUNDS = 15


@pytest.fixture
def place(
    _workspaces: tuple[WorkspaceRef, WorkspaceRef], django_db_blocker: DjangoDbBlocker
) -> Iterator[WorkspaceRef]:
    """A workspace outside of a test transaction, where threads see each other's commits."""
    with django_db_blocker.unblock():
        yield _workspaces[0]
        User.objects.filter(email__endswith="@races.example").delete()


def at_once(*acts: Callable[[], object]) -> list[Exception | None]:
    """Run them in threads that start together; what each raised."""
    barrier = threading.Barrier(len(acts))
    raised: list[Exception | None] = [None] * len(acts)

    def run(number: int, act: Callable[[], object]) -> None:
        try:
            barrier.wait(10)
            act()
        except Exception as error:
            raised[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return raised


@overload
def somebody() -> User: ...
@overload
def somebody(place: WorkspaceRef, role: str) -> Membership: ...
def somebody(place: WorkspaceRef | None = None, role: str = Role.MEMBER) -> User | Membership:
    """A new user, or a new member."""
    user = User.objects.create_user(f"{uuid4().hex}@races.example", None)
    if place is None:
        return user
    return Membership.objects.create(user=user, workspace_id=place.id, role=role)


def two_owners(place: WorkspaceRef) -> tuple[Membership, Membership]:
    Membership.objects.filter(workspace_id=place.id).delete()
    return somebody(place, Role.OWNER), somebody(place, Role.OWNER)


def owners(place: WorkspaceRef) -> int:
    return Membership.objects.filter(workspace_id=place.id, role=Role.OWNER).count()


def invite(maker: Membership) -> UUID:
    """A new invitation's id, as whoever has opened its link holds it."""
    invitation_id = uuid4()
    where = {"workspace_id": maker.workspace_id, "actor_id": maker.user_id}
    invitations.invite(invitation_id=invitation_id, **where, role="member")
    return invitation_id


def join(opened: UUID, guest: User) -> Callable[[], object]:
    return partial(invitations.accept, invitation_id=opened, user_id=guest.id)


def remove(actor: Membership, target: Membership) -> Callable[[], object]:
    where = {"workspace_id": actor.workspace_id, "actor_id": actor.user_id}
    return partial(people.remove, **where, membership_id=target.id)


def demote(actor: Membership, target: Membership) -> Callable[[], object]:
    where = {"workspace_id": actor.workspace_id, "actor_id": actor.user_id}
    return partial(people.change_role, **where, membership_id=target.id, role=Role.MEMBER)


def test_of_those_who_follow_one_link_one_gets_in(place: WorkspaceRef) -> None:
    owner = somebody(place, Role.OWNER)
    for _ in range(ROUNDS):
        opened = invite(owner)
        guests = [somebody() for _ in range(3)]
        raised = at_once(*(join(opened, guest) for guest in guests))
        assert [type(error) for error in raised if error] == [InvitationDead, InvitationDead]
        assert Membership.objects.filter(user__in=guests).count() == 1


def test_a_link_that_is_revoked_and_used_at_once(place: WorkspaceRef) -> None:
    """Either it was used, or it was not; revoking is no error in either case."""
    owner = somebody(place, Role.OWNER)
    for _ in range(ROUNDS):
        opened, guest = invite(owner), somebody()
        where = {"workspace_id": place.id, "actor_id": owner.user_id}
        revoke = partial(invitations.revoke, **where, invitation_id=opened)
        used, revoked = at_once(join(opened, guest), revoke)
        assert revoked is None
        assert used is None or isinstance(used, InvitationDead)
        assert Membership.objects.filter(user=guest).exists() == (used is None)


def test_nobody_comes_in_after_the_maker_of_the_link_is_out(place: WorkspaceRef) -> None:
    owner = somebody(place, Role.OWNER)
    for _ in range(ROUNDS):
        admin = somebody(place, Role.ADMIN)
        opened, guest = invite(admin), somebody()
        used, removed = at_once(join(opened, guest), remove(owner, admin))
        assert removed is None
        assert used is None or isinstance(used, InvitationDead)
        with pytest.raises(InvitationDead):
            invitations.offer(invitation_id=opened)


@pytest.mark.parametrize("act", [demote, remove])
def test_two_owners_who_take_each_other_down_leave_one(
    place: WorkspaceRef, act: Callable[[Membership, Membership], Callable[[], object]]
) -> None:
    for _ in range(ROUNDS):
        one, two = two_owners(place)
        raised = at_once(act(one, two), act(two, one))
        assert [type(error) for error in raised if error] == [NotAllowed]
        assert owners(place) == 1


def test_two_owners_who_leave_at_once_do_not_leave_it_ownerless(place: WorkspaceRef) -> None:
    for _ in range(ROUNDS):
        one, two = two_owners(place)
        raised = at_once(remove(one, one), remove(two, two))
        assert [type(error) for error in raised if error] == [LastOwner]
        assert owners(place) == 1
