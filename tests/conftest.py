"""Fixtures of all rooms: two workspaces side by side, people in them, and clients that are signed in."""

import itertools
from collections.abc import Callable, Iterator

import pytest
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.http import SESSION_KEY
from konstruct.tenancy.models import Role, User, Workspace
from konstruct.tenancy.workspaces import add_member, create_workspace, reference

_numbers = itertools.count(1)

MakeUser = Callable[..., User]
SignedIn = Callable[..., Client]


@pytest.fixture(scope="session")
def _workspaces(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[tuple[WorkspaceRef, WorkspaceRef]]:
    with django_db_blocker.unblock():
        yield (
            reference(create_workspace(name="Acme", slug="acme", host="acme.localhost")),
            reference(create_workspace(name="Globex", slug="globex", host="globex.localhost")),
        )


@pytest.fixture
def acme(db: None, _workspaces: tuple[WorkspaceRef, WorkspaceRef]) -> WorkspaceRef:
    return _workspaces[0]


@pytest.fixture
def globex(db: None, _workspaces: tuple[WorkspaceRef, WorkspaceRef]) -> WorkspaceRef:
    return _workspaces[1]


@pytest.fixture
def make_user(db: None) -> MakeUser:
    """`make_user(workspace, role="member", email=None)`: an active user, a member there (None: nowhere)."""

    def make(workspace: WorkspaceRef | None, role: str = Role.MEMBER, email: str | None = None) -> User:
        user = User.objects.create_user(email or f"person{next(_numbers)}@example.com", "a-long-Password-1")
        if workspace is not None:
            add_member(workspace=Workspace.objects.get(id=workspace.id), user=user, role=role)
        return user

    return make


@pytest.fixture
def superuser(db: None) -> User:
    return User.objects.create_superuser(f"root{next(_numbers)}@example.com", "a-long-Password-1")


@pytest.fixture
def signed_in(db: None) -> SignedIn:
    """`signed_in(user, workspace=None) -> Client`, with the workspace chosen in its session."""

    def sign_in(user: User, workspace: WorkspaceRef | None = None, **options: object) -> Client:
        client = Client(**options)  # type: ignore[arg-type]
        client.force_login(user)
        if workspace is not None:
            session = client.session
            session[SESSION_KEY] = str(workspace.id)
            session.save()
        return client

    return sign_in
