"""How many workers are wanted, decided from the queue at once and not on a tick."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hodei.domain.placement.demand import Demand
from hodei.domain.placement.fit import Offer, misfits
from hodei.kernel.ids import JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Jobs of one demand that no free slot took."""

    demand: Demand
    count: int
    first_job: JobId


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """Workers to provision."""

    provider: str
    count: int
    for_job: JobId | None
    """The job that goes first, for the worker that it will have; None for the others'."""


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
    may_make = [each.may_make for each in sources]
    wants: list[Want] = []
    for group in waiting:
        left = group.count
        for_job: JobId | None = group.first_job
        for index, each in enumerate(coming):
            if left and slots_left[index] and not misfits(group.demand, each.offer):
                used = min(left, slots_left[index])
                slots_left[index] -= used
                left -= used
                for_job = None
        for index, source in enumerate(sources):
            if left <= 0 or may_make[index] <= 0 or misfits(group.demand, source.offer):
                continue
            count = min(may_make[index], math.ceil(left / source.slots_per_worker))
            may_make[index] -= count
            left -= count * source.slots_per_worker
            if for_job is not None:
                wants.append(Want(provider=source.offer.provider, count=1, for_job=for_job))
                count -= 1
                for_job = None
            if count:
                wants.append(Want(provider=source.offer.provider, count=count, for_job=None))
    return wants
