"""A worker in this process, on the test database, and two workspaces outside of any test transaction: jobs
run on connections of their own, so that what they see has to be committed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.db import connection
from django_tenants.utils import tenant_context
from pytest_django.plugin import DjangoDbBlocker

from agents.models import Agent
from chat.models import Conversation, ModelCall
from konstruct.tenancy import jobs, worker
from konstruct.tenancy.door import WorkspaceRef, close_door, in_shared, in_workspace
from konstruct.tenancy.models import Membership, User, Workspace
from tests.jobs import kinds

Places = tuple[WorkspaceRef, WorkspaceRef]
PATIENCE = 60.0


@pytest.fixture
def places(_workspaces: Places, django_db_blocker: DjangoDbBlocker) -> Iterator[Places]:
    with django_db_blocker.unblock():
        kinds.reset()
        yield _workspaces
        _tidy(_workspaces)
        connection.close()
        close_door()


def _tidy(workspaces: Places) -> None:
    Workspace.objects.update(suspended_at=None)
    for workspace in workspaces:
        with tenant_context(workspace):
            Conversation.objects.all().delete()
            ModelCall.objects.all().delete()
            Agent.objects.all().delete()
    Membership.objects.all().delete()
    User.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_periodic_defers; DELETE FROM procrastinate_jobs")
        cursor.execute("DELETE FROM procrastinate_workers")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(worker, "POLL", 0.05)
    monkeypatch.setattr(worker, "RECOVER_EVERY", 0.1)
    monkeypatch.setattr(worker, "FIRST_PAUSE", 0.01)


@asynccontextmanager
async def working(concurrency: int = 4) -> AsyncIterator[None]:
    """A worker that works while inside."""
    stop, ready = asyncio.Event(), asyncio.Event()
    work = asyncio.create_task(worker.work(concurrency=concurrency, stop=stop, ready=ready.set))
    try:
        await asyncio.wait({work, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        yield
    finally:
        stop.set()
        await work


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    """What the condition gives, once it is true."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await condition()):  # noqa: ASYNC110 (the database tells nobody)
            await asyncio.sleep(0.02)
    return found


async def idle() -> None:
    """Until no job of a workspace runs or is due."""

    async def nothing_due() -> bool:
        due = await rows("status = 'doing' OR status = 'todo' AND coalesce(scheduled_at, now()) < '2900-1-1'")
        return not due

    await until(nothing_due)


async def rows(where: str = "true") -> list[dict[str, Any]]:
    """The jobs of workspaces, oldest first."""
    return await in_shared(read_rows, where=where)


def read_rows(*, where: str = "true") -> list[dict[str, Any]]:
    columns = ["id", "task_name", "status", "attempts", "lock", "queueing_lock", "scheduled_at", "args"]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(columns)} FROM procrastinate_jobs"
            f" WHERE args->>'workspace_id' IS NOT NULL AND ({where}) ORDER BY id"
        )
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


async def defer(workspace: WorkspaceRef, kind: jobs.Job, **arguments: Any) -> bool:
    return await in_workspace(workspace, kind.defer, workspace_id=workspace.id, **arguments)
