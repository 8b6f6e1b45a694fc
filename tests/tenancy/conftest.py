"""Pages of this room are tested as those of the portal: without collectstatic."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django.fixtures import Settings

from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.models import Membership, User

SeatPerson = Callable[..., tuple[Membership, Client]]


@pytest.fixture(autouse=True)
def _plain_static_files(settings: Settings) -> None:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Settings) -> None:
    """Argon2 is slow on purpose; here people sign in by the hundred."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _no_attempts_left_over() -> None:
    cache.clear()


@pytest.fixture
def person(
    acme: WorkspaceRef, make_user: Callable[..., User], signed_in: Callable[..., Client]
) -> SeatPerson:
    """`person("admin", workspace=acme, email=None)`: the membership of somebody new, and their browser."""

    def make(
        role: str = "member", *, workspace: WorkspaceRef = acme, email: str | None = None
    ) -> tuple[Membership, Client]:
        user = make_user(workspace, role, email)
        return user.memberships.get(), signed_in(user, workspace)

    return make
