"""What has to be looked after from time to time, in every workspace and in the table of jobs."""

import logging

from procrastinate.contrib.django import app

from chat import answers
from konstruct.tenancy import job_keeping
from konstruct.tenancy.door import in_shared, in_workspace
from konstruct.tenancy.workspaces import active_workspaces

logger = logging.getLogger(__name__)


@app.periodic(cron="* * * * *")
@app.task(name="chat.sweep", queueing_lock="chat.sweep")
async def sweep(timestamp: int) -> None:
    """Each minute: end the answers whose process has died, in every workspace."""
    await in_shared(job_keeping.release_forgotten)
    for workspace in await in_shared(active_workspaces):
        for message_id in await in_workspace(workspace, answers.interrupt_stale):
            logger.warning("Answer %s of %s was left by a process that died", message_id, workspace.slug)


@app.periodic(cron="17 * * * *")
@app.task(name="chat.clean_jobs", queueing_lock="chat.clean_jobs")
async def clean_jobs(timestamp: int) -> None:
    """Each hour: delete the jobs that ended long ago."""
    await in_shared(job_keeping.clean)
