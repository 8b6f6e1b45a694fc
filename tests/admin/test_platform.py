"""Workspaces, users and memberships, as the platform's operators look after them."""

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.models import Membership, Role, User, Workspace
from tests.admin.conftest import Rows
from tests.conftest import MakeUser, SignedIn

pytestmark = pytest.mark.django_db

USERS, WORKSPACES, MEMBERSHIPS = (
    "/admin/tenancy/user/",
    "/admin/tenancy/workspace/",
    "/admin/tenancy/membership/",
)
PASSWORDS = {"usable_password": "true", "password1": "a-Long-one-7", "password2": "a-Long-one-7"}


@pytest.fixture
def client(superuser: User, signed_in: SignedIn) -> Client:
    return signed_in(superuser)


def formset(prefix: str, *rows: dict[str, object], initial: int | None = None) -> dict[str, object]:
    """The POST of an inline's rows; those with an id are there already."""
    there = sum("id" in row for row in rows) if initial is None else initial
    data: dict[str, object] = {f"{prefix}-TOTAL_FORMS": len(rows), f"{prefix}-INITIAL_FORMS": there}
    for number, row in enumerate(rows):
        data |= {f"{prefix}-{number}-{name}": value for name, value in row.items()}
    return data


def save_workspace(
    client: Client, workspace: WorkspaceRef, *memberships: dict[str, object], **fields: object
) -> str:
    """Saves the workspace's page; returns what it says, empty if it was saved."""
    response = client.post(
        reverse("admin:tenancy_workspace_change", args=[workspace.id]),
        {"name": workspace.name, **fields, **formset("memberships", *memberships), **formset("domains")},
    )
    return "" if response.status_code == 302 else response.content.decode()


def test_workspaces_are_neither_made_nor_deleted_here(client: Client, acme: WorkspaceRef) -> None:
    page = client.get(WORKSPACES).content.decode()
    assert "manage.py create_workspace" in page
    assert "manage.py delete_workspace" in page
    assert client.get(f"{WORKSPACES}add/").status_code == 403
    assert client.get(reverse("admin:tenancy_workspace_delete", args=[acme.id])).status_code == 403
    client.post(WORKSPACES, {"action": "delete_selected", "_selected_action": [str(acme.id)], "post": "yes"})
    assert Workspace.objects.filter(id=acme.id).exists()


def test_slug_and_schema_stay(client: Client, acme_rows: Rows) -> None:
    workspace = acme_rows.workspace
    assert save_workspace(client, workspace, name="Acme Ltd", slug="stolen", schema_name="ws_globex") == ""
    row = Workspace.objects.get(id=workspace.id)
    assert (row.name, row.slug, row.schema_name) == ("Acme Ltd", workspace.slug, workspace.schema_name)


def test_suspending_and_taking_up_again(client: Client, acme_rows: Rows, signed_in: SignedIn) -> None:
    owner = signed_in(acme_rows.owner, acme_rows.workspace)
    chosen = {"_selected_action": [str(acme_rows.workspace.id)]}
    page = client.post(WORKSPACES, {"action": "suspend", **chosen}, follow=True).content.decode()
    assert "1 workspace is suspended." in page
    assert owner.get("/admin/").status_code == 302
    page = client.post(WORKSPACES, {"action": "resume", **chosen}, follow=True).content.decode()
    assert "1 workspace is open again." in page
    assert owner.get("/admin/").status_code == 200
    history = client.get(reverse("admin:tenancy_workspace_history", args=[acme_rows.workspace.id]))
    assert "Suspended." in history.content.decode()


def test_a_host_name_is_stored_as_it_is_looked_up(client: Client, acme_rows: Rows) -> None:
    url = reverse("admin:tenancy_workspace_change", args=[acme_rows.workspace.id])
    base = {"name": "Acme", **formset("memberships")}
    assert client.post(url, base | formset("domains", {"domain": "Chat.Acme.Example."})).status_code == 302
    assert (
        Workspace.objects.get(id=acme_rows.workspace.id).domains.filter(domain="chat.acme.example").exists()
    )
    for wrong in ("https://acme.example", "acme.example:8000", "two words", "CHAT.acme.example"):
        assert client.post(url, base | formset("domains", {"domain": wrong})).status_code == 200, wrong


def test_a_new_user_signs_in_with_a_lower_case_e_mail(client: Client) -> None:
    response = client.post(
        f"{USERS}add/", {"email": "New.Person@Example.COM", **PASSWORDS, **formset("memberships")}
    )
    user = User.objects.get(email="new.person@example.com")
    assert response["Location"] == reverse("admin:tenancy_user_change", args=[user.id])
    assert user.check_password(PASSWORDS["password1"])
    assert not user.is_superuser


def test_one_mailbox_is_one_user(client: Client, acme_rows: Rows) -> None:
    taken = acme_rows.owner.email.upper()
    page = client.post(f"{USERS}add/", {"email": taken, **PASSWORDS, **formset("memberships")})
    assert "There is a user with this e-mail already." in page.content.decode()
    weak = {"email": "weak@example.com", **PASSWORDS, "password1": "password", "password2": "password"}
    assert "too common" in client.post(f"{USERS}add/", {**weak, **formset("memberships")}).content.decode()


def test_users_are_deactivated_not_deleted(client: Client, acme_rows: Rows) -> None:
    user = acme_rows.owner
    url = reverse("admin:tenancy_user_change", args=[user.id])
    response = client.post(url, {"email": user.email, "display_name": "Ana", **formset("memberships")})
    assert response.status_code == 302
    user.refresh_from_db()
    assert (user.is_active, user.display_name) == (False, "Ana")
    assert client.get(reverse("admin:tenancy_user_delete", args=[user.id])).status_code == 403


