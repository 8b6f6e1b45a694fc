"""The one door between asynchronous code and the database (design decision 1).

django-tenants keeps the chosen workspace on the thread's connection, and nothing about that is safe
across `await`. So asynchronous code hands over a synchronous function, which runs from start to end
in one worker thread, inside one workspace, and the thread is left with none. A lint rule
(`pyproject.toml`, banned-api) forbids every other way to the ORM.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import (
    DEFAULT_DB_ALIAS,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    models,
)
from django.db.backends.base.base import BaseDatabaseWrapper
from django_tenants.utils import get_public_schema_name, tenant_context

T = TypeVar("T")

# A connection that lay idle this long (seconds) is tried before it is trusted again.
_TRUSTED_IDLE = 5.0
# When a connection was found broken last: those that other threads have not used since are tried too.
_doubted_at = float("-inf")


class WorkspaceRef(msgspec.Struct, frozen=True):
    """All that is needed to enter a workspace, without a database read.

    It has what django-tenants asks of a tenant (`schema_name`, `domain_url`), so a reference enters
    `tenant_context` as well as the row does.
    """

    id: UUID
    schema_name: str
    name: str
    slug: str
    domain_url: str | None = None
    domain_subfolder: str | None = None


class LazyResult(TypeError):
    """A function sent through the door returned a queryset: it would be read outside, in no workspace."""


class _Worker(threading.local):
    last_used = 0.0


_worker = _Worker()
_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()
# Each thread's connection, to be closed when the pool ends: a thread cannot do so as it goes.
_connections: list[BaseDatabaseWrapper] = []


def _executor() -> ThreadPoolExecutor:
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(
                settings.DATABASE_THREADS, thread_name_prefix="tenancy-door", initializer=_note_connection
            )
        return _pool


def _note_connection() -> None:
    wrapper = connections[DEFAULT_DB_ALIAS]
    wrapper.inc_thread_sharing()
    _connections.append(wrapper)


def _trust_connection() -> None:
    """Drop the thread's connection if the server has gone away since the last call."""
    if connection.connection is None:
        return
    idle = time.monotonic() - _worker.last_used
    if connection.errors_occurred or idle > _TRUSTED_IDLE or _worker.last_used <= _doubted_at:
        connection.errors_occurred = False
        if not connection.is_usable():
            connection.close()


def leave_workspace() -> None:
    """Leave this thread's connection in the shared schema, in no workspace."""
    if getattr(connection, "schema_name", None) != get_public_schema_name():
        connection.set_schema_to_public()  # type: ignore[attr-defined]


def _call(workspace: WorkspaceRef | None, function: Callable[..., T], kwargs: dict[str, Any]) -> T:
    _trust_connection()
    try:
        if workspace is None:
            leave_workspace()
            result = function(**kwargs)
        else:
            with tenant_context(workspace):
                result = function(**kwargs)
        if isinstance(result, models.QuerySet):
            raise LazyResult(f"{function.__qualname__} returned a queryset; return rows or plain values.")
        return result
    except (OperationalError, InterfaceError):
        global _doubted_at
        _doubted_at = time.monotonic()
        raise
    finally:
        _worker.last_used = time.monotonic()
        leave_workspace()


async def in_workspace(workspace: WorkspaceRef, function: Callable[..., T], /, **kwargs: Any) -> T:
    """Run the synchronous `function(**kwargs)` inside `workspace`, in a thread of the bounded pool.

    Out comes what the function returns (never a queryset: LazyResult) or raises. Cancelling the
    waiting task does not stop a function that has begun; its transaction ends on its own.
    """
    if workspace is None:
        raise TypeError("in_workspace needs a workspace; in_shared is the way to the shared schema")
    return await asyncio.get_running_loop().run_in_executor(_executor(), _call, workspace, function, kwargs)


async def in_shared(function: Callable[..., T], /, **kwargs: Any) -> T:
    """Run the synchronous `function(**kwargs)` on the shared schema only: users, workspaces, sessions."""
    return await asyncio.get_running_loop().run_in_executor(_executor(), _call, None, function, kwargs)


def close_door() -> None:
    """End the pool's threads and their connections, at the end of a process."""
    global _pool
    with _pool_lock:
        pool, _pool = _pool, None
    if pool is None:
        return
    pool.shutdown(wait=True, cancel_futures=True)
    while _connections:
        _connections.pop().close()
