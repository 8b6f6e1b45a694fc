"""The same rows in two workspaces, told apart by words that must never be seen in the other one."""

from collections.abc import Callable, Iterator
from uuid import UUID

import msgspec
import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django_tenants.utils import get_public_schema_name, schema_context, tenant_context
from pytest_django.fixtures import Settings

from agents.models import Agent
from chat.models import Conversation, Message
from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.models import Role, User
from memory import store
from memory.embedder import LOCAL, embed_local
from tests.conftest import MakeUser


class Rows(msgspec.Struct, frozen=True):
    """What a workspace has. `secret` is part of every text in it."""

    workspace: WorkspaceRef
    owner: User
    agent: Agent
    conversation: Conversation
    message: Message
    memory_id: UUID
    note_id: UUID
    secret: str


@pytest.fixture(autouse=True)
def _light_settings(settings: Settings) -> None:
    """Pages are tested without collectstatic: names are not hashed, and nothing is served. And the many
    people of these tests need passwords, not argon2's 100 MB each."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "whitenoise" not in name]


def remember(user_id: UUID, conversation: Conversation, message: Message, text: str) -> UUID:
    memory_id = store.remember_exchange(
        user_id=user_id,
        agent_id=conversation.agent_id,
        conversation_id=conversation.id,
        message_id=message.id,
        text=text,
        said_at=message.created_at,
        embedder=LOCAL,
        vector=embed_local([text])[0],
    )
    assert memory_id is not None
    return memory_id


@pytest.fixture
def furnish(make_user: MakeUser) -> Callable[[WorkspaceRef], Rows]:
    def make(workspace: WorkspaceRef) -> Rows:
        secret = f"secret-of-{workspace.slug}"
        owner = make_user(workspace, Role.OWNER, f"{secret}@example.com")
        with tenant_context(workspace):
            agent = Agent.objects.create(name=f"{secret} agent", title=secret, starters=[secret])
            conversation = Conversation.objects.create(user_id=owner.id, agent=agent, title=f"{secret} title")
            message = Message.objects.create(conversation=conversation, role="user", text=f"{secret} text")
            memory_id = remember(owner.id, conversation, message, f"{secret} memory")
            text = f"{secret} note"
            note = store.add_note(text=text, embedder=LOCAL, vector=embed_local([text])[0])
        return Rows(workspace, owner, agent, conversation, message, memory_id, note.id, secret)

    return make


@pytest.fixture
def acme_rows(acme: WorkspaceRef, furnish: Callable[[WorkspaceRef], Rows]) -> Rows:
    return furnish(acme)


@pytest.fixture
def globex_rows(globex: WorkspaceRef, furnish: Callable[[WorkspaceRef], Rows]) -> Rows:
    return furnish(globex)


@pytest.fixture(autouse=True)
def _no_workspace_left_behind() -> Iterator[None]:
    yield
    assert connection.schema_name == get_public_schema_name()


def log_entries(schema: str) -> list[str]:
    """What the admin's log of that schema names, oldest first."""
    with schema_context(schema):
        return list(LogEntry.objects.order_by("id").values_list("object_repr", flat=True))
