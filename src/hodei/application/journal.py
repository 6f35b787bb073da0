"""The way to the store: commits what was decided, then tells the bus."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from hodei.application.bus import EventBus
from hodei.application.unsure_commits import UnsureCommits
from hodei.domain.jobs import evolve as job_evolution
from hodei.domain.jobs.events import JobEvent
from hodei.domain.jobs.job import Job
from hodei.domain.workers import evolve as worker_evolution
from hodei.domain.workers.events import WorkerEvent
from hodei.domain.workers.worker import Worker
from hodei.kernel.clock import Clock
from hodei.kernel.errors import BrokenError, NotFoundError
from hodei.kernel.ids import JobId, Position, WorkerId
from hodei.lifecycle.finish import finish_despite_cancel
from hodei.lifecycle.service import TaskSet
from hodei.ports.stores import (
    Batch,
    Committed,
    JobWrite,
    Store,
    StoredEvent,
    StoreUnavailableError,
    WorkerWrite,
)

log = structlog.get_logger()

_PAGE = 500
_MOST_LOADED = 5000
"""Jobs in one read; a store takes twice as many."""
_RETRY_AFTER_S = 0.5
"""Wait before a store that was not available is read again."""
_MOST_CONFLICTS = 50
"""A stream that is never at rest for so many tries is not contention but a defect."""


def job_write(before: Job | None, events: Sequence[JobEvent], at: datetime) -> JobWrite:
    """The write of events of one moment."""
    after = job_evolution.evolve_all(before, events, at)
    return JobWrite(events=tuple(events), after=after)


def worker_write(before: Worker | None, events: Sequence[WorkerEvent], at: datetime) -> WorkerWrite:
    """The write of events of one moment."""
    after = worker_evolution.evolve_all(before, events, at)
    return WorkerWrite(events=tuple(events), after=after)


class ConflictError(Exception):
    """Streams moved on between the decision and its commit: decide again."""

    def __init__(self, streams: Sequence[str]) -> None:
        self.streams = tuple(streams)
        super().__init__(f"conflict on {', '.join(streams)}")


class Journal:
    """Commits decisions and publishes them; keeps the jobs that workers hold at hand.

    The cache of held jobs is never ahead of the store: it changes only after a commit.
    """

    def __init__(self, store: Store, bus: EventBus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._held: dict[JobId, Job] = {}
        self._unsure = UnsureCommits()
        self._catching_up = asyncio.Lock()
        self._tasks = TaskSet()

    async def start(self) -> None:
        """Loads the jobs that workers hold."""
        self._unsure.newest = await self._store.last_position()
        # In place: others hold on to this very mapping from the beginning.
        self._held.update({job.id: job for job in await self._store.held_jobs()})

    @property
    def held(self) -> dict[JobId, Job]:
        """The jobs in ASSIGNED or RUNNING, as they are stored. Read only."""
        return self._held

    async def job(self, job_id: JobId) -> Job:
        """The job as it is stored.

        Raises:
            NotFoundError: There is none.
        """
        if (held := self._held.get(job_id)) is not None:
            return held
        found = await self._store.load_jobs([job_id])
        if job_id not in found:
            raise NotFoundError("job", job_id, "see which there are with `hodei jobs list`")
        return found[job_id]

    @property
    def position(self) -> Position:
        """Of the newest event that this server has committed."""
        return self._unsure.newest

    def now(self) -> datetime:
        """The time to decide and commit with; one decision has one time."""
        return self._clock.now()

    def held_by(self, worker_id: WorkerId) -> dict[JobId, Job]:
        """The jobs that a worker holds."""
        return {
            job.id: job
            for job in self._held.values()
            if job.current is not None and job.current.worker_id == worker_id
        }

    async def commit(
        self,
        *,
        at: datetime,
        jobs: Sequence[JobWrite] = (),
        workers: Sequence[WorkerWrite] = (),
        correlation_id: str = "",
    ) -> tuple[StoredEvent, ...]:
        """Commits the writes in one transaction.

        Args:
            at: The time with which the writes were made.
            jobs: At most one for each job.
            workers: At most one for each worker.
            correlation_id: What all that follows from one request shares.

        Cancelled, it ends only once the outcome is known and told: else the store would have
        events that no part of this server ever heard of.

        Raises:
            ConflictError: Nothing was written.
            StoreUnavailableError: It is not known to be written.
        """
        batch = Batch(
            at=at,
            jobs=tuple(jobs),
            workers=tuple(workers),
            correlation_id=correlation_id,
        )
        return await finish_despite_cancel(self._commit(batch), within_s=None)

    async def change_job(self, job_id: JobId, decide: Callable[[Job], list[JobEvent]]) -> Job:
        """Lets `decide` look at the job until its decision commits without a conflict.

        Returns the job after it; unchanged when nothing was decided.

        Raises:
            NotFoundError: There is no such job.
            HodeiError: What `decide` raises.
        """
        for _ in range(_MOST_CONFLICTS):
            job = await self.job(job_id)
            events = decide(job)
            if not events:
                return job
            at = self.now()
            write = job_write(job, events, at)
            try:
                await self.commit(at=at, jobs=[write], correlation_id=job_id)
            except ConflictError:
                continue
            return write.after
        raise BrokenError(f"job {job_id} had a conflict {_MOST_CONFLICTS} times in a row")

    async def change_worker(
        self, worker_id: WorkerId, decide: Callable[[Worker], list[WorkerEvent]]
    ) -> Worker:
        """As `change_job`, for a worker."""
        for _ in range(_MOST_CONFLICTS):
            worker = await self._store.load_worker(worker_id)
            if worker is None:
                raise NotFoundError("worker", worker_id, "see which with `hodei workers list`")
            events = decide(worker)
            if not events:
                return worker
            at = self.now()
            write = worker_write(worker, events, at)
            try:
                await self.commit(
                    at=at, workers=[write], correlation_id=worker.for_job or worker_id
                )
            except ConflictError:
                continue
            return write.after
        raise BrokenError(f"worker {worker_id} had a conflict {_MOST_CONFLICTS} times in a row")

    async def close(self) -> None:
        """Leaves what is unsure to the next start."""
        await self._tasks.close()

    async def catch_up(self) -> None:
        """Tells what was stored by commits whose outcome was not known.

        Raises:
            StoreUnavailableError: It cannot be read yet.
        """
        async with self._catching_up:
            if not self._unsure.are_there:
                return
            after = await self._unsure.quiet()
            missed: list[StoredEvent] = []
            while page := await self._store.read_events(after=after, limit=_PAGE):
                missed += [event for event in page if not self._unsure.were_told(event)]
                after = page[-1].position
            if missed:
                log.warning("unknown_outcome_resolved", events=len(missed))
                await self._hold_those_of(missed)
                self._unsure.told(missed)
                self._bus.publish(missed)
            self._unsure.settled()

    async def _catch_up_at_last(self) -> None:
        while True:
            try:
                return await self.catch_up()
            except StoreUnavailableError:
                await asyncio.sleep(_RETRY_AFTER_S)

    async def _commit(self, batch: Batch) -> tuple[StoredEvent, ...]:
        while self._unsure.are_there:
            await self.catch_up()
        try:
            with self._unsure.watch():
                outcome = await self._store.commit(batch)
                if isinstance(outcome, Committed):
                    for write in batch.jobs:
                        self._remember(write.after)
                    self._unsure.told(outcome.events)
                    self._bus.publish(outcome.events)
                    return outcome.events
        except StoreUnavailableError:
            if len(self._tasks) == 0:
                self._tasks.start(self._catch_up_at_last(), name="catch up with the store")
            raise
        await self._refresh([JobId(each.removeprefix("job:")) for each in outcome.streams])
        raise ConflictError(outcome.streams)

    async def _hold_those_of(self, events: Sequence[StoredEvent]) -> None:
        """Brings what is at hand up to events that were missed; nothing commits meanwhile."""
        names = {each.stream for each in events if each.stream.startswith("job:")}
        job_ids = [JobId(name.removeprefix("job:")) for name in sorted(names)]
        for start in range(0, len(job_ids), _MOST_LOADED):
            part = job_ids[start : start + _MOST_LOADED]
            for job in (await self._store.load_jobs(part)).values():
                self._remember(job)

    async def _refresh(self, job_ids: Sequence[JobId]) -> None:
        """Brings held jobs up to what is stored: the next decision must not meet the same wall.

        A job is never dropped for a conflict alone: its worker holds it all the same, and output
        of jobs that are not held is refused.
        """
        if behind := [job_id for job_id in job_ids if job_id in self._held]:
            for job in (await self._store.load_jobs(behind)).values():
                # It may have moved on, or ended, while it was loaded.
                held = self._held.get(job.id)
                if held is not None and held.version < job.version:
                    self._remember(job)

    def _remember(self, job: Job) -> None:
        if job.current is not None:
            self._held[job.id] = job
        else:
            self._held.pop(job.id, None)
