"""The front of the queue, at hand: mostly it is known what goes next without asking the store.

Read from the store once, then kept up by every job that this server commits. A read of the queue
takes longer than all else between a job's submission and its start.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from hodei.domain.jobs.job import Job
from hodei.domain.jobs.states import JobState
from hodei.domain.placement.demand import Demand, DemandKey, demand_key, demand_of
from hodei.domain.placement.scaling import Waiting
from hodei.kernel.ids import JobId

MOST_AT_HAND = 256
"""Jobs at hand: enough to feed a fleet between two reads, few enough to weigh nothing."""

_Rank = tuple[int, datetime]


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job in the queue with what it asks for."""

    job: Job
    demand: Demand
    key: DemandKey

    @classmethod
    def of(cls, job: Job) -> "QueuedJob":
        """The job with its demand."""
        demand = demand_of(job.spec)
        return cls(job, demand, demand_key(demand))


class QueueHead:
    """The queued jobs that go first: the highest priority, then the oldest.

    Attributes:
        is_whole: Whether these are all that are queued, as far as this server knows.
        is_stale: Whether what is queued behind these may have changed since the last read.
    """

    def __init__(self) -> None:
        self._ranks: list[_Rank] = []
        self._queued: list[QueuedJob] = []
        self._ids: set[JobId] = set()
        self._seen: dict[JobId, Job] | None = None
        self.is_whole = False
        self.is_stale = True

    def __iter__(self) -> Iterator[QueuedJob]:
        return iter(tuple(self._queued))

    def waiting(self) -> list[Waiting]:
        """All of it by demand, that whose first job goes first before the others."""
        groups: dict[DemandKey, list[QueuedJob]] = {}
        for each in self._queued:
            groups.setdefault(each.key, []).append(each)
        return [
            Waiting(demand=group[0].demand, count=len(group), first_job=group[0].job.id)
            for group in groups.values()
        ]

    def see(self, job: Job) -> None:
        """Takes in a job as it is committed."""
        if self._seen is not None and len(self._seen) <= MOST_AT_HAND:
            self._seen[job.id] = job
        self._take(job)

    def leave(self, job_id: JobId) -> bool:
        """Lets go of a job that another server has taken from the queue; whether it was here."""
        is_here = job_id in self._ids
        if is_here:
            self._remove(job_id)
        return is_here

    def come(self, job: Job) -> None:
        """Hears of a job that another server has queued.

        What is at hand stays as long as the job goes behind it; which of the two servers gets it, the
        store decides.
        """
        if self._ranks and not self.is_whole and _rank(job) >= self._ranks[-1]:
            self.is_stale = True
        else:
            self.clear()

    def drop(self, job_ids: Iterable[JobId]) -> None:
        """Lets go of jobs that are not as they were thought to be: the store knows how they are."""
        for job_id in job_ids:
            self._remove(job_id)
        self.is_whole, self.is_stale = False, True

    def clear(self) -> None:
        """Forgets everything: what goes next is no longer known."""
        self._ranks, self._queued, self._ids = [], [], set()
        self.is_whole, self.is_stale = False, True

    def begin_read(self) -> None:
        """Remembers what is seen while the store is read, for `fill`."""
        self._seen = {}

    def fill(self, jobs: Sequence[Job], *, is_whole: bool) -> None:
        """Takes over what was read.

        Args:
            jobs: The first of the queue, in its order.
            is_whole: Whether that is all of it.
        """
        seen, self._seen = self._seen or {}, None
        self.clear()
        self.is_whole = is_whole and len(jobs) <= MOST_AT_HAND
        self.is_stale = False
        for job in jobs[:MOST_AT_HAND]:
            self._append(job)
        # What was committed meanwhile may or may not be in what was read.
        read = {job.id: job.version for job in jobs}
        for job in seen.values():
            if job.version > read.get(job.id, 0):
                self._take(job)
        if len(seen) > MOST_AT_HAND:
            self.is_whole, self.is_stale = False, True

    def _take(self, job: Job) -> None:
        if job.id in self._ids:
            self._remove(job.id)
        elif job.is_terminal and not self.is_whole:
            # It may have left the queue without ever coming to its front: cancelled, or given up.
            self.is_stale = True
        if job.state is not JobState.QUEUED:
            return
        rank = _rank(job)
        if not self.is_whole and (not self._ranks or rank >= self._ranks[-1]):
            self.is_stale = True
            return
        at = bisect_right(self._ranks, rank)
        self._ranks.insert(at, rank)
        self._queued.insert(at, QueuedJob.of(job))
        self._ids.add(job.id)
        if len(self._queued) > MOST_AT_HAND:
            self._ranks.pop()
            self._ids.discard(self._queued.pop().job.id)
            self.is_whole, self.is_stale = False, True

    def _append(self, job: Job) -> None:
        self._ranks.append(_rank(job))
        self._queued.append(QueuedJob.of(job))
        self._ids.add(job.id)

    def _remove(self, job_id: JobId) -> None:
        for at, each in enumerate(self._queued):
            if each.job.id == job_id:
                del self._ranks[at], self._queued[at]
                self._ids.discard(job_id)
                return


def _rank(job: Job) -> _Rank:
    return -job.spec.priority, job.created_at
