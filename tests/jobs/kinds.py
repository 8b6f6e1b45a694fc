"""Jobs that do what a test wants to see. What they did is in `done`, in order."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import transaction

from agents.models import Agent
from konstruct.tenancy.door import WorkspaceRef, in_workspace
from konstruct.tenancy.isolation import current_schema
from konstruct.tenancy.jobs import JobError, job

done: list[tuple[str, Any]] = []
gates: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
failures: dict[str, list[Exception]] = defaultdict(list)


def reset() -> None:
    done.clear()
    gates.clear()
    failures.clear()


@job("tests.note")
async def note(workspace: WorkspaceRef, what: str) -> None:
    """Notes the schema it worked in."""
    done.append((what, await in_workspace(workspace, current_schema)))


@job("tests.once", tries=1)
async def once(workspace: WorkspaceRef, what: str) -> None:
    done.append((what, None))


@job("tests.typed")
async def typed(workspace: WorkspaceRef, what: str, id: UUID, count: int, many: list[UUID]) -> None:
    done.append((what, (id, count, many)))


@job("tests.fail", tries=3)
async def fail(workspace: WorkspaceRef, what: str) -> None:
    """Raises what the test has laid out, one each time, then succeeds."""
    done.append((what, None))
    if failures[what]:
        raise failures[what].pop(0)


@job("tests.wait")
async def wait(workspace: WorkspaceRef, what: str) -> None:
    """Begins, waits for its gate, ends; fails once more for each failure laid out."""
    done.append((what, "begins"))
    await gates[what].wait()
    done.append((what, "ends"))
    if failures[what]:
        raise failures[what].pop(0)


@job("tests.touch")
async def touch(workspace: WorkspaceRef, what: str) -> None:
    """Waits for its gate, then reads tenant data."""
    done.append((what, "begins"))
    await gates[what].wait()
    await in_workspace(workspace, Agent.objects.count)


@job("tests.chain", tries=1)
async def chain(workspace: WorkspaceRef, what: str) -> None:
    """Defers a note and gives up the transaction it did so in; then defers another, for good."""

    def defer_and(fate: Callable[[], None], what: str) -> None:
        with transaction.atomic():
            note.defer(workspace_id=workspace.id, what=what)
            fate()

    def regret() -> None:
        raise JobError("Regretted.")

    try:
        await in_workspace(workspace, defer_and, fate=regret, what=f"{what}: regretted")
    except JobError:
        await in_workspace(workspace, defer_and, fate=lambda: None, what=f"{what}: kept")
