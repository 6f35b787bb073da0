"""The store in memory. Plain scans over dictionaries: what it says is easily seen to be right."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from operator import itemgetter

from hodei.domain.jobs import evolve as jobs
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.states import JobState
from hodei.domain.placement.demand import demand_of
from hodei.domain.providers.record import ProviderRecord
from hodei.domain.workers import evolve as workers
from hodei.domain.workers.worker import Worker
from hodei.kernel.errors import BrokenError
from hodei.kernel.ids import BEFORE_THE_FIRST, JobId, Position, ProviderName, WorkerId
from hodei.ports.stores import (
    Batch,
    Committed,
    Conflict,
    EndedPage,
    JobFilter,
    JobPage,
    JobWrite,
    QueuedDemand,
    Removed,
    StoredEvent,
    StoreUnavailableError,
    WorkerWrite,
)
from hodei.wire import state_codec

from .matching import matches
from .paging import newest_first


class MemoryStore:
    """Implements `hodei.ports.stores.Store`, and checks what the real ones take on trust.

    The state that comes with events must be what the events lead to, or the real stores' rows could
    not be made again from them.
    """

    def __init__(self) -> None:
        self._events: list[StoredEvent] = []
        # In the order of their creation, which is that of the positions of their first events.
        self._jobs: dict[JobId, Job] = {}
        self._workers: dict[WorkerId, Worker] = {}
        self._providers: dict[ProviderName, ProviderRecord] = {}
        self._began: dict[str, Position] = {}
        """The position of each stream's first event."""
        self._last_position = BEFORE_THE_FIRST
        self._closed = False

    async def close(self) -> None:
        """See `EventStore.close`."""
        self._closed = True

    async def commit(self, batch: Batch) -> Committed | Conflict:
        """See `EventStore.commit`.

        Raises:
            BrokenError: A stream is in it twice, or a state is not that of its events.
        """
        await self._turn()
        writes = (*batch.jobs, *batch.workers)
        streams = [_stream(each) for each in writes]
        if len(set(streams)) < len(streams):
            raise BrokenError("a batch writes a stream twice: join the two writes")
        conflicts = [_stream(each) for each in writes if self._version_of(each) != _expected(each)]
        if conflicts:
            return Conflict(streams=tuple(conflicts))
        for each in writes:
            self._require_fold(each, batch.at)
        return Committed(
            events=tuple(event for each in writes for event in self._apply(each, batch))
        )

    async def read_events(
        self, *, after: Position, limit: int, streams: Sequence[str] = ()
    ) -> list[StoredEvent]:
        """See `EventStore.read_events`."""
        await self._turn()
        found = (each for each in self._events if each.position > after)
        return [each for each in found if not streams or each.stream in streams][:limit]

    async def last_position(self) -> Position:
        """See `EventStore.last_position`."""
        await self._turn()
        return self._events[-1].position if self._events else BEFORE_THE_FIRST

    async def load_jobs(self, ids: Sequence[JobId]) -> dict[JobId, Job]:
        """See `JobStore.load_jobs`."""
        await self._turn()
        return {each: self._jobs[each] for each in ids if each in self._jobs}

    async def list_jobs(
        self, job_filter: JobFilter, *, limit: int, cursor: str = "", offset: int = 0
    ) -> JobPage:
        """See `JobStore.list_jobs`."""
        await self._turn()
        numbered = [
            (self._began[f"job:{job.id}"], job)
            for job in self._jobs.values()
            if matches(job, job_filter)
        ]
        shown, next_cursor = newest_first(
            numbered, kind="jobs", limit=limit, cursor=cursor, offset=offset
        )
        return JobPage(jobs=tuple(shown), next_cursor=next_cursor, total=len(numbered))

    async def queued_demands(self) -> list[QueuedDemand]:
        """See `JobStore.queued_demands`."""
        await self._turn()
        by_demand: dict[str, list[Job]] = {}
        for job in self._queue():
            by_demand.setdefault(_demand_id(job), []).append(job)
        return [
            QueuedDemand(
                demand_id=demand_id,
                demand=demand_of(queued[0].spec),
                count=len(queued),
                first_job=queued[0].id,
            )
            for demand_id, queued in by_demand.items()
        ]

    async def claimable(self, demand_ids: Sequence[str], *, limit: int) -> list[Job]:
        """See `JobStore.claimable`."""
        await self._turn()
        return [job for job in self._queue() if _demand_id(job) in demand_ids][:limit]

    async def held_jobs(self, worker_id: WorkerId | None = None) -> list[Job]:
        """See `JobStore.held_jobs`; oldest first."""
        await self._turn()
        return [
            job
            for job in self._jobs.values()
            if job.current is not None and worker_id in {None, job.current.worker_id}
        ]

    async def due_jobs(self, now: datetime, *, limit: int) -> list[Job]:
        """See `JobStore.due_jobs`; the longest due first."""
        await self._turn()
        # A stable sort: of those due at once the oldest comes first.
        due = sorted(((at, job) for job, at in self._due() if at <= now), key=itemgetter(0))
        return [job for _, job in due][:limit]

    async def next_due(self) -> datetime | None:
        """See `JobStore.next_due`."""
        await self._turn()
        return min((at for _, at in self._due()), default=None)

    async def load_worker(self, worker_id: WorkerId) -> Worker | None:
        """See `WorkerStore.load_worker`."""
        await self._turn()
        return self._workers.get(worker_id)

    async def list_workers(
        self, *, include_ended: bool, limit: int, cursor: str = ""
    ) -> tuple[list[Worker], str]:
        """See `WorkerStore.list_workers`."""
        await self._turn()
        numbered = [
            (self._began[f"worker:{worker.id}"], worker)
            for worker in self._workers.values()
            if include_ended or not worker.has_ended
        ]
        return newest_first(numbered, kind="workers", limit=limit, cursor=cursor)

    async def living_workers(self) -> list[Worker]:
        """See `WorkerStore.living_workers`; oldest first."""
        await self._turn()
        return [each for each in self._workers.values() if not each.has_ended]

    async def ended_before(self, limit: datetime, *, after: Position, at_most: int) -> EndedPage:
        """See `HistoryStore.ended_before`."""
        await self._turn()
        began = sorted(
            (position, stream)
            for stream, position in self._began.items()
            if position > after and self._has_ended(stream)
        )[:at_most]
        old = [each for each in began if self._times(each[1])[0] < limit]
        return EndedPage(
            streams=tuple(stream for _, stream in old if self._times(stream)[-1] < limit),
            next=old[-1][0] if len(old) == at_most else None,
        )

    async def remove(self, streams: Sequence[str], *, ended_before: datetime) -> Removed:
        """See `HistoryStore.remove`."""
        await self._turn()
        gone = {
            each
            for each in streams
            if each in self._began
            and self._has_ended(each)
            and self._times(each)[-1] < ended_before
        }
        kept = [each for each in self._events if each.stream not in gone]
        removed = Removed(
            jobs=sum(each.startswith("job:") for each in gone),
            workers=sum(each.startswith("worker:") for each in gone),
            events=len(self._events) - len(kept),
        )
        self._events = kept
        for stream in gone:
            del self._began[stream]
            kind, _, id_ = stream.partition(":")
            if kind == "job":
                del self._jobs[JobId(id_)]
            else:
                del self._workers[WorkerId(id_)]
        return removed

    async def provider_records(self) -> list[ProviderRecord]:
        """See `ProviderStore.provider_records`."""
        await self._turn()
        return [self._providers[name] for name in sorted(self._providers)]

    async def put_provider(self, record: ProviderRecord) -> bool:
        """See `ProviderStore.put_provider`."""
        await self._turn()
        stored = self._providers.get(record.name)
        if record.version != (1 if stored is None else stored.version + 1):
            return False
        self._providers[record.name] = record
        return True

    async def remove_provider(self, name: ProviderName, *, version: int) -> bool:
        """See `ProviderStore.remove_provider`."""
        await self._turn()
        stored = self._providers.get(name)
        if stored is None or stored.version != version:
            return False
        del self._providers[name]
        return True

    def _has_ended(self, stream: str) -> bool:
        kind, _, id_ = stream.partition(":")
        if kind == "job":
            return self._jobs[JobId(id_)].is_terminal
        return self._workers[WorkerId(id_)].has_ended

    def _times(self, stream: str) -> list[datetime]:
        """Of its events."""
        return [each.at for each in self._events if each.stream == stream]

    async def _turn(self) -> None:
        if self._closed:
            raise StoreUnavailableError("the store is closed")
        # Others get their turn here, as they do while a real store works.
        await asyncio.sleep(0)

    def _queue(self) -> list[Job]:
        queued = (job for job in self._jobs.values() if job.state is JobState.QUEUED)
        # A stable sort: the oldest of a priority stays first.
        return sorted(queued, key=lambda job: -job.spec.priority)

    def _due(self) -> Iterable[tuple[Job, datetime]]:
        for job in self._jobs.values():
            instants = [at for at in (job.not_before, job.deadline) if at is not None]
            if instants and not job.is_terminal:
                yield job, min(instants)

    def _version_of(self, write: JobWrite | WorkerWrite) -> int:
        stored = self._stored(write)
        return 0 if stored is None else stored.version

    def _stored(self, write: JobWrite | WorkerWrite) -> Job | Worker | None:
        if isinstance(write, JobWrite):
            return self._jobs.get(write.after.id)
        return self._workers.get(write.after.id)

    def _require_fold(self, write: JobWrite | WorkerWrite, at: datetime) -> None:
        if not write.events:
            return
        if isinstance(write, JobWrite):
            folded = jobs.evolve_all(self._jobs.get(write.after.id), write.events, at)
        else:
            folded = workers.evolve_all(self._workers.get(write.after.id), write.events, at)
        if folded != write.after:
            wrong = [
                each.name
                for each in fields(folded)
                if getattr(folded, each.name) != getattr(write.after, each.name)
            ]
            raise BrokenError(
                f"{_stream(write)} is not what its events lead to at {at}; it differs in {wrong}"
            )

    def _apply(self, write: JobWrite | WorkerWrite, batch: Batch) -> list[StoredEvent]:
        if not write.events:
            return []
        if isinstance(write, JobWrite):
            self._jobs[write.after.id] = write.after
        else:
            self._workers[write.after.id] = write.after
        stored = [
            StoredEvent(
                position=Position(self._last_position + index),
                stream=_stream(write),
                version=_expected(write) + index,
                event=event,
                at=batch.at,
                correlation_id=batch.correlation_id,
                causation_id=batch.causation_id,
            )
            for index, event in enumerate(write.events, start=1)
        ]
        self._events += stored
        self._last_position = stored[-1].position
        self._began.setdefault(stored[0].stream, stored[0].position)
        return stored


def _stream(write: JobWrite | WorkerWrite) -> str:
    return f"{'job' if isinstance(write, JobWrite) else 'worker'}:{write.after.id}"


def _expected(write: JobWrite | WorkerWrite) -> int:
    return write.after.version - len(write.events)


def _demand_id(job: Job) -> str:
    return state_codec.demand_id(state_codec.encode_demand(demand_of(job.spec)))
