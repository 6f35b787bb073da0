"""Wakes the readers of a job's log when there is more of it."""

from collections import defaultdict
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from hodei.kernel.ids import JobId
from hodei.lifecycle.wake import Wake


class LogHub:
    """Readers by job."""

    def __init__(self) -> None:
        self._readers: defaultdict[JobId, set[Wake]] = defaultdict(set)

    def notify(self, job_ids: Iterable[JobId]) -> None:
        """Says that these jobs have more output, or have ended."""
        for job_id in job_ids:
            for wake in self._readers.get(job_id, ()):
                wake.notify()

    def notify_all(self) -> None:
        """Says that any job may have more output."""
        self.notify(list(self._readers))

    @contextmanager
    def reading(self, job_id: JobId) -> Generator[Wake]:
        """A wake that is raised for this job while the block runs."""
        wake = Wake()
        self._readers[job_id].add(wake)
        try:
            yield wake
        finally:
            self._readers[job_id].discard(wake)
            if not self._readers[job_id]:
                del self._readers[job_id]
