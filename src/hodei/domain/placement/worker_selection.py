"""Which of several workers with a free slot gets a job."""

from dataclasses import dataclass
from enum import StrEnum

from hodei.domain.placement.selection import Rank


class WorkerStrategy(StrEnum):
    """What decides among workers that fit and have room. Among equals it is the oldest."""

    FIRST_AVAILABLE = "first-available"
    """The oldest, until it is full: others become idle and may be taken down."""
    LEAST_LOADED = "least-loaded"
    """The one with the largest share of its slots free."""
    MOST_CAPACITY = "most-capacity"
    """The one with the most free slots."""
    ROUND_ROBIN = "round-robin"
    """The one that was given a job longest ago, so that they take turns."""
    AFFINITY = "affinity"
    """One that ran a job of the same name of late, whose files and caches it may still have; else
    the least loaded."""


@dataclass(frozen=True, slots=True)
class WorkerChoice:
    """What is known of a worker that is to be chosen or not."""

    free: int
    """Slots."""
    slots: int
    given: int
    """Jobs that it gets in the same round already."""
    turn: float
    """When it was given its last job before."""
    has_run_alike: bool


def worker_rank(strategy: WorkerStrategy, choice: WorkerChoice) -> Rank:
    """By which it is chosen: the highest goes first."""
    match strategy:
        case WorkerStrategy.FIRST_AVAILABLE:
            return ()
        case WorkerStrategy.LEAST_LOADED:
            return (choice.free / choice.slots,)
        case WorkerStrategy.MOST_CAPACITY:
            return (choice.free,)
        case WorkerStrategy.ROUND_ROBIN:
            return (-choice.given, -choice.turn)
        case WorkerStrategy.AFFINITY:
            return (choice.has_run_alike, choice.free / choice.slots)
