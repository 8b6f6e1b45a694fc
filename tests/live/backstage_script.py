"""What the backstage process can do. Runs with Django set up, on the servers' own database."""

import itertools
import os
from datetime import timedelta
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY
from django.contrib.auth import SESSION_KEY as USER_KEY
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from django_tenants.utils import tenant_context

from agents.models import Agent
from chat.models import Conversation, Message
from konstruct.tenancy.http import SESSION_KEY
from konstruct.tenancy.models import Membership, User
from konstruct.tenancy.workspaces import add_member, get_workspace

_numbers = itertools.count(1)


def _in(slug: str) -> Any:
    return tenant_context(get_workspace(slug=slug))


def make_workspace(*, slug: str, name: str, host: str) -> str:
    owner = ["--owner-email", f"owner@{slug}.example", "--owner-password", "a-long-Password-1"]
    call_command("create_workspace", name, "--slug", slug, *owner, "--host", host)
    return str(get_workspace(slug=slug).id)


def make_person(*, slug: str, role: str, password: str | None) -> dict[str, str]:
    number = next(_numbers)
    name = f"Person {number}"
    user = User.objects.create_user(f"p{number}.{os.getpid()}@{slug}.example", password, display_name=name)
    add_member(workspace=get_workspace(slug=slug), user=user, role=role)
    return {"id": str(user.id), "email": user.email, "name": name, "role": role}


def hire(*, slug: str, model: str, fields: dict[str, Any]) -> str:
    with _in(slug):
        model = model if "/" in model else f"openai/{model}"
        values = {"name": f"Agent {next(_numbers)}", "model": model, "position": 100, **fields}
        return str(Agent.objects.create(**values).id)


def dismiss(*, slug: str, agent: str | None) -> None:
    with _in(slug):
        agents = Agent.objects.filter(id=agent) if agent else Agent.objects.all()
        agents.update(is_active=False)


def make_conversation(*, slug: str, user_id: str, agent: str | None) -> str:
    with _in(slug):
        return str(Conversation.objects.create(user_id=user_id, agent_id=agent).id)


def make_conversations(*, slug: str, user_ids: list[str], agent: str) -> list[str]:
    with _in(slug):
        made = Conversation.objects.bulk_create(
            Conversation(user_id=user_id, agent_id=agent) for user_id in user_ids
        )
        return [str(conversation.id) for conversation in made]


def messages_of(*, slug: str, conversations: list[str]) -> list[dict[str, Any]]:
    with _in(slug):
        found = Message.objects.filter(conversation_id__in=conversations)
        return list(found.order_by("created_at", "id").values())


def connections() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT application_name, count(*) FROM pg_stat_activity GROUP BY 1")
        return dict(cursor.fetchall())


def messages(*, slug: str, conversation: str) -> list[dict[str, Any]]:
    with _in(slug):
        return list(
            Message.objects.filter(conversation_id=conversation).order_by("created_at", "id").values()
        )


def leaf(*, slug: str, conversation: str) -> str | None:
    with _in(slug):
        return Conversation.objects.get(id=conversation).leaf_id


def make_session(*, user_id: str, workspace_id: str) -> str:
    user = User.objects.get(id=user_id)
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[USER_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session[SESSION_KEY] = workspace_id
    session.create()
    return str(session.session_key)


def end_session(*, key: str) -> None:
    Session.objects.get(session_key=key).delete()


def expire_session(*, key: str) -> None:
    Session.objects.filter(session_key=key).update(expire_date=timezone.now() - timedelta(seconds=1))


def remove_member(*, user_id: str, slug: str) -> None:
    Membership.objects.get(user_id=user_id, workspace__slug=slug).delete()


def set_role(*, user_id: str, slug: str, role: str) -> None:
    add_member(workspace=get_workspace(slug=slug), user=User.objects.get(id=user_id), role=role)


def change_user(*, user_id: str, fields: dict[str, Any]) -> None:
    User.objects.filter(id=user_id).update(**fields)


def set_password(*, user_id: str, password: str) -> None:
    user = User.objects.get(id=user_id)
    user.set_password(password)
    user.save(update_fields=["password"])


def deafen() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'konstruct-listener' AND datname = current_database()"
        )


def command(*, name: str, arguments: list[str]) -> None:
    call_command(name, *arguments)
