"""Ends queued jobs that no worker can be made for."""

from collections.abc import Callable
from datetime import datetime

import structlog

from hodei.application.journal import ConflictError, Journal, job_write
from hodei.domain.jobs import decide
from hodei.domain.placement.demand import Demand
from hodei.domain.placement.kinds import WorkerKind, kind_of
from hodei.ports.stores import JobStore, JobWrite

log = structlog.get_logger()

_AT_ONCE = 256
"""Jobs that end in one commit."""


class RefuseJobs:
    """The use case of a kind of worker that can never be made, such as of an image that is not."""

    def __init__(self, *, journal: Journal, jobs: JobStore) -> None:
        self._journal = journal
        self._jobs = jobs

    async def refuse(
        self, kind: WorkerKind, message: str, *, has_other_way: Callable[[Demand], bool]
    ) -> None:
        """Ends every queued job that asks for the kind and that nobody else can run.

        One that is queued later is tried afresh: what was wrong may be mended by then.

        Raises:
            StoreUnavailableError: Some of them may still be queued; the next refusal ends them.
        """
        demand_ids = [
            each.demand_id
            for each in await self._jobs.queued_demands()
            if kind_of(each.demand) == kind and not has_other_way(each.demand)
        ]
        while demand_ids:
            at = self._journal.now()
            jobs = await self._jobs.claimable(demand_ids, limit=_AT_ONCE)
            decided = [(job, decide.give_up(job, message=message)) for job in jobs]
            writes = [job_write(job, events, at) for job, events in decided if events]
            if not writes:
                return
            await self._commit(writes, at)
            log.info("jobs_refused", kind=str(kind), jobs=len(writes), message=message)

    async def _commit(self, writes: list[JobWrite], at: datetime) -> None:
        while writes:
            correlation = writes[0].after.id if len(writes) == 1 else ""
            try:
                await self._journal.commit(at=at, jobs=writes, correlation_id=correlation)
            except ConflictError as conflict:
                # Cancelled, or given to a worker after all, since it was read.
                moved_on = set(conflict.streams)
                writes = [each for each in writes if f"job:{each.after.id}" not in moved_on]
            else:
                return
