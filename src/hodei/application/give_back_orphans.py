"""Queues jobs again whose worker has ended without giving them back.

An assignment that commits in the very moment of its worker's end is in no batch that gives jobs
back. Whoever commits an assignment or an end looks for such jobs afterwards, and so does a server
that starts: then one of them sees it, whichever came last.
"""

import structlog

from hodei.application.fleet import Fleet
from hodei.application.journal import Journal
from hodei.domain.jobs import decide
from hodei.domain.jobs.events import JobEvent
from hodei.domain.jobs.job import Job
from hodei.kernel.clock import IdSource

log = structlog.get_logger()


class GiveBackOrphans:
    """The use case of jobs that nobody holds any more."""

    def __init__(self, *, journal: Journal, fleet: Fleet, ids: IdSource) -> None:
        self._journal = journal
        self._fleet = fleet
        self._ids = ids

    async def give_back(self) -> None:
        """Queues them again, or ends them where their retries are used up.

        Raises:
            StoreUnavailableError: Some may be left; call it again.
        """
        for job in list(self._journal.held.values()):
            if self._is_orphan(job):
                log.warning("orphan_job_detected", job_id=job.id)
                await self._journal.change_job(job.id, self._lose)

    def _is_orphan(self, job: Job) -> bool:
        return job.current is not None and self._fleet.get(job.current.worker_id) is None

    def _lose(self, job: Job) -> list[JobEvent]:
        if job.current is None or not self._is_orphan(job):
            return []
        return decide.lose(
            job,
            attempt=job.current.number,
            message=f"worker {job.current.worker_id} had ended when it was to get the job",
            now=self._journal.now(),
            draw=self._ids.fraction(),
        )