def test_an_operator_cannot_lock_herself_out(client: Client, superuser: User) -> None:
    url = reverse("admin:tenancy_user_change", args=[superuser.id])
    page = client.post(url, {"email": superuser.email, **formset("memberships")}).content.decode()
    assert page.count("You cannot take this away from yourself.") >= 2
    superuser.refresh_from_db()
    assert superuser.is_active
    assert superuser.is_superuser


def test_setting_a_password(client: Client, acme_rows: Rows) -> None:
    url = f"{USERS}{acme_rows.owner.id}/password/"
    assert client.get(url).status_code == 200
    assert client.post(url, PASSWORDS).status_code == 302
    acme_rows.owner.refresh_from_db()
    assert acme_rows.owner.check_password(PASSWORDS["password1"])


def member_row(membership: Membership, **changed: object) -> dict[str, object]:
    return {
        "id": membership.id,
        "workspace": membership.workspace_id,
        "user": membership.user_id,
        "role": membership.role,
        **changed,
    }


SENTENCE = "is the last owner of Acme: make somebody else an owner first."


def test_the_last_owner_stays_on_the_workspaces_page(
    client: Client, acme_rows: Rows, make_user: MakeUser
) -> None:
    acme, owner = acme_rows.workspace, acme_rows.owner.memberships.get()
    admin = make_user(acme, Role.ADMIN).memberships.get()
    assert SENTENCE in save_workspace(client, acme, member_row(owner, role="member"), member_row(admin))
    assert SENTENCE in save_workspace(client, acme, member_row(owner, DELETE="on"), member_row(admin))
    # A row that is not valid and deleted is not saved, but deleted it is.
    assert SENTENCE in save_workspace(client, acme, member_row(owner, DELETE="on", role="nonsense"))
    assert Membership.objects.get(id=owner.id).role == Role.OWNER
    # Handing over in one step is no loss.
    handed = save_workspace(client, acme, member_row(owner, DELETE="on"), member_row(admin, role="owner"))
    assert handed == ""
    assert list(Membership.objects.filter(workspace_id=acme.id).values_list("role", flat=True)) == [
        Role.OWNER
    ]


def test_the_last_owner_stays_on_her_own_page(client: Client, acme_rows: Rows, globex: WorkspaceRef) -> None:
    user, owner = acme_rows.owner, acme_rows.owner.memberships.get()
    url = reverse("admin:tenancy_user_change", args=[user.id])
    base = {"email": user.email, "is_active": "on"}
    moved = member_row(owner, workspace=globex.id)
    for row in (member_row(owner, role="admin"), member_row(owner, DELETE="on"), moved):
        page = client.post(url, base | formset("memberships", row))
        assert page.status_code == 200
        assert SENTENCE in page.content.decode()
    assert client.post(url, base | formset("memberships", member_row(owner))).status_code == 302


def test_the_last_owner_stays_in_the_list_of_memberships(
    client: Client, acme_rows: Rows, make_user: MakeUser
) -> None:
    owner = acme_rows.owner.memberships.get()
    change = reverse("admin:tenancy_membership_change", args=[owner.id])
    delete = reverse("admin:tenancy_membership_delete", args=[owner.id])
    chosen = {"action": "delete_selected", "_selected_action": [str(owner.id)]}
    assert SENTENCE in client.post(change, {"role": "member"}).content.decode()
    assert SENTENCE in client.get(delete).content.decode()
    assert SENTENCE in client.post(delete, {"post": "yes"}).content.decode()
    assert SENTENCE in client.post(MEMBERSHIPS, {**chosen, "post": "yes"}).content.decode()
    assert Membership.objects.get(id=owner.id).role == Role.OWNER

    second = make_user(acme_rows.workspace, Role.OWNER).memberships.get()
    both = {"action": "delete_selected", "_selected_action": [str(owner.id), str(second.id)], "post": "yes"}
    assert SENTENCE in client.post(MEMBERSHIPS, both).content.decode()
    assert client.post(change, {"role": "member"}).status_code == 302
    assert client.post(delete, {"post": "yes"}).status_code == 302


def test_jobs_show_no_arguments(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args)"
            " VALUES ('default', 'chat.jobs.title', '{\"text\": \"secret-argument\"}') RETURNING id"
        )
        (job,) = cursor.fetchone()
    page = client.get("/admin/procrastinate/procrastinatejob/").content.decode()
    assert "chat.jobs.title" in page
    assert "secret-argument" not in page
    for view in ("change", "history", "delete"):
        url = reverse(f"admin:procrastinate_procrastinatejob_{view}", args=[job])
        assert client.get(url).status_code == 403


def test_every_list_and_form_opens_and_searches(client: Client, acme_rows: Rows) -> None:
    for url in (
        WORKSPACES,
        USERS,
        MEMBERSHIPS,
        f"{USERS}add/",
        f"{MEMBERSHIPS}add/",
        reverse("admin:tenancy_workspace_change", args=[acme_rows.workspace.id]),
        reverse("admin:tenancy_user_change", args=[acme_rows.owner.id]),
        reverse("admin:tenancy_membership_change", args=[acme_rows.owner.memberships.get().id]),
        "/admin/tenancy/",
        "/admin/jsi18n/",
        "/admin/password_change/",
        "/admin/autocomplete/?app_label=tenancy&model_name=membership&field_name=user&term=secret",
    ):
        assert client.get(url).status_code == 200, url
        if url.count("/") == 4:
            assert client.get(f"{url}?q=secret").status_code == 200, url
