"""No page of the admin shows, finds or changes another workspace's rows."""

from collections.abc import Iterator

import pytest
from django.db.models import ForeignKey
from django.test import Client
from django.urls import reverse
from django_tenants.utils import tenant_context

from agents.models import Agent
from chat.models import Conversation, Message
from konstruct.tenancy.admin_site import TenantModelAdmin, site
from konstruct.tenancy.models import Role, User, Workspace
from konstruct.tenancy.workspaces import add_member
from memory.models import Memory, MemoryPolicy, SharedNote
from tests.admin.conftest import Rows, log_entries
from tests.conftest import MakeUser, SignedIn

pytestmark = pytest.mark.django_db

TENANT_MODELS = [model for model, admin in site._registry.items() if isinstance(admin, TenantModelAdmin)]


def urls_of(model: type, object_id: object) -> Iterator[str]:
    """Every page about one row of the model."""
    prefix = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    for view in ("change", "delete", "history"):
        yield reverse(f"{prefix}_{view}", args=[object_id])
    yield reverse(f"{prefix}_changelist") + f"{object_id}/"


def list_urls(model: type) -> Iterator[str]:
    yield reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    yield reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")
    yield reverse("admin:app_list", args=[model._meta.app_label])


def row_of(rows: Rows, model: type) -> object:
    return {
        Agent: rows.agent.id,
        Conversation: rows.conversation.id,
        Memory: rows.memory_id,
        SharedNote: rows.note_id,
        MemoryPolicy: 1,
    }[model]


def autocompletes(term: str) -> Iterator[str]:
    for model in (*site._registry, Message):
        for field in model._meta.get_fields():
            if isinstance(field, ForeignKey):
                yield (
                    f"/admin/autocomplete/?app_label={model._meta.app_label}"
                    f"&model_name={model._meta.model_name}&field_name={field.name}&term={term}"
                )


def read(client: Client, url: str) -> tuple[int, str]:
    """Follows redirects; what any page on the way says is part of the answer."""
    response = client.get(url, follow=True)
    return response.status_code, response.content.decode()


def test_the_tenant_models_are_known() -> None:
    assert set(TENANT_MODELS) == {Agent, Conversation, Memory, SharedNote, MemoryPolicy}


def test_ids_of_another_workspace_lead_nowhere(
    acme_rows: Rows, globex_rows: Rows, signed_in: SignedIn
) -> None:
    client = signed_in(acme_rows.owner, acme_rows.workspace)
    # The rules of memory are one row, of the same id everywhere: it is the own one that is found.
    for model in set(TENANT_MODELS) - {MemoryPolicy}:
        for url in urls_of(model, row_of(globex_rows, model)):
            assert globex_rows.secret not in read(client, url)[1], url
            assert client.post(url, {"post": "yes", "name": "taken over"}).status_code in (302, 403, 405), url
        for action in ("delete_selected", "retire", "activate"):
            client.post(
                next(list_urls(model)),
                {"action": action, "_selected_action": [str(row_of(globex_rows, model))], "post": "yes"},
            )
    with tenant_context(globex_rows.workspace):
        agent = Agent.objects.get()
        assert (agent.name, agent.is_active) == (globex_rows.agent.name, True)
        assert Conversation.objects.count() == Message.objects.count() == 1
        texts = set(Memory.objects.values_list("text", flat=True))
        assert texts == {f"{globex_rows.secret} memory", f"{globex_rows.secret} note"}


def test_lists_searches_and_filters_stay_inside(
    acme_rows: Rows, globex_rows: Rows, signed_in: SignedIn
) -> None:
    client = signed_in(acme_rows.owner, acme_rows.workspace)
    for model in TENANT_MODELS:
        listing = next(list_urls(model))
        # The rules of memory are a switch, and say nothing.
        assert model is MemoryPolicy or acme_rows.secret in read(client, listing)[1]
        for query in ("", "?q=agent", "?q=text", f"?agent__id__exact={globex_rows.agent.id}", "?all="):
            assert globex_rows.secret not in read(client, listing + query)[1], (listing, query)
    # The words searched for are repeated in the search box, so this page is told by its verdict.
    found = read(client, f"{reverse('admin:chat_conversation_changelist')}?q={globex_rows.secret}")[1]
    assert "No results found" in found
    older = reverse("admin:chat_conversation_change", args=[acme_rows.conversation.id])
    assert client.get(f"{older}?before={globex_rows.message.id}").status_code == 404
    for url in autocompletes("secret"):
        response = client.get(url)
        assert response.status_code in (200, 403, 404), url
        assert globex_rows.secret not in response.content.decode(), url


