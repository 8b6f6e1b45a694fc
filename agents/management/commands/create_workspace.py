from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import transaction
from django_tenants.utils import tenant_context

from agents.employees import hire_default
from konstruct.tenancy.models import Role, User
from konstruct.tenancy.workspaces import WorkspaceError, add_member, create_workspace, reference


class Command(BaseCommand):
    help = "Make a workspace with an owner and one active employee. A known e-mail keeps its password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--slug", required=True)
        parser.add_argument("--owner-email", required=True)
        parser.add_argument("--owner-password", required=True)
        parser.add_argument("--host", default="", help="a host name that is to mean this workspace")

    def handle(
        self,
        *args: Any,
        name: str,
        slug: str,
        owner_email: str,
        owner_password: str,
        host: str,
        **options: Any,
    ) -> None:
        try:
            with transaction.atomic():
                owner = self._owner(owner_email, owner_password)
                workspace = create_workspace(name=name, slug=slug, host=host)
                add_member(workspace=workspace, user=owner, role=Role.OWNER)
                with tenant_context(reference(workspace)):
                    hire_default()
        except WorkspaceError as error:
            raise CommandError(str(error)) from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(f"{workspace.name} ({workspace.slug}) is ready for {owner.email}.")

    def _owner(self, email: str, password: str) -> User:
        known = User.objects.filter(email__iexact=email).first()
        if known:
            return known
        validate_email(email)
        validate_password(password, User(email=email))
        return User.objects.create_user(email, password)
