from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from konstruct.tenancy.workspaces import WorkspaceError, delete_workspace, get_workspace


class Command(BaseCommand):
    help = "Delete a workspace with everything in it, for good."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, slug: str, yes: bool, **options: Any) -> None:
        try:
            workspace = get_workspace(slug=slug)
            if not yes:
                self.stdout.write(
                    f"This deletes {workspace.name} with all its conversations and employees, for good."
                )
                if input(f"Type {slug} to go on: ").strip() != slug:
                    raise CommandError("Nothing was deleted.")
            delete_workspace(slug=slug)
        except WorkspaceError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{workspace.name} is deleted.")
