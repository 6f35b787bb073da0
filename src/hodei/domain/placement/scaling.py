"""How many workers are wanted, decided from the queue at once and not on a tick."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hodei.domain.placement.demand import Demand
from hodei.domain.placement.fit import Offer, misfits
from hodei.domain.placement.kinds import WorkerKind, kind_of
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
    waiting: Sequence[Waiting], coming: Sequence[Coming], sources: Sequence[Source]
) -> list[Want]:
    """What to provision so that every waiting job that can get a slot gets one soon.

    Args:
        waiting: In the order of the queue.
        coming: Each slot is counted for one waiting job only.
        sources: In the order of preference.
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
        for stock in stocks:
            if left <= 0 or misfits(group.demand, stock.source.offer):
                continue
            want = stock.take(group.demand, left)
            left -= want.count * stock.source.slots_per_worker
            if want.count and for_job is not None:
                wants.append(replace(want, count=1, for_job=for_job))
                want = replace(want, count=want.count - 1)
                for_job = None
            if want.count:
                wants.append(want)
    return wants


class _Stock:
    """What is left of what a source may make."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._left = source.may_make
        self._left_of = dict(source.may_make_of)

    def take(self, demand: Demand, slots: int) -> Want:
        """Workers for so many slots, as far as there may be more."""
        kind = None if self.source.offer.containers is None else kind_of(demand)
        most = self._left
        if kind is not None and kind in self._left_of:
            most = min(most, self._left_of[kind])
        count = max(0, min(most, math.ceil(slots / self.source.slots_per_worker)))
        self._left -= count
        if kind is not None and kind in self._left_of:
            self._left_of[kind] -= count
        return Want(provider=self.source.offer.provider, count=count, for_job=None, kind=kind)
