from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from django_tenants.utils import tenant_context

from chat import conversations
from chat.portal.auth_frame import auth_frame
from konstruct.tenancy.models import Membership, User
from konstruct.tenancy.tokens import TTL
from konstruct.tenancy.workspaces import WorkspaceError, find_membership, get_workspace, reference


def positive(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise ArgumentTypeError(f"{value!r} is not a whole number from 1 on")
    return int(value)


class Command(BaseCommand):
    help = "Make conversations for a member and print, a JSON line each, the id and the auth frame to send."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("slug")
        parser.add_argument("--conversations", type=positive, default=1, metavar="N")
        parser.add_argument("--ttl", type=positive, default=TTL, metavar="SECONDS")

    def handle(self, *args: Any, email: str, slug: str, ttl: int, **options: Any) -> None:
        membership = self._membership(email, slug)
        with tenant_context(reference(membership.workspace)):
            made = [conversations.create(user_id=membership.user_id) for _ in range(options["conversations"])]
        for conversation in made:
            frame = auth_frame(membership=membership, session_key=None, ttl=ttl)
            line = {"conversation_id": str(conversation.id), "auth": frame}
            self.stdout.write(msgspec.json.encode(line).decode())

    def _membership(self, email: str, slug: str) -> Membership:
        try:
            workspace = get_workspace(slug=slug)
            user = User.objects.get_by_natural_key(email)
        except WorkspaceError as error:
            raise CommandError(str(error)) from error
        except User.DoesNotExist:
            raise CommandError(f"There is no user {email!r}.") from None
        membership = find_membership(user_id=user.id, workspace_id=workspace.id)
        if membership is None:
            raise CommandError(f"{email} has no access to {slug}: no member, not active, or it is suspended.")
        return membership
