"""Memory in the admin: numbers for all who manage, texts where the rules say so, notes by whoever manages."""

from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.urls import reverse
from django_tenants.utils import tenant_context
from pytest_django.fixtures import Settings

from konstruct.tenancy.models import Role
from memory import store
from memory.embedder import LOCAL
from memory.models import Forgotten, Memory, MemoryPolicy, MemoryVector, SharedNote
from tests.admin.conftest import Rows
from tests.conftest import MakeUser, SignedIn

pytestmark = pytest.mark.django_db

MEMORIES = reverse("admin:memory_memory_changelist")
NOTES = reverse("admin:memory_sharednote_changelist")
ADD = reverse("admin:memory_sharednote_add")
RULES = reverse("admin:memory_memorypolicy_change", args=[1])


@pytest.fixture
def owner(acme_rows: Rows, signed_in: SignedIn) -> Client:
    return signed_in(acme_rows.owner, acme_rows.workspace)


@pytest.fixture
def admin(acme_rows: Rows, make_user: MakeUser, signed_in: SignedIn) -> Client:
    return signed_in(make_user(acme_rows.workspace, Role.ADMIN), acme_rows.workspace)


def page(client: Client, url: str) -> str:
    response = client.get(url, follow=True)
    assert response.status_code == 200, url
    return response.content.decode()


def note(rows: Rows) -> SharedNote | None:
    return SharedNote.objects.filter(id=rows.note_id).first()


def test_managers_see_how_much_and_not_what(acme_rows: Rows, owner: Client, admin: Client) -> None:
    memory = f"{acme_rows.secret} memory"
    one = reverse("admin:memory_memory_change", args=[acme_rows.memory_id])
    for client in (owner, admin):
        text = page(client, MEMORIES)
        assert acme_rows.agent.name in text
        assert "here are numbers only" in text
        pages = [text]
        urls = [f"{MEMORIES}?q={acme_rows.secret}", f"{MEMORIES}?kind__exact=exchange"]
        urls += [one, reverse("admin:memory_memory_history", args=[acme_rows.memory_id])]
        pages += [client.get(url, follow=True).content.decode() for url in urls]
        assert all(memory not in text for text in pages)
        assert client.post(one, {"text": "taken over"}).status_code in (302, 403)


def test_where_the_rules_say_so_they_read_and_change_nothing(acme_rows: Rows, admin: Client) -> None:
    with tenant_context(acme_rows.workspace):
        store.set_policy(managers_may_read=True)
    memory = f"{acme_rows.secret} memory"
    text = page(admin, MEMORIES)
    assert memory in text and acme_rows.owner.email in text
    assert "here are numbers only" not in text
    # Shared notes have a list of their own.
    assert f"{acme_rows.secret} note" not in text
    assert memory in page(admin, f"{MEMORIES}?q=memory")
    assert memory not in page(admin, f"{MEMORIES}?kind__exact=fact")
    one = reverse("admin:memory_memory_change", args=[acme_rows.memory_id])
    assert memory in page(admin, one)
    for url in (one, reverse("admin:memory_memory_delete", args=[acme_rows.memory_id])):
        assert admin.post(url, {"post": "yes", "text": "taken over"}).status_code == 403
    assert admin.get(reverse("admin:memory_memory_add")).status_code == 403
    # In the portal they still see their own only.
    assert memory not in page(admin, reverse("memory"))
    assert "owners and admins of this workspace may read it too" in page(admin, reverse("memory"))


def test_owners_alone_change_the_rules(
    acme_rows: Rows, globex_rows: Rows, owner: Client, admin: Client
) -> None:
    def may_read(rows: Rows = acme_rows) -> bool:
        with tenant_context(rows.workspace):
            return store.policy().managers_may_read

    listing = reverse("admin:memory_memorypolicy_changelist")
    for client in (owner, admin):
        assert "owners and admins may read memories" in page(client, listing).lower()
    assert admin.post(RULES, {"managers_may_read": "on"}).status_code == 403
    assert not may_read()
    assert owner.post(RULES, {"managers_may_read": "on", "embedder": "mine"}).status_code == 302
    assert may_read() and not may_read(globex_rows)
    with tenant_context(acme_rows.workspace):
        assert MemoryPolicy.objects.get().embedder == LOCAL
    for url in (
        reverse("admin:memory_memorypolicy_add"),
        reverse("admin:memory_memorypolicy_delete", args=[1]),
    ):
        assert owner.post(url, {"post": "yes"}).status_code == 403
    assert owner.post(RULES, {}).status_code == 302
    assert not may_read()


