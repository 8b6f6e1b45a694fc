from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from konstruct.tenancy.workspaces import WorkspaceError, set_suspended


class Command(BaseCommand):
    help = "Suspend a workspace: its sockets close with 4003 and nobody gets in. --resume takes it up again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("--resume", action="store_true", help="end the suspension")

    def handle(self, *args: Any, slug: str, resume: bool, **options: Any) -> None:
        try:
            workspace = set_suspended(slug=slug, suspended=not resume)
        except WorkspaceError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{workspace.name} is {'active' if resume else 'suspended'}.")
