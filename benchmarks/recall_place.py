"""A workspace of one's own for the benchmarks of memory: Django in this process, on an embedded PostgreSQL in
a temporary folder (no fsync, so that the disk of the day is not measured), gone at the end.

Import nothing that reads Django's settings before `workspace()` is entered.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from konstruct.embedded.paths import Home
from konstruct.embedded.postgres import EmbeddedPostgres


@contextmanager
def workspace() -> Iterator[None]:
    """Inside, this thread works in an empty workspace."""
    folder = Path(tempfile.mkdtemp(prefix="konstruct-recall-"))
    for name in [n for n in os.environ if n.startswith("KONSTRUCT_") or n in ("DATABASE_URL", "REDIS_URL")]:
        del os.environ[name]
    os.environ.update(KONSTRUCT_HOME=str(folder), DJANGO_SETTINGS_MODULE="konstruct.settings")
    try:
        with EmbeddedPostgres(Home(folder), durable=False):
            import django

            django.setup()
            from django.core.management import call_command
            from django.db import connection
            from django_tenants.utils import tenant_context

            from konstruct.tenancy.workspaces import create_workspace, reference

            with connection.cursor() as cursor:
                cursor.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
            call_command("migrate_schemas", verbosity=0, interactive=False)
            with tenant_context(reference(create_workspace(name="Recall", slug="recall"))):
                yield
            connection.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
