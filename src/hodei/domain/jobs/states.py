"""The states of a job and of its attempts, and the tables of what may follow what.

Rule 1: only `evolve` moves a job, only along `JOB_TRANSITIONS`, and only by an event.
Rule 2: a job in ASSIGNED or RUNNING has exactly one open attempt; in any other state it has none.
Rule 3: a terminal state is left only by RetryJob, which somebody asked for by name.
"""

from enum import StrEnum
from typing import Final


class JobState(StrEnum):
    """Where a job is."""

    PENDING = "PENDING"
    """Waits for a time, such as the end of a backoff. Entered by a retry; left when it is due."""
    QUEUED = "QUEUED"
    """May be given to any worker that fits. Left by the dispatcher, or when none can be made."""
    ASSIGNED = "ASSIGNED"
    """Given to a worker, which has not said yet that it runs. Left by the worker or its loss."""
    RUNNING = "RUNNING"
    """The worker runs it. Left by the worker's result or its loss."""
    SUCCEEDED = "SUCCEEDED"
    """Exited with 0."""
    FAILED = "FAILED"
    """The last attempt that it may have has failed; the reason says why."""
    CANCELLED = "CANCELLED"
    """Somebody asked for its end, and it has ended."""
    TIMED_OUT = "TIMED_OUT"
    """It ran longer than its timeout, or was not done by its deadline."""


TERMINAL: Final = frozenset(
    {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT}
)
HELD: Final = frozenset({JobState.ASSIGNED, JobState.RUNNING})
"""States in which a worker holds the job."""

JOB_TRANSITIONS: Final[dict[JobState, frozenset[JobState]]] = {
    JobState.PENDING: frozenset({JobState.QUEUED, JobState.CANCELLED, JobState.TIMED_OUT}),
    JobState.QUEUED: frozenset(
        # FAILED: no worker can ever be made for it.
        {JobState.ASSIGNED, JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT}
    ),
    JobState.ASSIGNED: frozenset(
        {
            JobState.RUNNING,
            # Lost before it ran, or refused by the agent's system.
            JobState.QUEUED,
            JobState.PENDING,
            *TERMINAL,
        }
    ),
    JobState.RUNNING: frozenset({JobState.QUEUED, JobState.PENDING, *TERMINAL}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.CANCELLED: frozenset({JobState.QUEUED}),
    JobState.TIMED_OUT: frozenset({JobState.QUEUED}),
}


class AttemptState(StrEnum):
    """Where one run of a job is."""

    ASSIGNED = "ASSIGNED"
    """Its worker was chosen, and may have been told."""
    RUNNING = "RUNNING"
    """Its process runs."""
    SUCCEEDED = "SUCCEEDED"
    """Exited with 0."""
    FAILED = "FAILED"
    """Exited with another code, died by a signal, or could not start."""
    CANCELLED = "CANCELLED"
    """Ended because somebody asked for it."""
    TIMED_OUT = "TIMED_OUT"
    """Ended because its time was up."""
    LOST = "LOST"
    """Its worker went away; whether it had an effect is not known."""


OPEN_ATTEMPT: Final = frozenset({AttemptState.ASSIGNED, AttemptState.RUNNING})

ATTEMPT_TRANSITIONS: Final[dict[AttemptState, frozenset[AttemptState]]] = {
    AttemptState.ASSIGNED: frozenset(AttemptState) - {AttemptState.ASSIGNED},
    AttemptState.RUNNING: frozenset(AttemptState) - OPEN_ATTEMPT,
    **{state: frozenset() for state in frozenset(AttemptState) - OPEN_ATTEMPT},
}
