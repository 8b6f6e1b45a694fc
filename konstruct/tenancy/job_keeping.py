"""The table of jobs, looked after: dead workers' jobs, suspended and deleted workspaces, what failed.

procrastinate takes jobs, runs them and notes how they ended. What it does not do is here, in plain SQL on
its table: each function is one statement, or one transaction, and none asks which worker runs where.
Synchronous, keyword-only. `procrastinate_jobs` is in the shared schema, so these work from a workspace
as well as from none.
"""

import json
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from msgspec import Struct

# Seconds. A worker tells that it lives each HEARTBEAT; one that has not for DEAD_AFTER has died.
HEARTBEAT = 5.0
DEAD_AFTER = 30.0
# No job may run longer (konstruct.tenancy.jobs); one that seems to for twice as long has lost its end:
# its worker lives, but could not note it.
LONGEST_RUN = 300.0
# A job that was under way each time its worker died is likely to be the reason.
DEATHS = 15
# Days that what failed can be looked at, and taken up again.
FAILURES_KEPT = 30
# When the jobs of a suspended workspace are due. Any date no job is given otherwise; Python has no infinity.
HELD = datetime(2999, 1, 1, tzinfo=UTC)

# Any two different numbers that no other advisory lock of this database has.
_RECOVERING = (0x6B6F6E73, 0x6A6F6273)
# What procrastinate's workers listen to.
_TOLD = ("procrastinate_any_queue_v1", '{"type": "job_inserted", "job_id": 0}')


_ADD = """
INSERT INTO procrastinate_jobs (queue_name, task_name, lock, queueing_lock, args, scheduled_at)
VALUES ('default', %s, %s, %s, %s::jsonb, CASE WHEN %s > 0 THEN now() + make_interval(secs => %s) END)
ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING
"""


def add(
    *, task: str, lock: str | None, queueing_lock: str | None, args: dict[str, Any], after: float = 0.0
) -> bool:
    """Add a job, in the caller's transaction. False: one of that queueing lock waits already.

    Not by procrastinate's own `defer`: in a worker that goes through another connection, it needs a
    savepoint to be refused, and turns a database that is away into an error nobody else knows.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [task, lock, queueing_lock, json.dumps(args), after, after])
        return cursor.rowcount == 1


class Recovered(Struct, frozen=True):
    """A job whose worker had died. `waits`: it will run again; else it was the end of too many workers."""

    id: int
    task: str
    waits: bool


_LOST = """
WITH lost AS (
    SELECT id FROM procrastinate_jobs AS job
    WHERE status = 'doing' AND (
        worker_id IS NULL
        OR worker_id IN (SELECT id FROM procrastinate_workers
                         WHERE last_heartbeat < now() - make_interval(secs => %(dead_after)s))
        OR (SELECT max(at) FROM procrastinate_events WHERE job_id = job.id AND type = 'started')
           < now() - make_interval(secs => %(longest)s))
    FOR UPDATE SKIP LOCKED
)
UPDATE procrastinate_jobs AS job
SET status = (CASE WHEN attempts + 1 < %(deaths)s THEN 'todo' ELSE 'failed' END)::procrastinate_job_status,
    attempts = attempts + 1, scheduled_at = now(), queueing_lock = NULL, worker_id = NULL,
    abort_requested = false
FROM lost WHERE job.id = lost.id
RETURNING job.id, job.task_name, job.status = 'todo'
"""
# From the job's row: it may have been deleted with its workspace meanwhile.
_NOTE_FAILURE = """
INSERT INTO tenancy_jobfailure AS known (job_id, error, sentence, failures, failed_at, gave_up)
SELECT id, left(%(error)s, 100), left(%(sentence)s, 300), 1, now(), 1 >= %(limit)s
FROM procrastinate_jobs WHERE id = %(job)s FOR UPDATE
ON CONFLICT (job_id) DO UPDATE SET
    error = excluded.error, sentence = excluded.sentence, failed_at = excluded.failed_at,
    failures = known.failures + 1, gave_up = known.failures + 1 >= %(limit)s
RETURNING failures, gave_up
"""
_FORGET_WORKERS = """
DELETE FROM procrastinate_workers WHERE last_heartbeat < now() - make_interval(secs => %s)
"""


def recover() -> list[Recovered]:
    """Let the jobs of dead workers run again, each once, whoever else looks for them at the same time."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", _RECOVERING)
        if cursor.fetchone() != (True,):
            return []
        limits = {"dead_after": DEAD_AFTER, "longest": 2 * LONGEST_RUN, "deaths": DEATHS}
        cursor.execute(_LOST, limits)
        recovered = [Recovered(*row) for row in cursor.fetchall()]
        for job in recovered:
            if not job.waits:
                sentence = f"The worker died while this job ran, and had been given it {DEATHS:.0f} times."
                note_failure(job_id=job.id, error="WorkerDied", sentence=sentence, limit=0)
        cursor.execute(_FORGET_WORKERS, [DEAD_AFTER])
        if recovered:
            _wake(cursor)
    return recovered


