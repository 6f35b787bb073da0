"""A job as it is now: the fold of its events."""

from dataclasses import dataclass, replace
from datetime import datetime
from itertools import filterfalse, takewhile

from hodei.domain.jobs.events import AttemptEnd, Usage
from hodei.domain.jobs.reasons import Reason
from hodei.domain.jobs.spec import JobSpec
from hodei.domain.jobs.states import HELD, OPEN_ATTEMPT, TERMINAL, AttemptState, JobState
from hodei.kernel.errors import BrokenError
from hodei.kernel.ids import FencingToken, JobId, WorkerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of a job on one worker."""

    number: int
    """1 for the first; never used twice."""
    worker_id: WorkerId
    token: FencingToken
    state: AttemptState
    queued_at: datetime
    assigned_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: Reason | None = None
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    usage: Usage | None = None

    @property
    def is_open(self) -> bool:
        """Whether a worker may still speak of it."""
        return self.state in OPEN_ATTEMPT

    def ended(self, end: AttemptEnd, at: datetime) -> "Attempt":
        """This attempt with its end."""
        return replace(
            self,
            state=end.state,
            finished_at=at,
            exit_code=end.exit_code,
            signal=end.signal,
            reason=end.reason,
            stdout_bytes=end.stdout_bytes,
            stderr_bytes=end.stderr_bytes,
            usage=end.usage,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    """Who asked for the job's end, and why."""

    by: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it is now."""

    id: JobId
    version: int
    """The number of its events so far."""
    spec: JobSpec
    queued_by: str
    state: JobState
    created_at: datetime
    queued_at: datetime
    """When it was last queued; the queue is ordered by the first time, `created_at`."""
    deadline: datetime | None = None
    not_before: datetime | None = None
    """In PENDING: when it is queued."""
    finished_at: datetime | None = None
    cancel_requested: CancelRequest | None = None
    attempts: tuple[Attempt, ...] = ()
    used_attempts: int = 0
    """Attempts that count against the retry policy, since the last RetryJob."""
    reason: Reason | None = None
    """In a terminal state: why. None for SUCCEEDED."""

    @property
    def current(self) -> Attempt | None:
        """The open attempt, where there is one."""
        if self.attempts and self.attempts[-1].is_open:
            return self.attempts[-1]
        return None

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self.state in TERMINAL

    @property
    def exit_code(self) -> int | None:
        """The exit code of the last attempt, in a terminal state."""
        return self.attempts[-1].exit_code if self.is_terminal and self.attempts else None

    @property
    def lost_unstarted_in_a_row(self) -> int:
        """How many attempts, up to the last that is over, were lost without being known to run."""
        lost = takewhile(
            lambda each: each.state is AttemptState.LOST and each.started_at is None,
            filterfalse(lambda each: each.is_open, reversed(self.attempts)),
        )
        return sum(1 for _ in lost)

    def check(self) -> None:
        """Asserts the rules of `states`.

        Raises:
            BrokenError: One does not hold; a defect of ours.
        """
        problems = [
            problem
            for holds, problem in (
                (
                    (self.state in HELD) == (self.current is not None),
                    "an open attempt in HELD states only",
                ),
                (sum(a.is_open for a in self.attempts) <= 1, "at most one open attempt"),
                (
                    [a.number for a in self.attempts] == list(range(1, len(self.attempts) + 1)),
                    "attempts numbered from 1 without a gap",
                ),
                (
                    self.is_terminal == (self.finished_at is not None),
                    "a time of ending exactly in terminal states",
                ),
                (
                    (self.state is JobState.PENDING) == (self.not_before is not None),
                    "a due time exactly in PENDING",
                ),
                (
                    (self.reason is None)
                    == (not self.is_terminal or self.state is JobState.SUCCEEDED),
                    "a reason exactly for an end other than SUCCEEDED",
                ),
                (self.used_attempts <= len(self.attempts), "no more used attempts than attempts"),
            )
            if not holds
        ]
        if problems:
            raise BrokenError(f"job {self.id} breaks: {', '.join(problems)}")
