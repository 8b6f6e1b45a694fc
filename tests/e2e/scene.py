"""What a test finds in the database: employees that answer as the fake upstream's models do, long histories.

The demo workspace of a running Konstruct is changed by a process of its own, this module as a script: the
test's Django is connected to pytest's own database.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


class Scene:
    """Of the Konstruct whose data folder this is."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def employ(self, **models: str) -> None:
        """Let employees, by name, answer with these models: `employ(Bruno="echo")`."""
        self._do("employ", models=models)

    def history(self, email: str, employee: str, texts: list[str]) -> str:
        """A conversation in which these were said, by person and employee in turn; out comes its id."""
        return str(self._do("history", email=email, employee=employee, texts=texts))

    def _do(self, what: str, **arguments: Any) -> Any:
        keep = {k: v for k, v in os.environ.items() if not k.startswith("KONSTRUCT_") and k != "DATABASE_URL"}
        done = subprocess.run(
            [sys.executable, "-m", "tests.e2e.scene", what],
            cwd=ROOT,
            env={**keep, "KONSTRUCT_HOME": str(self.home)},
            input=json.dumps(arguments),
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout.splitlines()[-1])


def employ(*, models: dict[str, str]) -> None:
    from agents.models import Agent

    for name, model in models.items():
        if not Agent.objects.filter(name=name).update(model=f"openai/{model}"):
            raise LookupError(name)


def history(*, email: str, employee: str, texts: list[str]) -> str:
    from datetime import timedelta

    from django.utils import timezone

    from agents.models import Agent
    from chat.models import Conversation, Message, MessageRole
    from konstruct.tenancy.models import User

    agent = Agent.objects.get(name=employee)
    conversation = Conversation.objects.create(
        user_id=User.objects.get(email=email).id, agent=agent, title="History"
    )
    began = timezone.now() - timedelta(minutes=len(texts))
    messages: list[Message] = []
    for number, text in enumerate(texts):
        mine = number % 2 == 0
        messages.append(
            Message(
                conversation=conversation,
                parent=messages[-1] if messages else None,
                role=MessageRole.USER if mine else MessageRole.ASSISTANT,
                agent=None if mine else agent,
                text=text,
                created_at=began + timedelta(minutes=number),
            )
        )
    Message.objects.bulk_create(messages)
    conversation.leaf = messages[-1]
    conversation.save()
    return str(conversation.id)


if __name__ == "__main__":
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "konstruct.settings"
    django.setup()
    from django_tenants.utils import tenant_context

    from konstruct.tenancy.workspaces import get_workspace

    things: dict[str, Callable[..., Any]] = {"employ": employ, "history": history}
    with tenant_context(get_workspace(slug="demo")):
        outcome = things[sys.argv[1]](**json.loads(sys.stdin.read()))
    print(json.dumps(outcome))
