"""Moves jobs on when their time has come: the end of a backoff, a deadline."""

from collections.abc import Sequence

import structlog

from hodei.application.cancel_job import tell_to_end
from hodei.application.fleet import Fleet
from hodei.application.journal import ConflictError, Journal, job_write
from hodei.domain.cluster.duties import CLOCK
from hodei.domain.jobs import decide
from hodei.domain.jobs.job import Attempt, Job
from hodei.domain.jobs.reasons import ReasonCode
from hodei.kernel.ids import JobId
from hodei.lifecycle.wake import Wake
from hodei.ports.stores import JobStore, StoreUnavailableError

log = structlog.get_logger()

_AT_ONCE = 500
"""Jobs that move on in one commit."""
_LONGEST_NAP_S = 60.0
_RETRY_AFTER_S = 1.0
"""Wait before another look where the store was away or a worker was told to end a job."""


class WakeDueJobs:
    """The one task that keeps the jobs' clocks on this server.

    Of several servers one moves jobs on; each tells its own workers of deadlines.
    """

    def __init__(self, *, journal: Journal, jobs: JobStore, fleet: Fleet) -> None:
        self._standing = fleet.standing
        self._standing.on_gain(lambda _: self.notify())
        self._journal = journal
        self._jobs = jobs
        self._fleet = fleet
        self._wake = Wake()
        self._told: set[tuple[JobId, int, int]] = set()
        """Attempts, and the streams on which their workers were told of a deadline."""

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
        """Moves on what is due; returns in how many seconds there may be more."""
        due = await self._jobs.due_jobs(self._journal.now(), limit=_AT_ONCE)
        self._tell_holders([(job, job.current) for job in due if job.current is not None])
        waiting = [job for job in due if job.current is None]
        if self._standing.has(CLOCK) and await self._move_on(waiting):
            # There may be more than one round's worth.
            return 0.0
        upcoming = await self._jobs.next_due()
        if upcoming is None:
            return _LONGEST_NAP_S
        until_s = (upcoming - self._journal.now()).total_seconds()
        # A job past its deadline whose worker was told stays due until it has ended.
        return max(_RETRY_AFTER_S if due else 0.0, min(until_s, _LONGEST_NAP_S))

    def _tell_holders(self, held: Sequence[tuple[Job, Attempt]]) -> None:
        """Tells workers of deadlines, once on each of their streams: it may be lost with one."""
        told: set[tuple[JobId, int, int]] = set()
        for job, attempt in held:
            member = self._fleet.get(attempt.worker_id)
            if member is None or member.link is None:
                continue
            key = (job.id, attempt.number, member.worker.session_epoch)
            told.add(key)
            if key not in self._told:
                tell_to_end(self._fleet, job, ReasonCode.DEADLINE_EXCEEDED)
        self._told = told

    async def _move_on(self, jobs: Sequence[Job]) -> int:
        """Queues jobs or ends them, in one commit; returns how many."""
        at = self._journal.now()
        decided = [(job, decide.fall_due(job, now=at)) for job in jobs]
        writes = [job_write(job, events, at) for job, events in decided if events]
        while writes:
            correlation = writes[0].after.id if len(writes) == 1 else ""
            try:
                await self._journal.commit(at=at, jobs=writes, correlation_id=correlation)
            except ConflictError as conflict:
                # Cancelled since it was read; the next round sees what is left of it.
                moved_on = set(conflict.streams)
                writes = [each for each in writes if f"job:{each.after.id}" not in moved_on]
            else:
                break
        return len(writes)
