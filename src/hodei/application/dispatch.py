"""Gives queued jobs to free slots.

Claim, attempt number and token commit together; then the job goes down its worker's stream. What
goes next is mostly known without a look at the store; the versions in the commit are what counts.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import structlog

from hodei.application.fleet import Fleet, Member
from hodei.application.free_slots import Fits, FreeSlots, promised
from hodei.application.give_back_orphans import GiveBackOrphans
from hodei.application.journal import ConflictError, Journal, job_write, worker_write
from hodei.application.links import Run
from hodei.application.queue_head import QueuedJob, QueueHead
from hodei.application.read_ahead import RESERVED_S, ReadAhead
from hodei.domain.jobs import decide
from hodei.domain.jobs.events import JobAssigned, JobEvent
from hodei.domain.jobs.job import Job
from hodei.domain.placement.demand import DemandKey, demand_key
from hodei.domain.placement.scaling import Waiting
from hodei.domain.placement.worker_selection import WorkerStrategy
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
_LOOK_AGAIN_S = 0.1
"""The shortest time between two looks at how much is queued while no slot is free."""
_LAST_JOB = "the pool: it has its last job"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What commits with the submission of a job that finds a free slot; nothing where it waits."""

    events: tuple[JobEvent, ...] = ()
    workers: tuple[WorkerWrite, ...] = ()


