"""Ends a job because somebody asked for it."""

from hodei.application.fleet import Fleet
from hodei.application.journal import Journal
from hodei.application.links import Cancel
from hodei.domain.jobs import decide
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode
from hodei.kernel.ids import JobId


class CancelJob:
    """The use case behind `CancelJob`."""

    def __init__(self, *, journal: Journal, fleet: Fleet) -> None:
        self._journal = journal
        self._fleet = fleet

    async def cancel(self, job_id: JobId, *, by: str, message: str) -> Job:
        """Records the request. Idempotent.

        Whichever server has the worker's stream hears of it, and tells the worker. Returns the job: CANCELLED where it waited, else still held by its worker, which ends the
        whole tree of its processes and says so.

        Raises:
            NotFoundError: There is no such job.
            WrongStateError: It has ended otherwise.
        """
        return await self._journal.change_job(
            job_id, lambda job: decide.cancel(job, by=by, message=message)
        )

    def tell(self, job_id: JobId) -> None:
        """Tells the worker that holds it, where this server has its stream."""
        if (job := self._journal.held.get(job_id)) is not None:
            tell_to_end(self._fleet, job, ReasonCode.CANCELLED)


def tell_to_end(fleet: Fleet, job: Job, code: ReasonCode) -> None:
    """Tells the job's worker to end it. Where its stream is down, it is told when it is back."""
    if job.current is None:
        return
    member = fleet.get(job.current.worker_id)
    if member is not None and member.link is not None:
        order = Cancel(job_id=job.id, attempt=job.current.number, reason_code=code)
        member.link.send(order)
