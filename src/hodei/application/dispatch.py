"""Gives queued jobs to free slots.

Claim, attempt number and token commit together; then the job goes down its worker's stream.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from hodei.application.fleet import Fleet, Member
from hodei.application.give_back_orphans import GiveBackOrphans
from hodei.application.journal import ConflictError, Journal, job_write, worker_write
from hodei.application.links import Run
from hodei.domain.jobs import decide
from hodei.domain.jobs.events import JobAssigned
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.spec import Resources
from hodei.domain.placement.demand import Demand, demand_of
from hodei.domain.placement.fit import fits_beside, misfits, preference
from hodei.domain.placement.scaling import Waiting
from hodei.domain.workers import decide as worker_decisions
from hodei.kernel.clock import IdSource
from hodei.kernel.ids import JobId, WorkerId
from hodei.lifecycle.wake import Wake
from hodei.ports.stores import (
    JobStore,
    JobWrite,
    QueuedDemand,
    StoredEvent,
    StoreUnavailableError,
    WorkerWrite,
)

log = structlog.get_logger()

_MOST_AT_ONCE = 256
"""Jobs claimed in one commit: enough to fill a fleet, few enough not to hold up others."""
_RETRY_AFTER_S = 0.5
"""Wait before another round when the store was not available."""
_RESERVED_FOR_S = 1.0
"""Wait before jobs are asked for again that the store keeps for another server."""
_MOST_REMEMBERED_FITS = 100_000
_LAST_JOB = "the pool: it has its last job"


@dataclass(slots=True)
class _Slot:
    """A member with what this round has promised it already."""

    member: Member
    free: int
    taken: list[Resources] = field(default_factory=list[Resources])


class Dispatcher:
    """The one task that assigns jobs on this server."""

    def __init__(
        self,
        *,
        journal: Journal,
        jobs: JobStore,
        fleet: Fleet,
        ids: IdSource,
        on_waiting: Callable[[list[Waiting]], None],
    ) -> None:
        self._journal = journal
        self._jobs = jobs
        self._fleet = fleet
        self._ids = ids
        self._on_waiting = on_waiting
        self._orphans = GiveBackOrphans(journal=journal, fleet=fleet, ids=ids)
        self._wake = Wake()
        self._some_are_reserved = False
        self._fits: dict[tuple[str, WorkerId, int], bool] = {}

    def notify(self) -> None:
        """Says that jobs or slots may have come."""
        self._wake.notify()

    async def run(self) -> None:
        """Assigns until it is cancelled."""
        while True:
            await self._wait()
            try:
                await self._round()
            except StoreUnavailableError as error:
                log.warning("dispatch_delayed", message=str(error))
                # Not the wake: what raises it goes on while the store is away.
                await asyncio.sleep(_RETRY_AFTER_S)
                self._wake.notify()

    async def _wait(self) -> None:
        if self._some_are_reserved:
            # Whoever has reserved them may be dead, this server's own last life included: then
            # nothing tells when they are free again.
            self._some_are_reserved = False
            await self._wake.wait_up_to(_RESERVED_FOR_S)
        else:
            await self._wake.wait()

    def deliver(self, stored: StoredEvent) -> None:
        """Sends a job down the stream of the worker that an event gives it to.

        On the event and not after the commit: it may be one whose outcome was learned later.
        """
        event = stored.event
        job = self._journal.held.get(JobId(stored.stream.removeprefix("job:")))
        if not isinstance(event, JobAssigned) or job is None or job.current is None:
            return
        member = self._fleet.get(event.worker_id)
        # Without a stream by now: it is sent when the worker is back.
        if job.current.token == event.token and member is not None and member.link is not None:
            member.link.send(Run(job=job))

    async def _round(self) -> None:
        demands = await self._jobs.queued_demands()
        free: list[_Slot] = [
            _Slot(member, member.free_slots, list(member.jobs.values()))
            for member in self._fleet.members()
            if member.free_slots
        ]
        passed_over: set[str] = set()
        while free and demands:
            placeable = [
                each.demand_id
                for each in demands
                if each.demand_id not in passed_over
                and any(self._fits_on(each, slot.member) for slot in free)
            ]
            if not placeable:
                break
            limit = min(_MOST_AT_ONCE, sum(slot.free for slot in free))
            claimed = await self._jobs.claimable(placeable, limit=limit)
            if not claimed:
                self._some_are_reserved = True
                break
            placed = _place(claimed, free)
            await self._assign(placed)
            if len(placed) < len(claimed):
                # Some fit in principle and not beside what runs: let smaller ones by.
                placed_ids = {job.id for job, _ in placed}
                left = [demand_of(job.spec) for job in claimed if job.id not in placed_ids]
                passed_over |= {each.demand_id for each in demands if each.demand in left}
            free = [slot for slot in free if slot.free and slot.member.free_slots]
            if not free:
                # Every slot is taken, as in most rounds under load: no need to ask the store.
                demands = _without(demands, placed)
                break
            demands = await self._jobs.queued_demands()
        self._on_waiting(
            [Waiting(demand=d.demand, count=d.count, first_job=d.first_job) for d in demands]
        )

    def _fits_on(self, queued: QueuedDemand, member: Member) -> bool:
        key = (queued.demand_id, member.worker.id, member.worker.version)
        known = self._fits.get(key)
        if known is None:
            if len(self._fits) > _MOST_REMEMBERED_FITS:
                self._fits.clear()
            known = self._fits[key] = not misfits(queued.demand, member.offer)
        return known

    async def _assign(self, placed: Sequence[tuple[Job, Member]]) -> None:
        left = list(placed)
        # Whoever is being taken down since the round began must not get a job: the commit that
        # ends a worker gives back what it holds by then, and what came later would be stuck.
        while left := [(job, member) for job, member in left if member.free_slots]:
            at = self._journal.now()
            writes: list[JobWrite] = []
            for job, member in left:
                events = decide.assign(job, worker_id=member.worker.id, draw=self._ids.token_bits())
                writes.append(job_write(job, events, at))
            correlation = left[0][0].id if len(left) == 1 else ""
            workers = _leaving_after(left, at)
            try:
                await self._journal.commit(
                    at=at, jobs=writes, workers=workers, correlation_id=correlation
                )
            except ConflictError as conflict:
                # Cancelled, or otherwise changed, since it was read: the others go on.
                moved_on = set(conflict.streams)
                left = [(job, m) for job, m in left if f"job:{job.id}" not in moved_on]
                continue
            if any(self._fleet.get(member.worker.id) is not member for _, member in left):
                await self._orphans.give_back()
            return


def _leaving_after(placed: Sequence[tuple[Job, Member]], at: datetime) -> list[WorkerWrite]:
    """The drains of the workers that get the last job that they may have.

    In the same commit: a server that dies after it must not give such a worker another.
    """
    given = Counter(member.worker.id for _, member in placed)
    members = {member.worker.id: member for _, member in placed}
    return [
        worker_write(member.worker, worker_decisions.drain(member.worker, by=_LAST_JOB), at)
        for worker_id, member in members.items()
        if 0 < member.worker.max_jobs <= member.jobs_taken + given[worker_id]
    ]


def _without(
    demands: Sequence[QueuedDemand], placed: Sequence[tuple[Job, Member]]
) -> list[QueuedDemand]:
    """The demands when these jobs are gone from the queue.

    `first_job` may be one of them; it only names what a worker is provisioned for.
    """
    taken = [demand_of(job.spec) for job, _ in placed]
    left = [replace(each, count=each.count - taken.count(each.demand)) for each in demands]
    return [each for each in left if each.count > 0]


def _place(jobs: Sequence[Job], free: Sequence[_Slot]) -> list[tuple[Job, Member]]:
    placed: list[tuple[Job, Member]] = []
    for job in jobs:
        demand = demand_of(job.spec)
        slot = _best(demand, free)
        if slot is not None:
            slot.free -= 1
            slot.taken.append(demand.resources)
            placed.append((job, slot.member))
    return placed


def _best(demand: Demand, free: Sequence[_Slot]) -> _Slot | None:
    """The least loaded of the most liked workers that have room now."""
    best: _Slot | None = None
    best_rank = (0, 0.0)
    for slot in free:
        offer = slot.member.offer
        has_room = slot.free > 0 and fits_beside(demand.resources, offer.resources, slot.taken)
        if not has_room or misfits(demand, offer):
            continue
        rank = (preference(demand, offer), slot.free / slot.member.worker.slots)
        if best is None or rank > best_rank:
            best, best_rank = slot, rank
    return best
