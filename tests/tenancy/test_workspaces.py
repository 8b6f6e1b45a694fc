"""Making, suspending and deleting workspaces."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django_tenants.utils import tenant_context

from agents.models import Agent
from konstruct.tenancy.models import Domain, Membership, Role, User, Workspace
from konstruct.tenancy.workspaces import (
    WorkspaceError,
    create_workspace,
    delete_workspace,
    find_membership,
    reference,
)


def schemas() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT schema_name FROM information_schema.schemata")
        return {name for (name,) in cursor.fetchall()}


def make(slug: str = "initech", **options: str) -> Workspace:
    call_command(
        "create_workspace",
        "Initech",
        slug=slug,
        owner_email="Bill@Initech.example",
        owner_password="tps-reports-77",
        verbosity=0,
        **options,
    )
    return Workspace.objects.get(slug=slug)


@pytest.mark.django_db
def test_create_workspace_makes_schema_owner_and_one_active_employee() -> None:
    workspace = make(host="initech.example.com")
    owner = User.objects.get(email="bill@initech.example")
    assert owner.check_password("tps-reports-77")
    assert Membership.objects.get(workspace=workspace).role == Role.OWNER
    assert Domain.objects.get(tenant=workspace).domain == "initech.example.com"
    with tenant_context(reference(workspace)):
        assert Agent.objects.filter(is_active=True).count() == 1


@pytest.mark.django_db
def test_a_workspace_that_cannot_be_made_leaves_nothing() -> None:
    before = schemas()
    make()
    with pytest.raises(CommandError, match="already"):
        make()
    with pytest.raises(CommandError, match="slug"):
        make(slug="Bad Slug")
    with pytest.raises(CommandError, match="common"):
        call_command(
            "create_workspace",
            "Weak",
            slug="weak",
            owner_email="weak@example.com",
            owner_password="password",
        )
    assert schemas() - before == {"ws_initech"}
    assert not User.objects.filter(email="weak@example.com").exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "slug", ["", "a", "-ab", "ab-", "1ab", "a_b", "a" * 49, 'a";drop schema public', "pg_x", "A-b"]
)
def test_slugs_that_cannot_be_a_host_name_are_refused(slug: str) -> None:
    with pytest.raises(WorkspaceError):
        create_workspace(name="X", slug=slug)


@pytest.mark.django_db
def test_suspending_shuts_members_out_and_resuming_lets_them_in() -> None:
    workspace = make()
    user = User.objects.get(email="bill@initech.example")
    call_command("suspend_workspace", "initech", verbosity=0)
    assert find_membership(user_id=user.id, workspace_id=workspace.id) is None
    call_command("suspend_workspace", "initech", resume=True, verbosity=0)
    assert find_membership(user_id=user.id, workspace_id=workspace.id) is not None


@pytest.mark.django_db
def test_delete_workspace_asks_and_then_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    make(host="initech.example.com")
    monkeypatch.setattr("builtins.input", lambda _: "no")
    with pytest.raises(CommandError, match="Nothing"):
        call_command("delete_workspace", "initech")
    assert "ws_initech" in schemas()
    call_command("delete_workspace", "initech", yes=True)
    assert "ws_initech" not in schemas()
    assert not Domain.objects.filter(domain="initech.example.com").exists()
    assert not Membership.objects.filter(user__email="bill@initech.example").exists()
    with pytest.raises(WorkspaceError):
        delete_workspace(slug="initech")
