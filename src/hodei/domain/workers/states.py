"""The states of a worker, and the table of what may follow what.

`READY` and `BUSY` are one stored state: a worker is BUSY exactly while a job is assigned to it or
runs on it, which the jobs' own events say. Storing it twice would be two truths, and two more
commits a job. `shown_state` joins them for people.
"""

from enum import StrEnum
from typing import Final


class WorkerState(StrEnum):
    """Where a worker is."""

    REQUESTED = "REQUESTED"
    """Wanted; the provider has not been asked yet, or has not answered."""
    STARTING = "STARTING"
    """The provider has made its instance; it has not enrolled yet."""
    READY = "READY"
    """Enrolled, and takes jobs. Whether its stream is up is `connected`, not a state."""
    BUSY = "BUSY"
    """READY with at least one job; never stored."""
    DRAINING = "DRAINING"
    """Finishes what it has and takes nothing new."""
    TERMINATED = "TERMINATED"
    """Gone as intended, and its instance with it."""
    LOST = "LOST"
    """Gone without being asked, or never came; its instance is confirmed gone."""


ENDED: Final = frozenset({WorkerState.TERMINATED, WorkerState.LOST})

WORKER_TRANSITIONS: Final[dict[WorkerState, frozenset[WorkerState]]] = {
    WorkerState.REQUESTED: frozenset(
        # READY: an agent that starts faster than its provider answers.
        {WorkerState.STARTING, WorkerState.READY, *ENDED}
    ),
    WorkerState.STARTING: frozenset({WorkerState.READY, WorkerState.DRAINING, *ENDED}),
    WorkerState.READY: frozenset({WorkerState.BUSY, WorkerState.DRAINING, *ENDED}),
    WorkerState.BUSY: frozenset({WorkerState.READY, WorkerState.DRAINING, *ENDED}),
    WorkerState.DRAINING: ENDED,
    WorkerState.TERMINATED: frozenset(),
    WorkerState.LOST: frozenset(),
}


def shown_state(stored: WorkerState, *, held_jobs: int) -> WorkerState:
    """The state as people see it: READY with jobs is BUSY."""
    return WorkerState.BUSY if stored is WorkerState.READY and held_jobs else stored
