"""What every tenant-bound model stands on, so that a row cannot be read or written anywhere but at home.

django-tenants directs queries by the connection's search path. That leaves two ways to go wrong:
a query with no workspace chosen, and a row read in one workspace and saved while another is chosen.
Both raise here, before any SQL is sent.
"""

from typing import Any, Self, TypeVar

from django.db import connection, models
from django_tenants.utils import get_public_schema_name

M = TypeVar("M", bound=models.Model)


class NoWorkspace(RuntimeError):
    """Tenant data was touched without a workspace. There is no fallback to `public`."""


class WrongWorkspace(RuntimeError):
    """A row of one workspace was about to be written in another."""


def current_schema() -> str:
    """The schema of the workspace this thread works in. Raises NoWorkspace where there is none."""
    schema = getattr(connection, "schema_name", None)
    if not schema or schema == get_public_schema_name():
        raise NoWorkspace("No workspace is chosen: tenant data is reached through konstruct.tenancy only.")
    return str(schema)


class TenantManager(models.Manager[M]):
    """Builds querysets only where a workspace is chosen."""

    use_in_migrations = False

    def get_queryset(self) -> models.QuerySet[M]:
        current_schema()
        return super().get_queryset()


class TenantModel(models.Model):
    """Base of all models of `chat`, `agents` and `memory`: each row knows which workspace it came from."""

    objects = TenantManager()

    class Meta:
        abstract = True
        base_manager_name = "objects"

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Self:
        row = super().from_db(*args, **kwargs)
        row.__dict__["_home_schema"] = current_schema()
        return row

    def _check_home(self) -> None:
        schema = current_schema()
        home = self.__dict__.setdefault("_home_schema", schema)
        if home != schema:
            raise WrongWorkspace(f"A {self._meta.label} of {home} cannot be written in {schema}.")

    def save(self, *args: Any, **kwargs: Any) -> None:
        self._check_home()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        self._check_home()
        return super().delete(*args, **kwargs)

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        self._check_home()
        super().refresh_from_db(*args, **kwargs)
