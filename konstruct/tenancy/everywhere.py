"""One function in every workspace, for what looks after all of them."""

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from django.db import DatabaseError

from konstruct.tenancy.door import WorkspaceRef, in_shared, in_workspace
from konstruct.tenancy.workspaces import active_workspaces, find_active_workspace

T = TypeVar("T")


async def in_every_workspace(
    function: Callable[..., T], /, **kwargs: Any
) -> AsyncIterator[tuple[WorkspaceRef, T]]:
    """Run the synchronous `function(**kwargs)` in each workspace that is not suspended, one after another.

    A workspace that is deleted meanwhile is passed over. Where the function fails, the others have their
    turn first; then ExceptionGroup is raised.
    """
    errors: list[Exception] = []
    for workspace in await in_shared(active_workspaces):
        try:
            result = await in_workspace(workspace, function, **kwargs)
        except DatabaseError as error:
            if await in_shared(find_active_workspace, workspace_id=workspace.id) is not None:
                errors.append(error)
            continue
        yield workspace, result
    if errors:
        raise ExceptionGroup(f"{function.__qualname__} failed in {len(errors)} workspaces", errors)
