"""Gives a job that has ended a fresh round of attempts."""

from hodei.application.journal import Journal
from hodei.domain.jobs import decide
from hodei.domain.jobs.job import Job
from hodei.kernel.ids import JobId


class RetryJob:
    """The use case behind `RetryJob`."""

    def __init__(self, *, journal: Journal) -> None:
        self._journal = journal

    async def retry(self, job_id: JobId, *, by: str) -> Job:
        """Queues the job again under its id; attempts are numbered on.

        Raises:
            NotFoundError: There is no such job.
            WrongStateError: It has not ended, or has succeeded.
        """
        return await self._journal.change_job(job_id, lambda job: decide.retry(job, by=by))
