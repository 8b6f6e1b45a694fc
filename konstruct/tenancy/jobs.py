"""What happens later, inside a workspace (design decision 6).

    @job("chat.find_title", tries=3)
    async def find_title(workspace: WorkspaceRef, conversation_id: UUID) -> None: ...

    find_title.defer(workspace_id=workspace.id, conversation_id=conversation.id)

A job is a row, deferred in the transaction of what causes it. Its arguments name the workspace, which is
found anew at each run: one that is gone leaves nothing to do, one that is suspended keeps its jobs until
it is taken up again. What fails is tried again, later and later, and in the end stays as `failed` for the
platform's operators to see. A job may be run more than once (its worker may die right before noting that
it is done): whatever it does must bear that.
"""

import asyncio
import inspect
import logging
import random
import traceback
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from django.db import DatabaseError, InterfaceError, OperationalError
from django.utils import timezone
from procrastinate import BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.contrib.django import app
from procrastinate.jobs import Job as Row

from konstruct.tenancy import job_keeping
from konstruct.tenancy.door import WorkspaceRef, in_shared
from konstruct.tenancy.models import Workspace
from konstruct.tenancy.workspaces import reference

logger = logging.getLogger(__name__)

# Seconds before the second try; each further wait is three times as long, up to an hour.
FIRST_WAIT = 5.0
_GROWTH = 3.0
_LONGEST_WAIT = 3600.0

Body = Callable[..., Awaitable[None]]


