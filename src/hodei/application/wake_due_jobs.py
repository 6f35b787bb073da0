"""Moves jobs on when their time has come: the end of a backoff, a deadline."""

import structlog

from hodei.application.cancel_job import tell_to_end
from hodei.application.fleet import Fleet
from hodei.application.journal import Journal
from hodei.domain.jobs import decide
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode
from hodei.kernel.errors import NotFoundError
from hodei.kernel.ids import JobId
from hodei.lifecycle.wake import Wake
from hodei.ports.stores import JobStore, StoreUnavailableError

log = structlog.get_logger()

_AT_ONCE = 500
_LONGEST_NAP_S = 60.0
_RETRY_AFTER_S = 1.0


class WakeDueJobs:
    """The one task that keeps the jobs' clocks on this server."""

    def __init__(self, *, journal: Journal, jobs: JobStore, fleet: Fleet) -> None:
        self._journal = journal
        self._jobs = jobs
        self._fleet = fleet
        self._wake = Wake()
        self._told: set[tuple[JobId, int]] = set()
        """Attempts whose worker was told of the deadline: they end when it says so."""

    def notify(self) -> None:
        """Says that a job may have got a time to wait for."""
        self._wake.notify()

    async def run(self) -> None:
        """Keeps the clocks until it is cancelled."""
        while True:
            nap_s = _RETRY_AFTER_S
            try:
                nap_s = await self._round()
            except StoreUnavailableError as error:
                log.warning("due_jobs_delayed", message=str(error))
            await self._wake.wait_up_to(nap_s)

    async def _round(self) -> float:
        due = await self._jobs.due_jobs(self._journal.now(), limit=_AT_ONCE)
        moved = 0
        for job in due:
            moved += await self._fall_due(job)
        if moved:
            # There may be more than one round's worth.
            return 0.0
        self._told &= {(job.id, job.attempts[-1].number) for job in due if job.attempts}
        upcoming = await self._jobs.next_due()
        if upcoming is None:
            return _LONGEST_NAP_S
        until_s = (upcoming - self._journal.now()).total_seconds()
        # A job past its deadline whose worker was told stays due until it has ended.
        return max(_RETRY_AFTER_S if due else 0.0, min(until_s, _LONGEST_NAP_S))

    async def _fall_due(self, job: Job) -> bool:
        if job.current is not None:
            key = (job.id, job.current.number)
            if key not in self._told:
                self._told.add(key)
                tell_to_end(self._fleet, job, ReasonCode.DEADLINE_EXCEEDED)
            return False
        try:
            after = await self._journal.change_job(
                job.id, lambda job: decide.fall_due(job, now=self._journal.now())
            )
        except NotFoundError:
            return False
        return after.version != job.version
