"""What a worker says of starts and ends, decided together and committed together."""

from collections.abc import Sequence

from hodei.application.journal import Journal
from hodei.application.links import Result, Started
from hodei.domain.jobs import decide, evolve
from hodei.domain.jobs.decide import Outcome
from hodei.domain.jobs.events import JobEvent
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.states import AttemptState
from hodei.kernel.clock import IdSource
from hodei.kernel.errors import NotFoundError, StaleAttemptError
from hodei.kernel.ids import JobId, WorkerId
from hodei.ports.stores import JobWrite


class ResultRound:
    """Starts and results of one worker that commit together."""

    def __init__(self, journal: Journal, ids: IdSource, worker_id: WorkerId) -> None:
        self._journal = journal
        self._ids = ids
        self._worker_id = worker_id
        self._at = journal.now()
        self._jobs: dict[JobId, Job] = {}
        self._events: dict[JobId, list[JobEvent]] = {}

    async def accept(self, message: Started) -> bool:
        """Takes a start in; returns whether the worker may go on with the attempt."""
        try:
            job = await self._own(message.job_id)
            events = decide.accept(job, attempt=message.attempt, token=message.token)
        except (StaleAttemptError, NotFoundError):
            return False
        self._add(job, events)
        return True

    async def finish(self, message: Result) -> str:
        """Takes a result in; returns why it is refused, or nothing.

        One that was recorded before is not refused: the stream broke before its answer arrived.
        """
        try:
            job = await self._own(message.job_id)
            draw = self._ids.fraction()
            events = decide.finish(job, message.outcome, now=self._at, draw=draw)
        except NotFoundError as error:
            return str(error)
        except StaleAttemptError as error:
            known = self._jobs[message.job_id]
            return "" if _is_recorded(known, message.outcome, self._worker_id) else str(error)
        self._add(job, events)
        return ""

    async def commit(self) -> None:
        """Commits what was taken in.

        Raises:
            ConflictError: Begin anew.
            StoreUnavailableError: As above, later.
        """
        writes = [
            JobWrite(events=tuple(events), after=self._jobs[job_id])
            for job_id, events in self._events.items()
        ]
        if writes:
            correlation = writes[0].after.id if len(writes) == 1 else ""
            await self._journal.commit(at=self._at, jobs=writes, correlation_id=correlation)

    async def _own(self, job_id: JobId) -> Job:
        if job_id not in self._jobs:
            self._jobs[job_id] = await self._journal.job(job_id)
        job = self._jobs[job_id]
        if job.current is not None and job.current.worker_id != self._worker_id:
            raise StaleAttemptError(f"job {job_id} is not with worker {self._worker_id}")
        return job

    def _add(self, job: Job, events: Sequence[JobEvent]) -> None:
        if events:
            self._jobs[job.id] = evolve.evolve_all(job, events, self._at)
            self._events.setdefault(job.id, []).extend(events)


def _is_recorded(job: Job, outcome: Outcome, worker_id: WorkerId) -> bool:
    return any(
        attempt.number == outcome.attempt
        and attempt.token == outcome.token
        and attempt.worker_id == worker_id
        and not attempt.is_open
        and attempt.state is not AttemptState.LOST
        for attempt in job.attempts
    )