@pytest.mark.parametrize("role", [None, Role.MEMBER])
def test_a_superuser_who_does_not_manage_the_workspace_sees_nothing_of_it(
    acme_rows: Rows, superuser: User, make_user: MakeUser, signed_in: SignedIn, role: str | None
) -> None:
    if role is not None:
        superuser = make_user(acme_rows.workspace, role)
        User.objects.filter(id=superuser.id).update(is_superuser=True)
    client = signed_in(superuser, acme_rows.workspace)
    text = read(client, "/admin/")[1]
    assert reverse("admin:agents_agent_changelist") not in text
    assert reverse("admin:tenancy_workspace_changelist") in text
    for model in TENANT_MODELS:
        pages = [*urls_of(model, row_of(acme_rows, model)), *list_urls(model)]
        for url in pages:
            status, text = read(client, url)
            assert status in (403, 404), url
            assert acme_rows.secret not in text, url
            assert client.post(url, {"post": "yes"}).status_code in (302, 403, 404, 405), url
    for field in (
        "chat&model_name=conversation&field_name=agent",
        "chat&model_name=message&field_name=agent",
    ):
        assert client.get(f"/admin/autocomplete/?app_label={field}&term=a").status_code == 403
    with tenant_context(acme_rows.workspace):
        assert Agent.objects.count() == Conversation.objects.count() == 1


def test_platform_pages_are_for_superusers(acme_rows: Rows, signed_in: SignedIn, superuser: User) -> None:
    client = signed_in(acme_rows.owner, acme_rows.workspace)
    platform = [model for model in site._registry if model not in TENANT_MODELS]
    assert len(platform) == 4
    for model in platform:
        first = model.objects.first()
        urls = [*list_urls(model), *(urls_of(model, first.pk) if first else ())]
        for url in urls:
            assert read(client, url)[0] in (403, 404), url
    assert client.get(f"/admin/tenancy/user/{superuser.id}/password/").status_code == 403


def test_shortcuts_that_skip_permissions_are_gone(acme_rows: Rows, signed_in: SignedIn) -> None:
    client = signed_in(acme_rows.owner, acme_rows.workspace)
    assert client.get(f"/admin/r/1/{acme_rows.agent.id}/").status_code == 404
    assert client.get("/admin/search/?s=e").status_code == 404


def test_the_log_is_kept_where_its_object_lives(
    acme_rows: Rows, globex_rows: Rows, signed_in: SignedIn
) -> None:
    user = acme_rows.owner
    User.objects.filter(id=user.id).update(is_superuser=True)
    add_member(workspace=Workspace.objects.get(id=globex_rows.workspace.id), user=user, role=Role.ADMIN)
    client = signed_in(user, acme_rows.workspace)
    client.post(
        reverse("admin:agents_agent_changelist"),
        {"action": "retire", "_selected_action": [str(acme_rows.agent.id)]},
    )
    client.post(
        reverse("admin:tenancy_user_changelist") + f"{globex_rows.owner.id}/password/",
        {"password1": "another-Long-1", "password2": "another-Long-1", "usable_password": "true"},
    )
    assert log_entries(acme_rows.workspace.schema_name) == [acme_rows.agent.name]
    assert log_entries(globex_rows.workspace.schema_name) == []
    assert log_entries("public") == [globex_rows.owner.email]

    assert acme_rows.agent.name in read(client, "/admin/")[1]
    history = reverse("admin:agents_agent_history", args=[acme_rows.agent.id])
    assert user.email in read(client, history)[1]
    person = reverse("admin:tenancy_user_history", args=[globex_rows.owner.id])
    assert "Changed password" in read(client, person)[1]

    in_globex = signed_in(user, globex_rows.workspace)
    assert acme_rows.agent.name not in read(in_globex, "/admin/")[1]
