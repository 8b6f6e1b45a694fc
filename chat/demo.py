"""The workspace `demo`: made once, on the first start, so that a newcomer has somebody to talk to."""

import json
import os
import secrets
from pathlib import Path

from django.db import transaction
from django_tenants.utils import tenant_context

from agents.models import Agent
from konstruct.tenancy.models import Role, User, Workspace
from konstruct.tenancy.workspaces import add_member, create_workspace, reference

_EMPLOYEES = (
    {
        "name": "Ada",
        "title": "Analyst",
        "color": "#2563eb",
        "persona": "Calm and exact. Says what is known, what is assumed, what is missing. Likes short lists.",
        "system_prompt": "You help people think in numbers: estimates, comparisons, plans, pros and cons."
        " State assumptions, show the steps, round sensibly.",
        "greeting": "Hello, I am Ada. Bring me a question with numbers in it, or one that should have some.",
        "starters": [
            "Estimate how many coffees our office drinks in a year.",
            "Compare renting and buying a delivery van.",
            "What should I measure to know if our newsletter works?",
        ],
        "temperature": 0.2,
    },
    {
        "name": "Bruno",
        "title": "Writer",
        "color": "#db2777",
        "persona": "Warm, quick and fond of plain words. Offers two versions where taste decides.",
        "system_prompt": "You write and improve texts: e-mails, announcements, product descriptions."
        " Keep the author's voice, cut what is not needed, never invent facts.",
        "greeting": "Hi, Bruno here. Paste something you wrote, or tell me what you need to say.",
        "starters": [
            "Write a friendly reminder about an unpaid invoice.",
            "Announce that our shop opens on Sundays.",
            "Make this shorter: ",
        ],
        "temperature": 0.2,
    },
    {
        "name": "Chloe",
        "title": "Coach",
        "color": "#059669",
        "persona": "Patient and encouraging. Explains with one example at a time and asks one question back.",
        "system_prompt": "You help people learn: explain ideas simply, give an example, check understanding.",
        "greeting": "Hello, I am Chloe. What would you like to understand today?",
        "starters": [
            "Explain inflation as if I were twelve.",
            "Help me prepare for a difficult talk with a colleague.",
            "How do I learn to say no politely?",
        ],
        "temperature": 0.2,
    },
)

_PEOPLE = (("olivia@demo.example", "Olivia", Role.OWNER), ("max@demo.example", "Max", Role.MEMBER))


def make_demo(*, accounts_file: Path) -> bool:
    """Make the demo workspace and its people, unless any workspace or user exists. True: it was made.

    Their passwords are random; `accounts_file` (mode 0600) keeps them for the next start to show. The
    owner is the platform's operator as well, since somebody has to be.
    """
    if Workspace.objects.exists() or User.objects.exists():
        return False
    accounts = [
        {"email": email, "password": secrets.token_urlsafe(9), "role": role} for email, _, role in _PEOPLE
    ]
    with transaction.atomic():
        workspace = create_workspace(name="Demo", slug="demo")
        for (email, name, role), account in zip(_PEOPLE, accounts, strict=True):
            user = User.objects.create_user(email, account["password"], display_name=name)
            if role == Role.OWNER:
                user.is_superuser = True
                user.save(update_fields=["is_superuser"])
            add_member(workspace=workspace, user=user, role=role)
        with tenant_context(reference(workspace)):
            for position, employee in enumerate(_EMPLOYEES):
                Agent.objects.create(position=position, **employee)
        # Inside the transaction: no accounts without their passwords.
        _write_private(accounts_file, json.dumps(accounts, indent=2))
    return True


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
