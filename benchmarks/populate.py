"""Fills a prepared database: run as a process of its own, `python -m benchmarks.populate`.

stdin: {"users": N, "conversations": {MODEL: N, ...}}. stdout: a JSON line for each conversation:
{"model": ..., "conversation_id": ..., "auth": {the frame}}. Each model gets an employee of its own,
whom its conversations are with; the users take turns.
"""

import itertools
import sys
from typing import Any

import msgspec

# A run may take long; the figures are not about expiry.
_TOKEN_SECONDS = 24 * 3600


def populate(users: int, conversations: dict[str, int]) -> list[dict[str, Any]]:
    from django_tenants.utils import tenant_context

    from agents.models import Agent
    from chat.models import Conversation
    from chat.portal.auth_frame import auth_frame
    from konstruct.tenancy.models import Membership, User
    from konstruct.tenancy.workspaces import create_workspace, reference

    workspace = create_workspace(name="Benchmarks", slug="benchmarks")
    people = User.objects.bulk_create(
        User(email=f"person{i}@example.com", password="!", display_name=f"Person {i}") for i in range(users)
    )
    members = Membership.objects.bulk_create(Membership(user=user, workspace=workspace) for user in people)
    frames = [auth_frame(membership=member, session_key=None, ttl=_TOKEN_SECONDS) for member in members]
    lines = []
    turns = itertools.cycle(range(users))
    with tenant_context(reference(workspace)):
        for model, number in conversations.items():
            agent = Agent.objects.create(
                name=f"Kim of {model}",
                title="Assistant",
                persona="Friendly, brief and honest about what it does not know.",
                system_prompt="Help the people of this company with whatever they ask.",
                model=f"openai/{model}",
            )
            owners = [next(turns) for _ in range(number)]
            made = Conversation.objects.bulk_create(
                Conversation(user_id=people[owner].id, agent=agent) for owner in owners
            )
            lines += [
                {"model": model, "conversation_id": str(conversation.id), "auth": frames[owner]}
                for conversation, owner in zip(made, owners, strict=True)
            ]
    return lines


if __name__ == "__main__":
    import os

    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "konstruct.settings"
    django.setup()
    for line in populate(**msgspec.json.decode(sys.stdin.buffer.read())):
        print(msgspec.json.encode(line).decode())