# --- workspaces ------------------------------------------------------------------------------------


def release(*, workspace_id: UUID) -> int:
    """The workspace's held jobs are due now. Returns how many."""
    return _update(
        "UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo' AND scheduled_at = %s"
        " AND args->>'workspace_id' = %s",
        [HELD, str(workspace_id)],
    )


def release_forgotten() -> int:
    """As `release`, for jobs that were put back in the very moment their workspace was taken up again."""
    return _update(
        "UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo' AND scheduled_at = %s"
        " AND args->>'workspace_id' IN (SELECT id::text FROM tenancy_workspace WHERE suspended_at IS NULL)",
        [HELD],
    )


def delete_of_workspace(*, workspace_id: UUID) -> None:
    """All jobs of a workspace that goes. One that runs at this moment finds nothing to do, and ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM procrastinate_jobs WHERE args->>'workspace_id' = %s AND status <> 'doing'",
            [str(workspace_id)],
        )


def cancel(*, workspace_id: UUID, argument: str, values: Collection[UUID]) -> int:
    """Delete the workspace's waiting and failed jobs in which `argument` is one of `values`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM procrastinate_jobs WHERE status IN ('todo', 'failed')"
            " AND args->>'workspace_id' = %s AND args->>%s = ANY(%s)",
            [str(workspace_id), argument, [str(value) for value in values]],
        )
        return cursor.rowcount


# --- a job that runs ------------------------------------------------------------------------------


def give_up_queueing_lock(*, job_id: int) -> None:
    """The job waits no longer."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET queueing_lock = NULL WHERE id = %s", [job_id])


def discount_try(*, job_id: int) -> None:
    """The job will be put back without having been tried."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_jobs SET attempts = attempts - 1 WHERE id = %s AND status = 'doing'",
            [job_id],
        )


# --- what failed -----------------------------------------------------------------------------------


def note_failure(*, job_id: int, error: str, sentence: str, limit: int) -> tuple[int, bool]:
    """Note why the job failed just now. Returns how often it has failed, and whether that was the last
    time: `limit` is reached, or the job deleted meanwhile.

    The note goes with the job: nothing is left of one that succeeds in the end.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_FAILURE, {"job": job_id, "error": error, "sentence": sentence, "limit": limit})
        row: tuple[int, bool] | None = cursor.fetchone()
    return row or (1, True)


def try_again(*, job_ids: Collection[int]) -> int:
    """Let failed jobs run again, with all their tries. Returns how many there were."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_jobs SET status = 'todo', attempts = 0, scheduled_at = now(),"
            " worker_id = NULL, queueing_lock = NULL WHERE id = ANY(%s) AND status = 'failed' RETURNING id",
            [list(job_ids)],
        )
        ids = [id for (id,) in cursor.fetchall()]
        cursor.execute(
            "UPDATE tenancy_jobfailure SET failures = 0, gave_up = false WHERE job_id = ANY(%s)", [ids]
        )
        if ids:
            _wake(cursor)
    return len(ids)


def clean() -> int:
    """Delete what ended: failed jobs of workspaces after FAILURES_KEPT days, all others after one."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM procrastinate_jobs AS job
            WHERE status IN ('succeeded', 'failed', 'cancelled', 'aborted')
              AND COALESCE((SELECT max(at) FROM procrastinate_events WHERE job_id = job.id), '-infinity')
                  < now() - make_interval(days => CASE
                        WHEN status = 'failed' AND args->>'workspace_id' IS NOT NULL THEN %s ELSE 1 END)
            """,
            [FAILURES_KEPT],
        )
        return cursor.rowcount


# --- inside ----------------------------------------------------------------------------------------


def _update(statement: str, parameters: list[Any]) -> int:
    """Run an UPDATE that makes jobs due, and wake the workers if it did."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        count: int = cursor.rowcount
        if count:
            _wake(cursor)
    return count


def _wake(cursor: Any) -> None:
    """procrastinate tells its workers of new jobs only; what is due again they would find by polling."""
    cursor.execute("SELECT pg_notify(%s, %s)", _TOLD)
