"""A batch as the rows of a database: everything that can be made ready before it is written.

Shared by the stores that have tables; what each writes of it is its own affair.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from hodei.domain.jobs.events import (
    JobAccepted,
    JobAssigned,
    JobCancelRequested,
    JobCreated,
    JobEvent,
    JobQueued,
    JobRetryRequested,
)
from hodei.domain.jobs.job import Job
from hodei.domain.placement.demand import demand_of
from hodei.domain.workers.events import WorkerEvent
from hodei.domain.workers.worker import Worker
from hodei.kernel.errors import BrokenError
from hodei.kernel.ids import Position
from hodei.ports.stores import Batch, StoredEvent
from hodei.wire import event_codec, state_codec
from hodei.wire.event_codec import EncodedEvent
from hodei.wire.instants import to_micros

JOB_STREAM = "job:"
WORKER_STREAM = "worker:"


class JobRow(NamedTuple):
    """A row of `jobs` but for its position, which only the one that writes knows."""

    id: str
    version: int
    name: str
    searched: str
    state: str
    priority: int
    demand_id: str
    created_at: int
    due_at: int | None
    worker_id: str | None
    data: bytes


class WorkerRow(NamedTuple):
    """A row of `workers` but for its position."""

    id: str
    version: int
    has_ended: bool
    data: bytes


class PreparedJob(NamedTuple):
    """The rows of a `JobWrite`."""

    row: JobRow
    demand: bytes
    events: tuple[EncodedEvent, ...]
    attempts: tuple[tuple[int, bytes], ...]
    """Number and data of those that the events touch."""
    labels: tuple[tuple[str, str], ...]
    tags: tuple[str, ...]


class PreparedWorker(NamedTuple):
    """The rows of a `WorkerWrite`."""

    row: WorkerRow
    events: tuple[EncodedEvent, ...]


class PreparedBatch(NamedTuple):
    """The rows of a `Batch`."""

    at: int
    correlation_id: str
    causation_id: str
    jobs: tuple[PreparedJob, ...]
    workers: tuple[PreparedWorker, ...]


def prepare(batch: Batch) -> PreparedBatch:
    """The rows of a batch.

    Raises:
        BrokenError: A stream is in it twice.
    """
    _require_distinct(each.after.id for each in batch.jobs)
    _require_distinct(each.after.id for each in batch.workers)
    return PreparedBatch(
        at=to_micros(batch.at),
        correlation_id=batch.correlation_id,
        causation_id=batch.causation_id,
        jobs=tuple(prepare_job(each.after, each.events) for each in batch.jobs),
        workers=tuple(prepare_worker(each.after, each.events) for each in batch.workers),
    )


def prepare_job(job: Job, events: Sequence[JobEvent]) -> PreparedJob:
    """The rows of a job and of what these events of it touch."""
    demand = state_codec.encode_demand(demand_of(job.spec))
    touched = _touched_attempts(events)
    return PreparedJob(
        row=_job_row(job, state_codec.demand_id(demand)),
        demand=demand,
        events=tuple(map(event_codec.encode, events)),
        attempts=tuple(
            (each.number, state_codec.encode_attempt(each))
            for each in job.attempts
            if each.number in touched
        ),
        labels=tuple(job.spec.labels.items()),
        tags=job.spec.tags,
    )


def prepare_worker(worker: Worker, events: Sequence[WorkerEvent]) -> PreparedWorker:
    """The row of a worker, and these events of it."""
    row = WorkerRow(
        id=worker.id,
        version=worker.version,
        has_ended=worker.has_ended,
        data=state_codec.encode_worker(worker),
    )
    return PreparedWorker(row=row, events=tuple(map(event_codec.encode, events)))


def committed_events(batch: Batch, first: int) -> tuple[StoredEvent, ...]:
    """The events of a batch as they are stored when the first is at position `first`."""
    writes = (
        *((JOB_STREAM, each) for each in batch.jobs),
        *((WORKER_STREAM, each) for each in batch.workers),
    )
    numbered = (
        (prefix + write.after.id, write.after.version - len(write.events) + index, event)
        for prefix, write in writes
        for index, event in enumerate(write.events, start=1)
    )
    return tuple(
        StoredEvent(
            position=Position(position),
            stream=stream,
            version=version,
            event=event,
            at=batch.at,
            correlation_id=batch.correlation_id,
            causation_id=batch.causation_id,
        )
        for position, (stream, version, event) in enumerate(numbered, start=first)
    )


def _job_row(job: Job, demand_id: str) -> JobRow:
    return JobRow(
        id=job.id,
        version=job.version,
        name=job.spec.name,
        searched=f"{job.id}\n{job.spec.name}".casefold(),
        state=str(job.state),
        priority=int(job.spec.priority),
        demand_id=demand_id,
        created_at=to_micros(job.created_at),
        due_at=due_at(job),
        worker_id=None if job.current is None else job.current.worker_id,
        data=state_codec.encode_job(job),
    )


def due_at(job: Job) -> int | None:
    """When `due_jobs` shows the job, in microseconds; None for never."""
    if job.is_terminal:
        return None
    instants: list[datetime] = [at for at in (job.not_before, job.deadline) if at is not None]
    return to_micros(min(instants)) if instants else None


def _touched_attempts(events: Sequence[JobEvent]) -> set[int]:
    touched: set[int] = set()
    for event in events:
        match event:
            case JobAssigned(attempt=number) | JobAccepted(attempt=number):
                touched.add(number)
            case JobCreated() | JobQueued() | JobCancelRequested() | JobRetryRequested():
                pass
            case _:
                if event.end is not None:
                    touched.add(event.end.number)
    return touched


def _require_distinct(ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for each in ids:
        if each in seen:
            raise BrokenError(f"a batch writes {each} twice: join the two writes")
        seen.add(each)
