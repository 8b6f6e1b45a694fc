import hashlib
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django_tenants.utils import schema_context

from chat.demo import make_demo
from konstruct.settings import env
from konstruct.tenancy.door import leave_workspace
from konstruct.tenancy.models import Workspace


class Command(BaseCommand):
    help = "Bring database and static files to this version; on the first start make the demo workspace."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="make no demo workspace")

    def handle(self, *args: Any, no_demo: bool, **options: Any) -> None:
        # Several processes may start at once; one prepares, the others find it done.
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(hashtext('konstruct.prepare'))")
                try:
                    self._prepare(no_demo)
                finally:
                    leave_workspace()
                    cursor.execute("SELECT pg_advisory_unlock(hashtext('konstruct.prepare'))")
        except OperationalError as error:
            raise CommandError(f"The database cannot be used: set DATABASE_URL. ({error})".strip()) from error
        except DatabaseError as error:
            raise CommandError(f"The database could not be migrated: {error}") from error

    def _prepare(self, no_demo: bool) -> None:
        self._ensure_vector()
        if self._behind():
            self.stdout.write("Migrating the database …")
            call_command("migrate_schemas", verbosity=0, interactive=False)
        self._collect_static()
        if not no_demo and make_demo(accounts_file=env.home.first_sign_in):
            self.stdout.write("The workspace Demo is ready, with three employees.")

    def _collect_static(self) -> None:
        """Only where sources changed since the last time: it takes seconds."""
        stamp = Path(settings.STATIC_ROOT) / "stamp"
        fingerprint = _static_fingerprint()
        if stamp.exists() and stamp.read_text() == fingerprint:
            return
        self.stdout.write("Collecting static files …")
        call_command("collectstatic", verbosity=0, interactive=False)
        stamp.write_text(fingerprint)

    def _ensure_vector(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'")
            if cursor.fetchone() is None:
                try:
                    cursor.execute("CREATE EXTENSION vector SCHEMA public")
                except DatabaseError as error:
                    raise CommandError(
                        "The database of DATABASE_URL lacks the extension `vector` (pgvector), and this user"
                        " may not create it."
                    ) from error

    def _behind(self) -> bool:
        """Whether any schema lacks a migration. The graph is read once: a start should cost little."""
        wanted = set(MigrationLoader(None).graph.nodes)
        for schema in ["public", *self._workspace_schemas()]:
            with schema_context(schema):
                if not wanted <= set(MigrationRecorder(connection).applied_migrations()):
                    return True
        return False

    def _workspace_schemas(self) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('public.tenancy_workspace')")
            if cursor.fetchone()[0] is None:
                return []
        return list(Workspace.objects.values_list("schema_name", flat=True))


def _static_fingerprint() -> str:
    """Of all that static files come from: our own files, and the versions of the libraries'."""
    digest = hashlib.sha256()
    own = sorted(path for path in (settings.BASE_DIR / "frontend").rglob("*") if path.is_file())
    for path in [*own, settings.BASE_DIR / "requirements.txt", settings.BASE_DIR / "package-lock.json"]:
        digest.update(f"{path.relative_to(settings.BASE_DIR)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
