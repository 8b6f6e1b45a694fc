"""A worker: procrastinate's, kept going where the database goes away, and looking after dead ones' jobs."""

import asyncio
import logging
from collections.abc import Callable

import psycopg
from django.db import DatabaseError
from procrastinate import PsycopgConnector
from procrastinate.contrib.django import app
from procrastinate.contrib.django.utils import connector_params
from procrastinate.exceptions import ConnectorException

from konstruct.tenancy import job_keeping
from konstruct.tenancy.door import in_shared

logger = logging.getLogger(__name__)

APPLICATION = "konstruct-worker"
# Seconds. New jobs are heard of at once; polling finds those that have become due, or were not heard of.
POLL = 2.0
# How often a worker looks for jobs of dead ones.
RECOVER_EVERY = 10.0
# How long jobs may go on when the worker is to end; what is not done then runs again elsewhere.
LEAVE_WITHIN = 20.0
# Between a worker that lost its database and the next: twice as long each time.
FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
# A worker that worked for so long begins with the first pause again.
_LASTING = 60.0


async def work(*, concurrency: int, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Work off jobs, `concurrency` at a time, until `stop` is set. `ready` is called each time it begins.

    procrastinate's worker ends where the database fails it: a new one takes its place.
    """
    pause = FIRST_PAUSE
    loop = asyncio.get_running_loop()
    stopping = asyncio.create_task(stop.wait(), name="stopping")
    try:
        while not stop.is_set():
            began = loop.time()
            running = asyncio.create_task(_run(concurrency, ready), name="worker")
            try:
                await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                running.cancel()
                await asyncio.wait({running})
            if not running.cancelled() and (error := running.exception()):
                if not isinstance(error, ConnectorException | psycopg.OperationalError):
                    raise error
                logger.warning("The worker has lost its database (%s)", type(error).__name__)
            if stop.is_set():
                return
            if loop.time() - began > _LASTING:
                pause = FIRST_PAUSE
            logger.warning("The worker begins anew in %.1f s", pause)
            await asyncio.wait({stopping}, timeout=pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
    finally:
        stopping.cancel()


async def _run(concurrency: int, ready: Callable[[], None]) -> None:
    """One worker, until it ends by itself or is cancelled; then its jobs have LEAVE_WITHIN to end."""
    # Django's own, under a name of its own in pg_stat_activity.
    parameters = {**connector_params(), "application_name": APPLICATION}
    # Few idle ones: after the loss of the database each dead one costs the pool a longer pause.
    connector = PsycopgConnector(kwargs=parameters, min_size=1, max_size=concurrency + 2)
    recovering = None
    with app.replace_connector(connector) as worker_app:
        try:
            await connector.open_async()
            recovering = asyncio.create_task(_recover(), name="recovering")
            ready()
            await worker_app.run_worker_async(
                concurrency=concurrency,
                install_signal_handlers=False,
                delete_jobs="successful",
                shutdown_graceful_timeout=LEAVE_WITHIN,
                fetch_job_polling_interval=POLL,
                update_heartbeat_interval=job_keeping.HEARTBEAT,
                stalled_worker_timeout=job_keeping.DEAD_AFTER,
            )
        finally:
            if recovering is not None:
                recovering.cancel()
                await asyncio.wait({recovering})
            # Also where it was cancelled before it was open: the pool's own tasks would outlive all others.
            await connector.close_async()
    if recovering.done() and not recovering.cancelled():
        recovering.result()


async def _recover() -> None:
    while True:
        try:
            for job in await in_shared(job_keeping.recover):
                fate = "runs again" if job.waits else "is given up"
                logger.warning("The worker of job %s (%s) has died; it %s", job.id, job.task, fate)
        except DatabaseError as error:
            # The worker itself will notice, if it stays away.
            logger.warning("Dead workers' jobs could not be looked for (%s)", type(error).__name__)
        await asyncio.sleep(RECOVER_EVERY)
