"""Two workspaces with a person, an employee and a conversation each: everything has a foreign twin."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from django.core.cache import cache
from django.test import Client
from django_tenants.utils import tenant_context
from msgspec import Struct
from pytest_django.fixtures import Settings

from agents.models import Agent
from chat import conversations
from chat.models import Conversation, Message, MessageRole
from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.models import User

ROLES = (MessageRole.USER, MessageRole.ASSISTANT)


@contextmanager
def inside(workspace: WorkspaceRef) -> Iterator[None]:
    with tenant_context(workspace):
        yield


class Place(Struct):
    """A person in a workspace, signed in, with an employee and one conversation of two messages."""

    workspace: WorkspaceRef
    user: User
    client: Client
    agent: Agent
    conversation_id: UUID
    word: str

    @property
    def url(self) -> str:
        return f"/api/conversations/{self.conversation_id}"


def say(conversation_id: UUID, *texts: str) -> list[Message]:
    """Messages in turn, from the end of the conversation's branch on; the first is the user's."""
    said: list[Message] = []
    for number, text in enumerate(texts):
        leaf = Conversation.objects.get(id=conversation_id).leaf
        said.append(put(conversation_id, leaf, text, role=ROLES[number % 2]))
    return said


def put(conversation_id: UUID, parent: Message | None, text: str, *, role: str | None = None) -> Message:
    """A message below `parent`, by turns the user's and an answer; its branch is in use then."""
    conversation = Conversation.objects.get(id=conversation_id)
    if role is None:
        role = ROLES[parent is not None and parent.role == MessageRole.USER]
    message = Message.objects.create(
        conversation=conversation,
        parent=parent,
        role=role,
        text=text,
        agent=conversation.agent if role == MessageRole.ASSISTANT else None,
    )
    conversation.leaf = message
    conversation.save()
    return message


@pytest.fixture(autouse=True)
def _plain_static_files(settings: Settings) -> None:
    """Pages are tested without collectstatic: names are not hashed, WhiteNoise has a folder to look in."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True)
def _no_attempts_left_over() -> None:
    cache.clear()


@pytest.fixture
def make_place(make_user: Callable[..., User], signed_in: Callable[..., Client]) -> Callable[..., Place]:
    def make(workspace: WorkspaceRef, word: str) -> Place:
        user = make_user(workspace)
        with inside(workspace):
            agent = Agent.objects.create(name=f"Agent {word}", title="Helper", greeting=f"Hi from {word}")
            info = conversations.create(user_id=user.id, agent_id=agent.id, title=f"About {word}")
            say(info.id, f"question {word}", f"answer {word}")
        return Place(workspace, user, signed_in(user, workspace), agent, info.id, word)

    return make


@pytest.fixture
def here(acme: WorkspaceRef, make_place: Callable[..., Place]) -> Place:
    return make_place(acme, "apricot")


@pytest.fixture
def there(globex: WorkspaceRef, make_place: Callable[..., Place]) -> Place:
    return make_place(globex, "gooseberry")


@pytest.fixture
def neighbour(acme: WorkspaceRef, make_place: Callable[..., Place]) -> Place:
    """Somebody else in the same workspace as `here`."""
    return make_place(acme, "nectarine")
