"""How many workers are wanted, decided from the queue at once and not on a tick."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from hodei.domain.placement.demand import Demand
from hodei.domain.placement.fit import Offer, misfits
from hodei.domain.placement.kinds import WorkerKind, kind_of
from hodei.domain.placement.selection import Choice, Strategy, rank
from hodei.kernel.ids import JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Jobs of one demand that no free slot took."""

    demand: Demand
    count: int
    first_job: JobId | None
    """The one that goes first, where it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """Slots that are there soon."""

    offer: Offer
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A provider that may make workers."""

    offer: Offer
    """What its next worker would have."""
    slots_per_worker: int
    may_make: int
    """How many more workers it may have."""
    may_make_of: dict[WorkerKind, int] = field(default_factory=dict[WorkerKind, int])
    """As above, of kinds that it could not make lately."""
    priority: int = 0
    """Those with more are asked first."""
    cost_per_hour: float | None = None
    """Of a worker; None where it is not known."""
    startup_s: float | None = None
    """How long its workers took of late to come up; None where there was none."""
    failures: int = 0
    """Workers in a row that it could not make."""
    turn: int = 0
    """When it was asked last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """Workers to provision."""

    provider: str
    count: int
    for_job: JobId | None
    """The job that goes first, for the worker that it will have; None for the others'."""
    kind: WorkerKind | None = None
    """What they are made for, where the provider makes more than one kind."""


def workers_wanted(
    waiting: Sequence[Waiting],
    coming: Sequence[Coming],
    sources: Sequence[Source],
    *,
    strategy: Strategy = Strategy.FIRST_AVAILABLE,
) -> list[Want]:
    """What to provision so that every waiting job that can get a slot gets one soon.

    Args:
        waiting: In the order of the queue.
        coming: Each slot is counted for one waiting job only.
        sources: Among equals, those that stand first are asked first.
        strategy: Who is asked.
    """
    slots_left = [each.slots for each in coming]
    stocks = [_Stock(each) for each in sources]
    wants: list[Want] = []
    for group in waiting:
        left = group.count
        for_job = group.first_job
        for index, each in enumerate(coming):
            if left and slots_left[index] and not misfits(group.demand, each.offer):
                used = min(left, slots_left[index])
                slots_left[index] -= used
                left -= used
                for_job = None
        fitting = [each for each in stocks if not misfits(group.demand, each.source.offer)]
        for want in _taken(group.demand, left, fitting, strategy):
            if for_job is not None:
                wants.append(replace(want, count=1, for_job=for_job))
                want = replace(want, count=want.count - 1)  # noqa: PLW2901 - the rest of it
                for_job = None
            if want.count:
                wants.append(want)
    return wants


def in_order(demand: Demand, sources: Sequence[Source], strategy: Strategy) -> list[Source]:
    """The sources as they are asked for a worker for such a job, whether or not they may make one."""
    stocks = sorted(
        map(_Stock, sources), key=lambda each: rank(strategy, demand, each.choice(demand))
    )
    return [each.source for each in stocks]


def _taken(
    demand: Demand, slots: int, stocks: Sequence["_Stock"], strategy: Strategy
) -> Iterator[Want]:
    """Workers for so many slots, from whom the strategy says."""
    left, turn = slots, max((each.source.turn for each in stocks), default=0)
    while left > 0:
        able = [each for each in stocks if each.left_for(demand)]
        if not able:
            return
        stock = min(able, key=lambda each: rank(strategy, demand, each.choice(demand)))
        each_time = min(left, stock.source.slots_per_worker)
        want = stock.take(demand, each_time if strategy.is_for_each_worker else left)
        turn += 1
        stock.turn = turn
        left -= want.count * stock.source.slots_per_worker
        yield want


class _Stock:
    """What is left of what a source may make."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.turn = source.turn
        self._left = source.may_make
        self._left_of = dict(source.may_make_of)

    def left_for(self, demand: Demand) -> int:
        """Workers that there may be for such jobs."""
        return min(self._left, self._left_of.get(kind_of(demand), self._left))

    def choice(self, demand: Demand) -> Choice:
        """What is known of it now."""
        source = self.source
        return Choice(
            offer=source.offer,
            may_make=self.left_for(demand),
            priority=source.priority,
            cost_per_hour=source.cost_per_hour,
            startup_s=source.startup_s,
            failures=source.failures,
            turn=self.turn,
        )

    def take(self, demand: Demand, slots: int) -> Want:
        """Workers for so many slots, as far as there may be more."""
        kind = None if self.source.offer.containers is None else kind_of(demand)
        most = self.left_for(demand)
        count = max(0, min(most, math.ceil(slots / self.source.slots_per_worker)))
        self._left -= count
        if kind is not None and kind in self._left_of:
            self._left_of[kind] -= count
        return Want(provider=self.source.offer.provider, count=count, for_job=None, kind=kind)
