"""What the backstage process can do. Runs with Django set up, on the servers' own database."""

import itertools
import os
from datetime import timedelta
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY
from django.contrib.auth import SESSION_KEY as USER_KEY
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone
from django_tenants.utils import tenant_context

from agents.models import Agent
from chat.models import Conversation, Message, ModelCall
from konstruct.tenancy.http import SESSION_KEY
from konstruct.tenancy.models import Membership, User
from konstruct.tenancy.workspaces import add_member, get_workspace
from memory import store
from memory.embedder import LOCAL, embed_local
from memory.models import Summary

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


def delete_conversation(*, slug: str, conversation: str, unheard: bool) -> None:
    with _in(slug), transaction.atomic():
        if unheard:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL session_replication_role = replica")
        Conversation.objects.get(id=conversation).delete()
    if unheard:
        deafen()


def command(*, name: str, arguments: list[str]) -> None:
    call_command(name, *arguments)


# --- what is remembered -----------------------------------------------------------------------------

_holder: Any = None


def remember(
    *,
    slug: str,
    user_id: str,
    agent: str,
    conversation: str,
    message_id: str | None,
    text: str,
    days_ago: int,
) -> str:
    with _in(slug):
        memory_id = store.remember_exchange(
            user_id=UUID(user_id),
            agent_id=UUID(agent),
            conversation_id=UUID(conversation),
            message_id=UUID(message_id) if message_id else uuid4(),
            text=text,
            said_at=timezone.now() - timedelta(days=days_ago),
            embedder=LOCAL,
            vector=embed_local([text])[0],
        )
        assert memory_id is not None
        return str(memory_id)


def note(*, slug: str, text: str) -> str:
    with _in(slug):
        return str(store.add_note(text=text, embedder=LOCAL, vector=embed_local([text])[0]).id)


def forget(*, slug: str, user_id: str, memory_id: str) -> None:
    with _in(slug):
        store.forget(user_id=UUID(user_id), memory_id=UUID(memory_id))


def switch_memory(*, slug: str, user_id: str, off: bool, agent: str | None, conversation: str | None) -> None:
    with _in(slug):
        store.set_off(
            user_id=UUID(user_id),
            agent_id=UUID(agent) if agent else None,
            conversation_id=UUID(conversation) if conversation else None,
            off=off,
        )


def hold_memories(*, slug: str) -> None:
    global _holder
    with _in(slug):
        _holder = connection.copy()
    _holder.set_tenant(get_workspace(slug=slug))
    _holder.set_autocommit(False)
    with _holder.cursor() as cursor:
        cursor.execute("LOCK TABLE memory_memory, memory_memoryvector IN ACCESS EXCLUSIVE MODE")


def release_memories() -> None:
    _holder.rollback()
    _holder.close()


def fill(*, slug: str, conversation: str, agent: str, exchanges: list[list[str]]) -> list[str]:
    with _in(slug):
        row = Conversation.objects.get(id=conversation)
        parent_id, made = row.leaf_id, []
        begin = timezone.now() - timedelta(days=1)
        for index, (question, answer) in enumerate(exchanges):
            for role, text in (("user", question), ("assistant", answer)):
                message = Message(
                    conversation=row,
                    parent_id=parent_id,
                    role=role,
                    text=text,
                    agent_id=agent if role == "assistant" else None,
                    created_at=begin + timedelta(seconds=2 * index + (role == "assistant")),
                )
                parent_id = message.id
                made.append(message)
        Message.objects.bulk_create(made)
        Conversation.objects.filter(id=conversation).update(leaf_id=parent_id)
        return [str(message.id) for message in made]


def rewrite(*, slug: str, message_id: str, text: str) -> None:
    with _in(slug):
        Message.objects.filter(id=message_id).update(text=text)


def summaries(*, slug: str, conversation: str) -> list[dict[str, Any]]:
    with _in(slug):
        return list(Summary.objects.filter(conversation_id=conversation).order_by("id").values())


def model_calls(*, slug: str, conversation: str) -> list[dict[str, Any]]:
    with _in(slug):
        return list(ModelCall.objects.filter(conversation_id=conversation).order_by("created_at").values())


def drop_other_jobs(*, conversation: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM procrastinate_jobs WHERE args->>'conversation_id' IS DISTINCT FROM %s",
            [conversation],
        )
