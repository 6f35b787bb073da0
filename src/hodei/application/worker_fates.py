"""Which events of workers belong to the history of a job.

All of a worker that was wanted for the job; of any other only what befell it while it held the job.
"""

from datetime import datetime
from typing import Final

from hodei.domain.jobs.events import (
    JobAssigned,
    JobCancelled,
    JobDispatchFailed,
    JobFailed,
    JobRetried,
    JobSucceeded,
    JobTimedOut,
)
from hodei.domain.jobs.job import Job
from hodei.domain.workers.events import WorkerHealthChanged, WorkerLost, WorkerStopped
from hodei.kernel.ids import WorkerId
from hodei.ports.stores import StoredEvent

_FATES: Final = (WorkerStopped, WorkerHealthChanged, WorkerLost)
_ATTEMPT_ENDS: Final = (
    JobSucceeded,
    JobFailed,
    JobCancelled,
    JobTimedOut,
    JobRetried,
    JobDispatchFailed,
)


class WorkerFates:
    """Follows which workers hold a job, event by event; none where workers are of no interest."""

    def __init__(self, job: Job, *, with_workers: bool) -> None:
        self.job_id = job.id
        self._with_workers = with_workers
        self._job_stream = f"job:{job.id}"
        self._held: dict[str, list[tuple[datetime, datetime | None]]] = {}
        for attempt in job.attempts:
            self._hold(attempt.worker_id, attempt.assigned_at, attempt.finished_at)

    @property
    def streams(self) -> set[str]:
        """Of the workers that hold the job or held it."""
        return set(self._held)

    def belongs(self, stored: StoredEvent, *, own: set[str]) -> bool:
        """Whether an event is told; `own` are the streams of which all are."""
        if stored.stream == self._job_stream:
            self._follow(stored)
            return True
        if stored.stream in own:
            return True
        return isinstance(stored.event, _FATES) and any(
            # What ends an attempt and what befell its worker have one time: they commit together.
            begin <= stored.at and (end is None or stored.at <= end)
            for begin, end in self._held.get(stored.stream, ())
        )

    def _follow(self, stored: StoredEvent) -> None:
        if isinstance(stored.event, JobAssigned):
            self._hold(stored.event.worker_id, stored.at, None)
        elif isinstance(stored.event, _ATTEMPT_ENDS):
            for stream, spans in self._held.items():
                self._held[stream] = [(begin, end or stored.at) for begin, end in spans]

    def _hold(self, worker_id: WorkerId, begin: datetime, end: datetime | None) -> None:
        if not self._with_workers:
            return
        spans = self._held.setdefault(f"worker:{worker_id}", [])
        if all(known != begin for known, _ in spans):
            spans.append((begin, end))
