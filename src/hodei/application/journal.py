"""The way to the store: commits what was decided, then tells the bus."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from hodei.application.bus import EventBus
from hodei.application.event_feed import EventFeed
from hodei.application.held_jobs import HeldJobs
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
from hodei.ports.signals import Signals
from hodei.ports.stores import (
    Batch,
    Committed,
    JobWrite,
    Store,
    StoredEvent,
    WorkerWrite,
)

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

    Args:
        store: Where it commits.
        bus: Who is told.
        clock: The time of decisions.
        signals: To and from other servers that commit to the store too; None where there are
            none. What is at hand may be a moment behind what they commit: a decision then meets a
            conflict, and is made again.
        on_failure: See `EventFeed`.
    """

    def __init__(
        self,
        store: Store,
        bus: EventBus,
        clock: Clock,
        *,
        signals: Signals | None = None,
        on_failure: Callable[[str, BaseException], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._is_shared = signals is not None
        self._held = HeldJobs(store, is_shared=self._is_shared)
        self.feed = EventFeed(store, bus, self._held, signals=signals, on_failure=on_failure)

    async def start(self) -> None:
        """Loads the jobs that workers hold."""
        await self.feed.start()
        await self._held.load()

    def watch_queue(
        self,
        *,
        see: Callable[[Job], None],
        lose_track: Callable[[], None],
        leave: Callable[[JobId], None],
        come: Callable[[Job], None],
    ) -> None:
        """See `HeldJobs.listen`."""
        self._held.listen(see=see, lose_track=lose_track, leave=leave, come=come)

    @property
    def held(self) -> Mapping[JobId, Job]:
        """The jobs in ASSIGNED or RUNNING, as they are stored. The same mapping for good."""
        return self._held.by_id

    async def job(self, job_id: JobId) -> Job:
        """The job as it is stored, as far as this server has heard: to decide with.

        Raises:
            NotFoundError: There is none.
        """
        if (held := self.held.get(job_id)) is not None:
            return held
        return await self._stored(job_id)

    async def shown_job(self, job_id: JobId) -> Job:
        """The job as it is stored now: whatever any server has answered is in it.

        Raises:
            NotFoundError: There is none.
        """
        return await (self._stored(job_id) if self._is_shared else self.job(job_id))

    async def _stored(self, job_id: JobId) -> Job:
        found = await self._store.load_jobs([job_id])
        if job_id not in found:
            raise NotFoundError("job", job_id, "see which there are with `hodei jobs list`")
        return found[job_id]

    @property
    def position(self) -> Position:
        """Of the newest event that this server has told."""
        return self.feed.told

    def now(self) -> datetime:
        """The time to decide and commit with; one decision has one time."""
        return self._clock.now()

    def held_by(self, worker_id: WorkerId) -> dict[JobId, Job]:
        """The jobs that a worker holds."""
        return {
            job.id: job
            for job in self.held.values()
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
        await self.feed.close()

    async def _commit(self, batch: Batch) -> tuple[StoredEvent, ...]:
        while self.feed.is_unsure:
            await self.feed.catch_up()
        with self.feed.commit_under_way():
            outcome = await self._store.commit(batch)
        if isinstance(outcome, Committed):
            jobs = [write.after for write in batch.jobs]
            await self.feed.tell(outcome.events, jobs, outcome.others)
            return outcome.events
        await self._held.refresh([JobId(each.removeprefix("job:")) for each in outcome.streams])
        raise ConflictError(outcome.streams)