class Dispatcher:
    """The one task that assigns jobs on this server.

    Args:
        journal: Where assignments are committed, and committed jobs seen.
        jobs: The queue as it is stored.
        fleet: The workers.
        ids: Draws tokens.
        on_waiting: Is told what no free slot took.
        read_ahead: See `ReadAhead`.
        strategy: Chooses among workers that have room.
    """

    def __init__(  # noqa: PLR0913 - the parts that meet here, by name
        self,
        *,
        journal: Journal,
        jobs: JobStore,
        fleet: Fleet,
        ids: IdSource,
        on_waiting: Callable[[list[Waiting]], None],
        read_ahead: int,
        strategy: WorkerStrategy = WorkerStrategy.LEAST_LOADED,
    ) -> None:
        self._journal = journal
        self._jobs = jobs
        self._fleet = fleet
        self._ids = ids
        self._on_waiting = on_waiting
        self._read_ahead = ReadAhead(read_ahead)
        self._reserved_until = float("-inf")
        self._orphans = GiveBackOrphans(journal=journal, fleet=fleet, ids=ids)
        self._wake = Wake()
        self._head = QueueHead()
        self._workers: list[tuple[WorkerId, int]] = []
        self._looked_at = float("-inf")
        self._look_again_in_s: float | None = None
        self._some_are_reserved = False
        self._may_be_orphans = False
        self._fits = Fits()
        self._strategy = strategy
        journal.watch_queue(
            see=self._head.see, lose_track=self.look_anew, leave=self._leave, come=self._come
        )

    def notify(self) -> None:
        """Says that jobs or slots may have come."""
        self._wake.notify()

    def look_anew(self) -> None:
        """Says that the queue may have changed otherwise than by this server's commits."""
        self._head.clear()
        self._wake.notify()

    def _leave(self, job_id: JobId) -> None:
        if self._head.leave(job_id):
            self._wake.notify()

    def _come(self, job: Job) -> None:
        self._head.come(job)
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
        look_again_in_s, self._look_again_in_s = self._look_again_in_s, None
        if look_again_in_s is not None:
            await self._wake.wait_up_to(look_again_in_s)
        elif self._some_are_reserved:
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
        self._check_head()
        await self._assign_head()
        if self._head.is_whole:
            self._on_waiting(self._head.waiting())
        elif self._free_slots() or self._may_look():
            await self._ask_store()
        if self._may_be_orphans:
            self._may_be_orphans = False
            await self._orphans.give_back()

    def _check_head(self) -> None:
        """Lets go of the head when workers came, went or changed since it was read.

        What only these could run may be missing in it. So too once others may take what is in it.
        """
        linked = [each.worker for each in self._fleet.members() if each.link]
        workers = [(each.id, each.version) for each in linked]
        are_others_by_now = (
            not self._read_ahead.fixed and asyncio.get_running_loop().time() > self._reserved_until
        )
        if (workers != self._workers or are_others_by_now) and not self._head.is_whole:
            self._head.clear()
        self._workers = workers

    def _free_slots(self) -> FreeSlots:
        return FreeSlots(self._fleet.members(), self._fits, self._strategy)

    async def _assign_head(self) -> None:
        """Assigns what it can of the jobs at hand."""
        while any(self._head) and (given := self._free_slots().give(self._head)):
            await self._assign(given)

    def _may_look(self) -> bool:
        """Whether a queue longer than its head is worth another look although no slot is free.

        For those who provision workers; each job that is queued asks for it.
        """
        if not self._head.is_stale:
            return False
        left_s = self._looked_at + _LOOK_AGAIN_S - asyncio.get_running_loop().time()
        self._look_again_in_s = left_s if left_s > 0 else None
        return left_s <= 0

    def _tell(self, demands: Sequence[QueuedDemand], placed: Counter[DemandKey]) -> None:
        """Says what no slot took: what was queued, without what was placed since."""
        waiting: list[Waiting] = []
        for each in demands:
            taken = placed[demand_key(each.demand)]
            if each.count > taken:
                first_job = None if taken else each.first_job
                waiting.append(
                    Waiting(demand=each.demand, count=each.count - taken, first_job=first_job)
                )
        self._on_waiting(waiting)

    async def _ask_store(self) -> None:
        """Reads the head anew and assigns, until no slot or nothing for one is left.

        Where all of the queue may be at hand, all of it is read, also when no slot is free.
        """
        passed_over: set[DemandKey] = set()
        while True:
            self._head.begin_read()
            demands = await self._jobs.queued_demands()
            free = self._free_slots()
            wanted = self._wanted(demands, free, passed_over)
            began = asyncio.get_running_loop().time()
            self._reserved_until = began + RESERVED_S
            ahead = self._read_ahead.jobs(began)
            limit = min(_MOST_AT_ONCE, len(free)) + ahead
            claimed = await self._jobs.claimable(wanted, limit=limit) if wanted else []
            queued = sum(each.count for each in demands)
            self._head.fill(claimed, is_whole=queued <= len(claimed))
            self._some_are_reserved = bool(wanted) and not claimed
            before = Counter(each.key for each in self._head)
            await self._assign_head()
            left = Counter(each.key for each in self._head)
            passed_over |= left.keys()
            if self._head.is_whole or not claimed or not self._free_slots():
                break
        if not self._head.is_whole and (passed_over - left.keys() or not ahead):
            # It left out what had no room, or others may take it.
            self._head.clear()
        # Only a queue that is too long to be at hand is looked at again and again.
        now = asyncio.get_running_loop().time()
        self._looked_at = float("-inf") if self._head.is_whole else now
        self._tell(demands, before - left)

    def _wanted(
        self, demands: Sequence[QueuedDemand], free: FreeSlots, passed_over: set[DemandKey]
    ) -> list[str]:
        """The demands of which jobs are worth reading, by their ids."""
        if not passed_over and sum(each.count for each in demands) <= self._read_ahead.fixed:
            return [each.demand_id for each in demands]
        candidates = free.members()
        if candidates and self._read_ahead.fixed and not passed_over:
            candidates = [member for member in self._fleet.members() if member.link is not None]
        return [
            each.demand_id
            for each in demands
            if (key := demand_key(each.demand)) not in passed_over
            and any(self._fits(key, each.demand, member) for member in candidates)
        ]

    @contextmanager
    def slot_for(self, job: Job, at: datetime) -> Generator[Assignment]:
        """Gives the assignment of a job that is just being submitted: one commit then does both.

        Nothing where no slot is free, or something waits that it may be for. The slot is kept for
        the job until the block ends.
        """
        is_first = self._head.is_whole and not any(self._head)
        given = self._free_slots().give([QueuedJob.of(job)]) if is_first else []
        if not given:
            yield Assignment()
            return
        [(_, member)] = given
        events = decide.assign(job, worker_id=member.worker.id, draw=self._ids.token_bits())
        with promised(job, member):
            yield Assignment(events=tuple(events), workers=tuple(_leaving_after(given, at)))
        if self._fleet.get(member.worker.id) is not member:
            self._may_be_orphans = True
        self._wake.notify()

    async def _assign(self, given: Sequence[tuple[Job, Member]]) -> None:
        left = list(given)
        # Whoever is being taken down since the round began must not get a job: the commit that
        # ends a worker gives back what it holds by then, and what came later would be stuck.
        while left := [(job, member) for job, member in left if member.takes_jobs]:
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
                self._head.drop([job.id for job, _ in left if f"job:{job.id}" in moved_on])
                left = [(job, m) for job, m in left if f"job:{job.id}" not in moved_on]
                continue
            self._read_ahead.note(len(left), asyncio.get_running_loop().time())
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
