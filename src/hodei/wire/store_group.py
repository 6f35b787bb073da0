"""Which batches of a group may commit together, and the rows that they come to.

Pure: the writer gives it what is stored, and executes what it says.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from hodei.domain.jobs.states import JobState
from hodei.wire.store_rows import (
    JOB_STREAM,
    WORKER_STREAM,
    PreparedBatch,
    PreparedJob,
    PreparedWorker,
)


class Head(NamedTuple):
    """What is stored of a stream, or will be by the batches of the group so far."""

    position: int
    version: int
    queued_demand: str = ""
    """Of a job that is queued."""


class GroupPlan:
    """Collects the rows of batches that share one transaction, each batch wholly or not at all."""

    def __init__(
        self, *, last_position: int, jobs: dict[str, Head], workers: dict[str, Head]
    ) -> None:
        self.last_position = last_position
        """Of the newest event, stored or of this plan."""
        self._job_heads = jobs
        self._worker_heads = workers
        self.events: list[tuple[Any, ...]] = []
        self.demands: dict[str, bytes] = {}
        self.jobs: dict[int, tuple[Any, ...]] = {}
        """By position: a later batch of the group replaces the row of an earlier one."""
        self.attempts: dict[tuple[int, int], tuple[Any, ...]] = {}
        """By position and number."""
        self.labels: list[tuple[int, str, str]] = []
        self.tags: list[tuple[int, str]] = []
        self.queued: Counter[str] = Counter()
        """By how much the number of queued jobs of each demand changes."""
        self.workers: dict[int, tuple[Any, ...]] = {}

    def add(self, batch: PreparedBatch) -> int | tuple[str, ...]:
        """Takes a batch in.

        Returns:
            The position of its first event; or the streams that conflict, and then the batch has
            left no trace.
        """
        conflicts = (
            *_conflicts(JOB_STREAM, batch.jobs, self._job_heads),
            *_conflicts(WORKER_STREAM, batch.workers, self._worker_heads),
        )
        if conflicts:
            return conflicts
        first = self.last_position + 1
        for job in batch.jobs:
            self._add_job(job, batch)
        for worker in batch.workers:
            self._add_worker(worker, batch)
        return first

    def put_job(self, position: int, job: PreparedJob, before: Head | None) -> Head:
        """Takes in the rows of a job that had the head `before`, and returns its new head."""
        row = job.row
        if before is None:
            self.demands[row.demand_id] = job.demand
            self.labels += [(position, key, value) for key, value in job.labels]
            self.tags += [(position, tag) for tag in job.tags]
        elif before.queued_demand:
            self.queued[before.queued_demand] -= 1
        queued_demand = row.demand_id if row.state == JobState.QUEUED else ""
        if queued_demand:
            self.queued[queued_demand] += 1
        self.jobs[position] = (position, *row)
        for number, data in job.attempts:
            self.attempts[position, number] = (position, number, data)
        return Head(position, row.version, queued_demand)

    def put_worker(self, position: int, worker: PreparedWorker) -> Head:
        """Takes in the row of a worker, and returns its new head."""
        self.workers[position] = (position, *worker.row)
        return Head(position, worker.row.version)

    def _add_job(self, job: PreparedJob, batch: PreparedBatch) -> None:
        if job.events:
            head = self._job_heads.get(job.row.id)
            first = self._add_events(JOB_STREAM, job, batch)
            position = first if head is None else head.position
            self._job_heads[job.row.id] = self.put_job(position, job, head)

    def _add_worker(self, worker: PreparedWorker, batch: PreparedBatch) -> None:
        if worker.events:
            head = self._worker_heads.get(worker.row.id)
            first = self._add_events(WORKER_STREAM, worker, batch)
            position = first if head is None else head.position
            self._worker_heads[worker.row.id] = self.put_worker(position, worker)

    def _add_events(
        self, prefix: str, write: PreparedJob | PreparedWorker, batch: PreparedBatch
    ) -> int:
        first = self.last_position + 1
        stream = prefix + write.row.id
        version = write.row.version - len(write.events)
        about = (batch.at, batch.correlation_id, batch.causation_id)
        for event in write.events:
            version += 1
            self.last_position += 1
            self.events.append((self.last_position, stream, version, *event, *about))
        return first


def _conflicts(
    prefix: str, writes: Iterable[PreparedJob | PreparedWorker], heads: dict[str, Head]
) -> list[str]:
    conflicts: list[str] = []
    for write in writes:
        head = heads.get(write.row.id)
        stored = 0 if head is None else head.version
        if write.row.version - len(write.events) != stored:
            conflicts.append(prefix + write.row.id)
    return conflicts