class JobError(Exception):
    """A job that failed for a reason that can be told.

    sentence: for the platform's operators; it names nobody and quotes nothing.
    retryable: whether trying again may help.
    retry_after: seconds to wait at least.

    An exception of any other class is told in general words and tried again, unless it has a `retryable`
    that is false (agents.errors.AgentError, say, which has the same three attributes).
    """

    def __init__(self, sentence: str, *, retryable: bool = True, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.retryable = retryable
        self.retry_after = retry_after


class _Later(Exception):
    """Told to procrastinate: this run has ended without success. `decision`: None is the end."""

    def __init__(self, what: str, decision: RetryDecision | None) -> None:
        super().__init__(what)
        self.decision = decision


class _AsTold(BaseRetryStrategy):
    """The job has decided already; a run that was cut short by the end of its worker is due at once. Any
    other error means that not even the failure could be noted: the database was away."""

    def get_retry_decision(self, *, exception: BaseException, job: Row) -> RetryDecision | None:
        if isinstance(exception, _Later):
            return exception.decision
        if job.attempts + 1 >= job_keeping.DEATHS:
            return None
        wait = 0.0 if isinstance(exception, asyncio.CancelledError) else FIRST_WAIT
        return RetryDecision(retry_at=_in(wait))


class Job:
    """A kind of job; made by `job`."""

    def __init__(self, body: Body, *, name: str, tries: int) -> None:
        self.name = name
        self._body = body
        self._tries = tries
        workspace, *parameters = inspect.signature(body, eval_str=True).parameters.values()
        if workspace.annotation is not WorkspaceRef:
            raise TypeError(f"{name} must take its workspace first.")
        self._types = {parameter.name: parameter.annotation for parameter in parameters}

        async def run(context: JobContext, /, workspace_id: str, **arguments: Any) -> None:
            await self._run(context.job, UUID(workspace_id), arguments)

        app.task(name=name, pass_context=True, retry=_AsTold())(run)

    def defer(
        self,
        *,
        workspace_id: UUID,
        lock: str | None = None,
        queueing_lock: str | None = None,
        after: float = 0.0,
        **arguments: object,
    ) -> bool:
        """Have it run with these arguments, if and only if the caller's transaction commits.

        lock: jobs of one workspace with the same one run one at a time, in the order of their deferring.
        queueing_lock: where a job with the same one waits already, that one is enough; False then.
        after: seconds to wait at least.
        """
        if unknown := arguments.keys() ^ self._types.keys():
            raise TypeError(f"{self.name} takes {sorted(self._types)}, not so {sorted(unknown)}.")
        return job_keeping.add(
            task=self.name,
            lock=f"{workspace_id}/{lock}" if lock else None,
            queueing_lock=f"{workspace_id}/{self.name}/{queueing_lock}" if queueing_lock else None,
            args={"workspace_id": str(workspace_id), **msgspec.to_builtins(arguments)},
            after=after,
        )

    async def run(self, workspace: WorkspaceRef, **arguments: object) -> None:
        """Its body, once, here and now."""
        await self._body(workspace, **arguments)

    async def _run(self, row: Row, workspace_id: UUID, arguments: Mapping[str, object]) -> None:
        assert row.id is not None
        found = await in_shared(
            _begin, job_id=row.id, workspace_id=workspace_id, releases=row.queueing_lock is not None
        )
        if found is None:
            return
        workspace, suspended = found
        if suspended:
            raise _Later(f"{self.name} is held", RetryDecision(retry_at=job_keeping.HELD))
        try:
            values = {name: msgspec.convert(arguments[name], kind) for name, kind in self._types.items()}
            async with asyncio.timeout(job_keeping.LONGEST_RUN):
                await self._body(workspace, **values)
        except Exception as error:
            if isinstance(error, DatabaseError) and not await in_shared(_exists, workspace_id=workspace_id):
                return
            # Without the error itself: its text, in procrastinate's log, may quote what belongs to people.
            raise await self._failed(row, workspace, error) from None

    async def _failed(self, row: Row, workspace: WorkspaceRef, error: Exception) -> _Later:
        assert row.id is not None
        kind = type(error).__name__
        failures, gave_up = await in_shared(
            job_keeping.note_failure,
            job_id=row.id,
            error=kind,
            sentence=_sentence(error),
            limit=self._tries if getattr(error, "retryable", True) else 0,
        )
        logger.warning(
            "Job %s (%s, %s) failed at try %d of %d: %s at %s",
            *(self.name, row.id, workspace.slug, failures, self._tries, kind, _where(error)),
        )
        again = None if gave_up else RetryDecision(retry_at=_in(_wait(error, failures)))
        return _Later(f"{self.name} failed: {kind}", again)


def job(name: str, *, tries: int = 8) -> Callable[[Body], Job]:
    """Make the asynchronous function `(workspace, **arguments)` a kind of job.

    name: its name in the table, which outlives renamed functions. tries: how often it is run before it
    is given up; 8 take an hour and a half. Arguments are plain values or UUIDs, as annotated.
    """
    return lambda body: Job(body, name=name, tries=tries)


# --- inside ----------------------------------------------------------------------------------------


def _begin(*, job_id: int, workspace_id: UUID, releases: bool) -> tuple[WorkspaceRef, bool] | None:
    """The job's workspace, and whether it is suspended; None where it is gone.

    From now on the job's queueing lock is another's: had a second job taken it meanwhile, the database
    would refuse to put this one back.
    """
    if releases:
        job_keeping.give_up_queueing_lock(job_id=job_id)
    workspace = Workspace.objects.filter(id=workspace_id).first()
    if workspace is None:
        return None
    if workspace.is_suspended:
        job_keeping.discount_try(job_id=job_id)
    return reference(workspace), workspace.is_suspended


def _exists(*, workspace_id: UUID) -> bool:
    return Workspace.objects.filter(id=workspace_id).exists()


def _in(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


def _wait(error: Exception, failures: int) -> float:
    """Seconds until the next try, after so many failures."""
    wait = min(FIRST_WAIT * _GROWTH ** (failures - 1), _LONGEST_WAIT) * random.uniform(0.8, 1.2)
    asked: float = getattr(error, "retry_after", None) or 0.0
    return max(wait, min(asked, _LONGEST_WAIT))


def _sentence(error: Exception) -> str:
    if told := getattr(error, "sentence", ""):
        return str(told)
    if isinstance(error, OperationalError | InterfaceError):
        return "The database could not be reached."
    if isinstance(error, TimeoutError):
        return "It took too long."
    return "Something unexpected went wrong; the worker's log says where."


def _where(error: BaseException) -> str:
    """The way to an error, innermost first: files and lines, nothing of what it says."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
