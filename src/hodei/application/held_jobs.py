"""The jobs that workers hold, kept at hand: what every result, log chunk and order looks at.

Where several servers share the store, jobs that wait are kept too: most of what others do to a job is
known then without a read.
"""

from collections.abc import Callable, Sequence
from typing import Final

from hodei.domain.jobs.events import (
    JobAccepted,
    JobAssigned,
    JobCancelRequested,
    JobEvent,
    JobQueued,
)
from hodei.domain.jobs.evolve import evolve
from hodei.domain.jobs.job import Job
from hodei.kernel.ids import JobId
from hodei.ports.stores import JobStore, StoredEvent

_MOST_LOADED: Final = 5000
"""Jobs in one read; a store takes twice as many."""
_MOST_WAITING: Final = 5000
"""Waiting jobs that are kept, some kilobytes each; those beyond are read when others take them."""
_STAY_HELD: Final = (JobAssigned, JobAccepted, JobCancelRequested)
"""After any other event of a job nobody holds it."""


class HeldJobs:
    """The jobs in ASSIGNED or RUNNING. Never ahead of the store.

    Args:
        store: Where they are.
        is_shared: Whether others write to it too.
    """

    def __init__(self, store: JobStore, *, is_shared: bool) -> None:
        self._store = store
        self._most_waiting = _MOST_WAITING if is_shared else 0
        self._waiting: dict[JobId, Job] = {}
        self.by_id: dict[JobId, Job] = {}
        """As they are stored. Read only; the same mapping for good."""
        self._see: list[Callable[[Job], None]] = []
        self._lose_track: list[Callable[[], None]] = []
        self._leave: list[Callable[[JobId], None]] = []
        self._come: list[Callable[[Job], None]] = []

    def listen(
        self,
        *,
        see: Callable[[Job], None],
        lose_track: Callable[[], None],
        leave: Callable[[JobId], None],
        come: Callable[[Job], None],
    ) -> None:
        """Tells somebody who keeps other jobs at hand.

        Args:
            see: Is given every job as it was just stored, held or not, before its events are told.
            lose_track: Is called when jobs were queued that nobody has seen: by others, or by a
                commit whose answer was lost.
            leave: Is given jobs that others have taken from the queue, unless they are seen.
            come: Is given jobs that others have queued, where it is known how they are.
        """
        self._see.append(see)
        self._lose_track.append(lose_track)
        self._leave.append(leave)
        self._come.append(come)

    async def load(self) -> None:
        """Takes what is stored."""
        self.by_id.update({job.id: job for job in await self._store.held_jobs()})

    def take(self, job: Job) -> None:
        """Takes a job as it is now; one that nobody holds is let go."""
        if job.current is not None:
            self.by_id[job.id] = job
        else:
            self.by_id.pop(job.id, None)
        self._keep_waiting(job)
        for see in self._see:
            see(job)

    async def refresh(self, job_ids: Sequence[JobId]) -> None:
        """Brings held jobs up to what is stored: the next decision must not meet the same wall.

        A job is never dropped for a conflict alone: its worker holds it all the same, and output
        of jobs that are not held is refused.
        """
        if behind := [job_id for job_id in job_ids if job_id in self.by_id]:
            for job in (await self._store.load_jobs(behind)).values():
                # It may have moved on, or ended, while it was loaded.
                held = self.by_id.get(job.id)
                if held is not None and held.version < job.version:
                    self.take(job)

    async def follow(self, events: Sequence[StoredEvent]) -> None:
        """Brings what is at hand up to events that were decided elsewhere.

        Only jobs that are held afterwards and were not before are read: most of those that others
        run are short, and over by the time that one hears of them.

        Raises:
            StoreUnavailableError: They cannot be read now; call it again.
        """
        unknown: dict[JobId, None] = {}
        is_track_lost = False
        for stored in events:
            kind, _, name = stored.stream.partition(":")
            if kind != "job" or self._evolve(JobId(name), stored):
                continue
            job = self._evolve_waiting(JobId(name), stored)
            if job is not None:
                self._tell_of(job, stored)
                continue
            if isinstance(stored.event, _STAY_HELD):
                unknown[JobId(name)] = None
            else:
                unknown.pop(JobId(name), None)
            if isinstance(stored.event, JobQueued):
                is_track_lost = True
            else:
                self._tell_left(JobId(name))
        await self._load(list(unknown))
        if is_track_lost:
            for lose_track in self._lose_track:
                lose_track()

    def _tell_of(self, job: Job, stored: StoredEvent) -> None:
        """Tells of a job that others have queued, or taken from the queue."""
        if isinstance(stored.event, JobQueued):
            for come in self._come:
                come(job)
        else:
            self._tell_left(job.id)
        if job.current is not None:
            self.take(job)

    def _tell_left(self, job_id: JobId) -> None:
        for leave in self._leave:
            leave(job_id)

    def _evolve(self, job_id: JobId, stored: StoredEvent) -> bool:
        """Whether the job is held, and with the event now."""
        held = self.by_id.get(job_id)
        if held is None:
            return False
        if held.version < stored.version:
            self.take(_after(held, stored))
        return True

    def _evolve_waiting(self, job_id: JobId, stored: StoredEvent) -> Job | None:
        """The job with the event, where it is known without a read."""
        job = self._waiting.get(job_id)
        if job is None and stored.version > 1:
            # It was queued before this server began to hear, or when too many waited.
            return None
        if job is None or job.version < stored.version:
            job = _after(job, stored)
            self._keep_waiting(job)
        return job

    def _keep_waiting(self, job: Job) -> None:
        if job.current is not None or job.is_terminal:
            self._waiting.pop(job.id, None)
        elif job.id in self._waiting or len(self._waiting) < self._most_waiting:
            self._waiting[job.id] = job

    async def _load(self, job_ids: Sequence[JobId]) -> None:
        for start in range(0, len(job_ids), _MOST_LOADED):
            found = await self._store.load_jobs(job_ids[start : start + _MOST_LOADED])
            for job in found.values():
                held = self.by_id.get(job.id)
                if held is None or held.version < job.version:
                    self.take(job)


def _after(job: Job | None, stored: StoredEvent) -> Job:
    # Only events of jobs come on streams of jobs; the union is wider.
    event: JobEvent = stored.event  # pyright: ignore[reportAssignmentType]
    return evolve(job, event, stored.at)
