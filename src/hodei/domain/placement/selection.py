"""Which of several providers that could make a worker is asked for it."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from hodei.domain.placement.demand import Demand
from hodei.domain.placement.fit import Offer, preference


class Strategy(StrEnum):
    """What decides among providers that fit. Where it does not, the next by priority is asked."""

    FIRST_AVAILABLE = "first-available"
    """The one with the highest priority that may make one."""
    LOWEST_COST = "lowest-cost"
    """The cheapest; those whose cost is not known come last."""
    FASTEST_STARTUP = "fastest-startup"
    """The one whose workers came up quickest of late; one that was never tried comes first."""
    MOST_CAPACITY = "most-capacity"
    """The one that may make the most workers."""
    ROUND_ROBIN = "round-robin"
    """The one that was not asked for longest, so that they take turns."""
    HEALTHIEST = "healthiest"
    """The one with the fewest failures in a row."""

    @property
    def is_for_each_worker(self) -> bool:
        """Whether one worker more may change who is asked for the next."""
        return self in {Strategy.MOST_CAPACITY, Strategy.ROUND_ROBIN}


NamedT = TypeVar("NamedT", bound=StrEnum)


def named(choices: type[NamedT], text: str) -> NamedT | None:
    """The choice of this name, however it is written: `RoundRobin` is `round-robin`; None when none is."""
    letters = re.sub(r"[^a-z]", "", text.lower())
    return next((each for each in choices if each.replace("-", "") == letters), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is known of a provider that is to be chosen or not."""

    offer: Offer
    may_make: int
    """Workers."""
    priority: int
    cost_per_hour: float | None
    startup_s: float | None
    failures: int
    turn: int
    """When it was asked last."""


Rank = tuple[float, ...]


def rank(strategy: Strategy, demand: Demand, choice: Choice) -> Rank:
    """By which it is chosen: the lowest goes first.

    What the job says itself, a provider's name or a region, goes before any strategy.
    """
    is_named = demand.preferred_provider == choice.offer.provider
    by_job = (-float(is_named), -float(preference(demand, choice.offer)))
    return (*by_job, *_by_strategy(strategy, choice), -float(choice.priority))


def _by_strategy(strategy: Strategy, choice: Choice) -> Rank:
    match strategy:
        case Strategy.FIRST_AVAILABLE:
            return ()
        case Strategy.LOWEST_COST:
            cost = choice.cost_per_hour
            return (1.0, 0.0) if cost is None else (0.0, cost)
        case Strategy.FASTEST_STARTUP:
            return (-1.0 if choice.startup_s is None else choice.startup_s,)
        case Strategy.MOST_CAPACITY:
            return (-float(choice.may_make),)
        case Strategy.ROUND_ROBIN:
            return (float(choice.turn),)
        case Strategy.HEALTHIEST:
            return (float(choice.failures),)
