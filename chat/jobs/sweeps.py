"""What has to be looked after from time to time, in every workspace and in the table of jobs."""

import logging

from procrastinate.contrib.django import app

from chat import answers, listing
from konstruct.tenancy import job_keeping
from konstruct.tenancy.door import in_shared
from konstruct.tenancy.everywhere import in_every_workspace

logger = logging.getLogger(__name__)


@app.periodic(cron="* * * * *")
@app.task(name="chat.sweep", queueing_lock="chat.sweep")
async def sweep(timestamp: int) -> None:
    """Each minute: end the answers whose process has died, in every workspace."""
    await in_shared(job_keeping.release_forgotten)
    async for workspace, interrupted in in_every_workspace(answers.interrupt_stale):
        for message_id in interrupted:
            logger.warning("Answer %s of %s was left by a process that died", message_id, workspace.slug)


@app.periodic(cron="17 * * * *")
@app.task(name="chat.clean_jobs", queueing_lock="chat.clean_jobs")
async def clean_jobs(timestamp: int) -> None:
    """Each hour: delete the jobs that ended long ago."""
    await in_shared(job_keeping.clean)


@app.periodic(cron="43 * * * *")
@app.task(name="chat.purge", queueing_lock="chat.purge")
async def purge(timestamp: int) -> None:
    """Each hour: delete for good the conversations that were deleted too long ago to be restored."""
    async for workspace, purged in in_every_workspace(listing.purge_deleted):
        if purged:
            logger.info("%s deleted conversations of %s were purged", purged, workspace.slug)
