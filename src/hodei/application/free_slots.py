"""Which free slot a job gets: the choice alone, without the commit that makes it true."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field

from hodei.application.fleet import Member
from hodei.application.queue_head import QueuedJob
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.spec import Resources
from hodei.domain.placement.admission import Admission
from hodei.domain.placement.demand import Demand, DemandKey
from hodei.domain.placement.fit import fits_beside, misfits, preference
from hodei.domain.placement.worker_selection import (
    Rank,
    WorkerChoice,
    WorkerStrategy,
    worker_rank,
)
from hodei.kernel.ids import WorkerId

_MOST_REMEMBERED = 100_000


class Fits:
    """Which demands may ever run on which workers; asked for each job and each slot."""

    def __init__(self) -> None:
        self._known: dict[tuple[DemandKey, WorkerId, int], tuple[Admission, bool]] = {}

    def __call__(self, key: DemandKey, demand: Demand, member: Member) -> bool:
        """Whether the worker could run it, were it idle."""
        fit = (key, member.worker.id, member.worker.version)
        admission = member.admission
        known = self._known.get(fit)
        # Of the provider, which an operator may change while the worker stays as it is.
        if known is None or known[0] is not admission:
            if len(self._known) > _MOST_REMEMBERED:
                self._known.clear()
            known = self._known[fit] = (admission, not misfits(demand, member.offer))
        return known[1]


@dataclass(slots=True)
class _Slots:
    """A member with what was given to it already."""

    member: Member
    free: int
    taken: list[Resources] = field(default_factory=list[Resources])
    given: int = 0

    def as_choice(self, job: Job) -> WorkerChoice:
        """What decides whether it is chosen for the job."""
        member = self.member
        return WorkerChoice(
            free=self.free,
            slots=member.worker.slots,
            given=self.given,
            # What it is about to get is newer than all that any worker got.
            turn=float("inf") if member.promised else member.turn,
            has_run_alike=job.spec.name in member.names,
        )


class FreeSlots:
    """The free slots of this moment, and what has been given away of them."""

    def __init__(self, members: Iterable[Member], fits: Fits, strategy: WorkerStrategy) -> None:
        self._fits = fits
        self._strategy = strategy
        self._slots = [
            _Slots(member, member.free_slots, member.taken())
            for member in members
            if member.free_slots
        ]

    def __len__(self) -> int:
        return sum(each.free for each in self._slots)

    def members(self) -> list[Member]:
        """Those that have any left."""
        return [each.member for each in self._slots if each.free]

    def give(self, jobs: Iterable[QueuedJob]) -> list[tuple[Job, Member]]:
        """Gives slots to jobs in their order; those without room let others by."""
        given: list[tuple[Job, Member]] = []
        without_room: set[DemandKey] = set()
        left = len(self)
        for each in jobs:
            if len(given) == left:
                break
            if each.key in without_room:
                continue
            slots = self._best(each)
            if slots is None:
                without_room.add(each.key)
                continue
            slots.free -= 1
            slots.given += 1
            slots.taken.append(each.demand.resources)
            given.append((each.job, slots.member))
        return given

    def _best(self, job: QueuedJob) -> _Slots | None:
        """The one that the strategy chooses of the most liked workers that have room now."""
        best: _Slots | None = None
        best_rank: Rank = ()
        for slots in self._slots:
            if not slots.free or not self._fits(job.key, job.demand, slots.member):
                continue
            offer = slots.member.offer
            if not fits_beside(job.demand.resources, offer.resources, slots.taken):
                continue
            liking = preference(job.demand, offer)
            rank = (liking, *worker_rank(self._strategy, slots.as_choice(job.job)))
            if best is None or rank > best_rank:
                best, best_rank = slots, rank
        return best


@contextmanager
def promised(job: Job, member: Member) -> Generator[None]:
    """Keeps a slot from others until the commit that takes it is known."""
    member.promised[job.id] = job.spec.resources
    try:
        yield
    finally:
        member.promised.pop(job.id, None)
