"""The one door: many asynchronous callers, two workspaces, few threads, no tenant left behind."""

import asyncio
import random
import threading
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django_tenants.utils import tenant_context
from pytest_django.plugin import DjangoDbBlocker

from agents.models import Agent
from konstruct.tenancy import door
from konstruct.tenancy.door import LazyResult, WorkspaceRef, close_door, in_shared, in_workspace
from konstruct.tenancy.isolation import NoWorkspace, WrongWorkspace, current_schema


@pytest.fixture
def workspaces(
    _workspaces: tuple[WorkspaceRef, WorkspaceRef], django_db_blocker: DjangoDbBlocker
) -> Iterator[tuple[WorkspaceRef, WorkspaceRef]]:
    """Both workspaces, outside of a test transaction: the door's threads have connections of their own."""
    with django_db_blocker.unblock():
        yield _workspaces
        for workspace in _workspaces:
            with tenant_context(workspace):
                Agent.objects.all().delete()
        connection.close()
        close_door()


def hire(*, name: str) -> str:
    Agent.objects.create(name=name)
    return current_schema()


def names() -> list[str]:
    return sorted(Agent.objects.values_list("name", flat=True))


async def test_hundreds_of_interleaved_operations_stay_in_their_workspaces(
    workspaces: tuple[WorkspaceRef, WorkspaceRef],
) -> None:
    wanted: dict[WorkspaceRef, list[str]] = {workspace: [] for workspace in workspaces}
    order = [(random.choice(workspaces), f"employee {number}") for number in range(400)]

    async def one(workspace: WorkspaceRef, name: str) -> None:
        await asyncio.sleep(random.random() / 50)
        assert await in_workspace(workspace, hire, name=name) == workspace.schema_name
        assert name in await in_workspace(workspace, names)

    for workspace, name in order:
        wanted[workspace].append(name)
    await asyncio.gather(*(one(*each) for each in order))

    for workspace in workspaces:
        assert await in_workspace(workspace, names) == sorted(wanted[workspace])


async def test_no_workspace_is_left_behind_on_a_thread(workspaces: tuple[WorkspaceRef, WorkspaceRef]) -> None:
    await asyncio.gather(*(in_workspace(random.choice(workspaces), names) for _ in range(50)))
    for _ in range(50):
        with pytest.raises(NoWorkspace):
            await in_shared(names)


async def test_a_function_that_fails_leaves_no_workspace_behind(
    workspaces: tuple[WorkspaceRef, WorkspaceRef],
) -> None:
    def fail() -> None:
        raise LookupError("on purpose")

    for _ in range(20):
        with pytest.raises(LookupError):
            await in_workspace(workspaces[0], fail)
        with pytest.raises(NoWorkspace):
            await in_shared(current_schema)


async def test_the_pool_of_threads_is_bounded(workspaces: tuple[WorkspaceRef, WorkspaceRef]) -> None:
    seen: set[int] = set()

    def note() -> None:
        seen.add(threading.get_ident())
        names()

    await asyncio.gather(*(in_workspace(workspaces[0], note) for _ in range(200)))
    assert len(seen) <= settings.DATABASE_THREADS


async def test_a_queryset_does_not_leave_the_door(workspaces: tuple[WorkspaceRef, WorkspaceRef]) -> None:
    with pytest.raises(LazyResult):
        await in_workspace(workspaces[0], lambda: Agent.objects.all())


async def test_without_a_workspace_it_raises(workspaces: tuple[WorkspaceRef, WorkspaceRef]) -> None:
    with pytest.raises(TypeError):
        await in_workspace(None, names)  # type: ignore[arg-type]


async def test_a_row_is_not_written_in_another_workspace(
    workspaces: tuple[WorkspaceRef, WorkspaceRef],
) -> None:
    acme, globex = workspaces
    agent = await in_workspace(acme, lambda: Agent.objects.create(name="Ada"))

    for write in (agent.save, agent.delete, agent.refresh_from_db):
        with pytest.raises(WrongWorkspace):
            await in_workspace(globex, lambda write=write: write() and None)  # type: ignore[misc]
    assert await in_workspace(globex, names) == []
    assert await in_workspace(acme, names) == ["Ada"]


def cut_all() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_one_connection_found_broken_makes_all_others_doubted(
    workspaces: tuple[WorkspaceRef, WorkspaceRef],
) -> None:
    """After a restart of the database one call fails, not one on each thread."""
    barrier = threading.Barrier(settings.DATABASE_THREADS)

    def on_all_threads() -> None:
        barrier.wait(5)
        names()

    await asyncio.gather(*(in_workspace(workspaces[0], on_all_threads) for _ in range(barrier.parties)))
    await in_shared(cut_all)
    outcomes = []
    for _ in range(4 * settings.DATABASE_THREADS):
        outcomes.append(await asyncio.gather(in_workspace(workspaces[0], names), return_exceptions=True))
    assert sum(isinstance(one, OperationalError) for (one,) in outcomes) <= 1
    on_each = await asyncio.gather(
        *(in_workspace(workspaces[0], on_all_threads) for _ in range(barrier.parties)), return_exceptions=True
    )
    assert not [one for one in on_each if isinstance(one, Exception)]


async def test_a_connection_that_was_cut_is_replaced(
    workspaces: tuple[WorkspaceRef, WorkspaceRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.gather(*(in_workspace(workspaces[0], names) for _ in range(30)))
    await in_shared(cut_all)
    monkeypatch.setattr(door, "_TRUSTED_IDLE", 0.0)
    outcomes = await asyncio.gather(
        *(in_workspace(workspaces[0], names) for _ in range(30)), return_exceptions=True
    )
    assert not [o for o in outcomes if isinstance(o, OperationalError)]


async def test_a_suspended_thread_does_not_see_another_callers_transaction(
    workspaces: tuple[WorkspaceRef, WorkspaceRef],
) -> None:
    acme, globex = workspaces
    await in_workspace(acme, hire, name="only here")
    assert await in_workspace(globex, names) == []