def test_notes_are_written_changed_and_removed(acme_rows: Rows, admin: Client) -> None:
    answer = admin.post(ADD, {"text": "The office closes at six", "agent_id": str(acme_rows.agent.id)})
    assert answer.status_code == 302, answer.content.decode()
    text = page(admin, NOTES)
    assert "The office closes at six" in text and acme_rows.agent.name in text
    with tenant_context(acme_rows.workspace):
        added = SharedNote.objects.get(text="The office closes at six")
        assert (added.user_id, added.agent_id, added.kind) == (None, acme_rows.agent.id, "note")
        assert MemoryVector.objects.filter(memory_id=added.id, embedder=LOCAL).count() == 1
        before = MemoryVector.objects.get(memory_id=acme_rows.note_id).id

    one = reverse("admin:memory_sharednote_change", args=[acme_rows.note_id])
    assert admin.post(one, {"text": "Now it says something else"}).status_code == 302
    with tenant_context(acme_rows.workspace):
        changed = note(acme_rows)
        assert changed is not None and changed.text == "Now it says something else" and changed.edited_at
        assert MemoryVector.objects.get(memory_id=acme_rows.note_id).id != before
    for wrong in ("", "x" * 2001, "password: hunter2hunter2"):
        assert admin.post(one, {"text": wrong}).status_code == 200
    assert admin.post(ADD, {"text": "For whom?", "agent_id": str(uuid4())}).status_code == 200

    delete = reverse("admin:memory_sharednote_delete", args=[acme_rows.note_id])
    assert "Now it says something else" in page(admin, delete)
    assert admin.post(delete, {"post": "yes"}).status_code == 302
    chosen = {"action": "delete_selected", "_selected_action": [str(added.id)], "post": "yes"}
    assert admin.post(NOTES, chosen).status_code == 302
    with tenant_context(acme_rows.workspace):
        assert not SharedNote.objects.filter(user_id=None).exists()
        assert Memory.objects.count() == 1


def test_a_remote_embedder_is_asked_by_a_job(acme_rows: Rows, admin: Client, settings: Settings) -> None:
    with tenant_context(acme_rows.workspace):
        store.policy()
        MemoryPolicy.objects.update(embedder="openai/text-embedding-3-small")
    one = reverse("admin:memory_sharednote_change", args=[acme_rows.note_id])
    assert admin.post(one, {"text": "Now it says something else"}).status_code == 302
    with tenant_context(acme_rows.workspace), connection.cursor() as cursor:
        assert not MemoryVector.objects.filter(memory_id=acme_rows.note_id).exists()
        cursor.execute("SELECT task_name, args->>'memory_id' FROM procrastinate_jobs WHERE status = 'todo'")
        assert ("chat.embed_memory", str(acme_rows.note_id)) in cursor.fetchall()


def test_peoples_memories_cannot_be_reached_as_notes(acme_rows: Rows, owner: Client) -> None:
    with tenant_context(acme_rows.workspace):
        store.set_policy(managers_may_read=True)
    for view in ("change", "delete", "history"):
        url = reverse(f"admin:memory_sharednote_{view}", args=[acme_rows.memory_id])
        assert f"{acme_rows.secret} memory" not in owner.get(url, follow=True).content.decode()
        owner.post(url, {"text": "taken over", "post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [str(acme_rows.memory_id)], "post": "yes"}
    owner.post(NOTES, chosen)
    with tenant_context(acme_rows.workspace):
        assert Memory.objects.get(id=acme_rows.memory_id).text == f"{acme_rows.secret} memory"
        assert not Forgotten.objects.exists()


def test_the_log_names_no_text(acme_rows: Rows, owner: Client) -> None:
    one = reverse("admin:memory_sharednote_change", args=[acme_rows.note_id])
    owner.post(ADD, {"text": "apricots in the log", "agent_id": ""})
    owner.post(one, {"text": "apricots once more"})
    owner.post(reverse("admin:memory_sharednote_delete", args=[acme_rows.note_id]), {"post": "yes"})
    with tenant_context(acme_rows.workspace):
        entries = list(LogEntry.objects.values_list("object_repr", "change_message"))
        assert len(entries) == 3
        assert "apricot" not in str(entries) and acme_rows.secret not in str(entries)


def test_an_employee_is_kept_from_shared_notes_by_a_switch(acme_rows: Rows, owner: Client) -> None:
    url = reverse("admin:agents_agent_change", args=[acme_rows.agent.id])
    form = {
        "name": "Kim", "color": "#4f46e5", "position": "0", "is_active": "on",
        "starters": "", "fallback_models": "",
    }  # fmt: skip
    assert "may use the workspace's shared notes" in page(owner, url).lower().replace("&#x27;", "'")
    assert owner.post(url, form).status_code == 302
    with tenant_context(acme_rows.workspace):
        acme_rows.agent.refresh_from_db()
        assert acme_rows.agent.sees_shared is False
