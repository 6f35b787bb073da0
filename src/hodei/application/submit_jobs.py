"""Accepts jobs: from the answer on, none of them is lost."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hodei.application.dispatch import Dispatcher
from hodei.application.journal import ConflictError, Journal, job_write
from hodei.domain.jobs import decide, evolve
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.spec import JobSpec
from hodei.kernel.clock import IdSource
from hodei.kernel.errors import AlreadyExistsError, InvalidFieldsError
from hodei.kernel.ids import JobId
from hodei.ports.stores import JobStore, JobWrite

_SLICE = 250
"""Jobs of a batch that are decided, at 25 µs each, before others get their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A definition, with the id that its client gave or none."""

    id: JobId | None
    spec: JobSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A job that the server has."""

    id: JobId
    already_existed: bool
    """The same definition came before under this id; nothing was done."""
    queued_at: datetime


class SubmitJobs:
    """The use case behind `QueueJob` and `QueueJobs`."""

    def __init__(
        self,
        *,
        journal: Journal,
        jobs: JobStore,
        slots: Dispatcher,
        ids: IdSource,
        difference: Callable[[JobSpec, JobSpec], list[str]],
    ) -> None:
        self._journal = journal
        self._jobs = jobs
        self._slots = slots
        self._ids = ids
        self._difference = difference

    async def submit(self, new: Sequence[NewJob], *, queued_by: str) -> list[Submitted]:
        """Queues all of the jobs or none; answers for each of them, in their order.

        Raises:
            AlreadyExistsError: An id is taken by another definition; names the difference.
            InvalidFieldsError: An id stands twice in the batch with different definitions.
            StoreUnavailableError: None is known to be queued; the same call may be repeated.
        """
        ids = [each.id or JobId(self._ids.new()) for each in new]
        named = _by_id(ids, new)
        # Nearly always new: whether an id is taken is asked only once its commit has met it.
        existing: dict[JobId, Job] = {}
        while True:
            at = self._journal.now()
            fresh = {job_id: spec for job_id, spec in named.items() if job_id not in existing}
            writes = await _writes(fresh, queued_by, at)
            try:
                await self._commit(writes, at)
            except ConflictError:
                existing = await self._existing(new)
                self._check_same(named, existing)
                continue
            return [
                Submitted(
                    id=job_id,
                    # The first of several with one id takes it; the others meet it there.
                    already_existed=fresh.pop(job_id, None) is None,
                    queued_at=existing[job_id].created_at if job_id in existing else at,
                )
                for job_id in ids
            ]

    async def _commit(self, writes: Sequence[JobWrite], at: datetime) -> None:
        if len(writes) != 1:
            # One correlation id for a batch would tie unrelated jobs together.
            if writes:
                await self._journal.commit(at=at, jobs=writes)
            return
        [write] = writes
        with self._slots.slot_for(write.after, at) as assignment:
            if assignment.events:
                after = evolve.evolve_all(write.after, assignment.events, at)
                write = JobWrite(events=(*write.events, *assignment.events), after=after)
            await self._journal.commit(
                at=at, jobs=[write], workers=assignment.workers, correlation_id=write.after.id
            )

    async def _existing(self, new: Sequence[NewJob]) -> dict[JobId, Job]:
        given = [each.id for each in new if each.id is not None]
        return await self._jobs.load_jobs(given) if given else {}

    def _check_same(self, named: dict[JobId, JobSpec], existing: dict[JobId, Job]) -> None:
        for job_id, job in existing.items():
            if job.spec != named[job_id]:
                fields = ", ".join(self._difference(job.spec, named[job_id]))
                raise AlreadyExistsError(
                    f"job {job_id!r} exists with another definition: {fields} differ; "
                    "choose another id, or send the same definition"
                )


def _by_id(ids: Sequence[JobId], new: Sequence[NewJob]) -> dict[JobId, JobSpec]:
    named: dict[JobId, JobSpec] = {}
    for index, (job_id, each) in enumerate(zip(ids, new, strict=True)):
        if named.setdefault(job_id, each.spec) != each.spec:
            raise InvalidFieldsError.of(
                f"job_definitions[{index}].job_id.value",
                f"{job_id!r} stands twice in the batch with different definitions",
            )
    return named


async def _writes(fresh: Mapping[JobId, JobSpec], queued_by: str, at: datetime) -> list[JobWrite]:
    writes: list[JobWrite] = []
    for job_id, spec in fresh.items():
        events = decide.submit(job_id, spec, queued_by=queued_by, now=at)
        writes.append(job_write(None, events, at))
        if len(writes) % _SLICE == 0:
            await asyncio.sleep(0)
    return writes
