"""What may happen to a job next: each function takes the job and returns the events that follow.

None of them changes anything; `evolve` says what the events lead to. An empty list means that
what was asked for is already so.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hodei.domain.jobs.events import (
    AttemptEnd,
    JobAccepted,
    JobAssigned,
    JobCancelled,
    JobCancelRequested,
    JobCreated,
    JobDispatchFailed,
    JobEvent,
    JobFailed,
    JobQueued,
    JobRetried,
    JobRetryRequested,
    JobSucceeded,
    JobTimedOut,
    Usage,
)
from hodei.domain.jobs.job import Attempt, Job
from hodei.domain.jobs.reasons import Reason, ReasonCode, reason
from hodei.domain.jobs.retry import backoff_s, may_retry
from hodei.domain.jobs.spec import JobSpec
from hodei.domain.jobs.states import AttemptState, JobState
from hodei.kernel.errors import StaleAttemptError, WrongStateError
from hodei.kernel.ids import FencingToken, JobId, WorkerId

_MOST_LOST_UNSTARTED = 3
"""So many attempts in a row are lost before they are known to run, until one of them counts. One is
an accident; a job that ends its agent as it starts would else be begun without end."""

_TIMEOUTS = frozenset({ReasonCode.EXECUTION_TIMEOUT, ReasonCode.DEADLINE_EXCEEDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a worker says of the end of an attempt."""

    attempt: int
    token: FencingToken
    reason: Reason | None
    """None for an exit with 0."""
    exit_code: int | None = None
    signal: int | None = None
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    usage: Usage | None = None


def submit(job_id: JobId, spec: JobSpec, *, queued_by: str, now: datetime) -> list[JobEvent]:
    """The first events of a new job."""
    deadline = None if spec.deadline_s is None else now + timedelta(seconds=spec.deadline_s)
    return [
        JobCreated(job_id=job_id, spec=spec, queued_by=queued_by, deadline=deadline),
        JobQueued(),
    ]


def assign(job: Job, *, worker_id: WorkerId, draw: int) -> list[JobEvent]:
    """Gives a queued job to a worker.

    Args:
        job: The job.
        worker_id: The worker that gets it.
        draw: 31 random bits; they make the token unguessable, the attempt number above them
            makes it grow.

    Raises:
        WrongStateError: The job is not queued.
    """
    if job.state is not JobState.QUEUED:
        raise WrongStateError(f"job {job.id} is {job.state}, not QUEUED")
    number = len(job.attempts) + 1
    token = FencingToken(number << 31 | draw)
    return [JobAssigned(attempt=number, worker_id=worker_id, token=token)]


def accept(job: Job, *, attempt: int, token: FencingToken) -> list[JobEvent]:
    """The worker says that it has started the attempt.

    Raises:
        StaleAttemptError: The attempt is not the job's current one.
    """
    current = _current(job, attempt, token)
    return [] if current.state is AttemptState.RUNNING else [JobAccepted(attempt=attempt)]


def finish(job: Job, outcome: Outcome, *, now: datetime, draw: float) -> list[JobEvent]:
    """The worker says how the attempt ended.

    Args:
        job: The job.
        outcome: What the worker says.
        now: The time from which a backoff is counted.
        draw: In [0, 1), for the backoff's jitter.

    Raises:
        StaleAttemptError: The attempt is not the job's current one.
    """
    current = _current(job, outcome.attempt, outcome.token)
    end = AttemptEnd(
        number=outcome.attempt,
        state=_state_for(outcome.reason),
        exit_code=outcome.exit_code,
        signal=outcome.signal,
        reason=outcome.reason,
        stdout_bytes=outcome.stdout_bytes,
        stderr_bytes=outcome.stderr_bytes,
        usage=outcome.usage,
    )
    if outcome.reason is None:
        return [JobSucceeded(end=end)]
    # A result proves that the attempt was tried, whether or not JobAccepted arrived before it.
    used = job.used_attempts + (current.state is AttemptState.ASSIGNED)
    return _after_failure(job, end, outcome.reason, used=used, now=now, draw=draw)


def lose(
    job: Job,
    *,
    attempt: int,
    message: str,
    now: datetime,
    draw: float,
    code: ReasonCode = ReasonCode.WORKER_LOST,
) -> list[JobEvent]:
    """The attempt's worker is gone, and so is the whole tree of its processes.

    `code` says so where it is known why, such as for lack of memory.

    Raises:
        StaleAttemptError: The attempt is not the job's current one.
    """
    current = job.current
    if current is None or current.number != attempt:
        raise StaleAttemptError(f"attempt {attempt} of job {job.id} is not open")
    is_unstarted = current.state is AttemptState.ASSIGNED
    lost = job.lost_unstarted_in_a_row + is_unstarted
    counts = not is_unstarted or lost % _MOST_LOST_UNSTARTED == 0
    if is_unstarted and counts:
        message = f"{message}; {lost} workers in a row were lost as they began this job"
    why = reason(code, message)
    end = AttemptEnd(number=attempt, state=AttemptState.LOST, reason=why)
    if not counts and job.cancel_requested is None:
        return [JobDispatchFailed(end=end), JobQueued()]
    used = job.used_attempts + is_unstarted
    return _after_failure(job, end, why, used=used, now=now, draw=draw)


def give_up(job: Job, *, message: str) -> list[JobEvent]:
    """No worker can ever be made for the job; empty when it waits for none any more."""
    if job.state is not JobState.QUEUED:
        return []
    return [JobFailed(reason=reason(ReasonCode.PROVISIONING_FAILED, message))]


def cancel(job: Job, *, by: str, message: str) -> list[JobEvent]:
    """Somebody asks for the job's end.

    Raises:
        WrongStateError: It has ended in another way.
    """
    if job.state is JobState.CANCELLED or (job.cancel_requested and not job.is_terminal):
        return []
    if job.is_terminal:
        raise WrongStateError(f"job {job.id} has already ended as {job.state}")
    requested = JobCancelRequested(by=by, message=message)
    if job.current is not None:
        return [requested]
    return [requested, JobCancelled(reason=_cancelled_by(by, message))]


def retry(job: Job, *, by: str) -> list[JobEvent]:
    """Somebody asks for a fresh round of attempts.

    Raises:
        WrongStateError: The job has not ended, or has succeeded.
    """
    if job.state is JobState.SUCCEEDED:
        raise WrongStateError(f"job {job.id} has succeeded: queue it again under another id")
    if not job.is_terminal:
        raise WrongStateError(f"job {job.id} is {job.state}: cancel it first, or wait for its end")
    return [JobRetryRequested(by=by), JobQueued()]


def fall_due(job: Job, *, now: datetime) -> list[JobEvent]:
    """The time for which the job waits, or its deadline, may have come."""
    if job.is_terminal:
        return []
    if job.deadline is not None and now >= job.deadline and job.current is None:
        message = "the job had not ended by its deadline"
        return [JobTimedOut(reason=reason(ReasonCode.DEADLINE_EXCEEDED, message))]
    if job.not_before is not None and now >= job.not_before:
        return [JobQueued()]
    return []


def _current(job: Job, attempt: int, token: FencingToken) -> Attempt:
    current = job.current
    if current is None or current.number != attempt or current.token != token:
        raise StaleAttemptError(
            f"attempt {attempt} of job {job.id} is not the current one: discard it"
        )
    return current


def _state_for(why: Reason | None) -> AttemptState:
    if why is None:
        return AttemptState.SUCCEEDED
    if why.code in _TIMEOUTS:
        return AttemptState.TIMED_OUT
    return AttemptState.CANCELLED if why.code is ReasonCode.CANCELLED else AttemptState.FAILED


def _cancelled_by(by: str, message: str) -> Reason:
    text = f"cancelled by {by or 'a client'}" + (f": {message}" if message else "")
    return reason(ReasonCode.CANCELLED, text)


def _after_failure(
    job: Job, end: AttemptEnd, why: Reason, *, used: int, now: datetime, draw: float
) -> list[JobEvent]:
    if job.cancel_requested is not None:
        request = job.cancel_requested
        return [JobCancelled(reason=_cancelled_by(request.by, request.message), end=end)]
    if may_retry(job.spec.retry, used_attempts=used, code=why.code):
        wait_s = backoff_s(job.spec.retry, used_attempts=used, draw=draw)
        return _retry_after(job, end, why, wait_s=wait_s, now=now)
    if why.code in _TIMEOUTS:
        return [JobTimedOut(reason=why, end=end)]
    if why.code is ReasonCode.CANCELLED:
        return [JobCancelled(reason=why, end=end)]
    return [JobFailed(reason=why, end=end)]


def _retry_after(
    job: Job, end: AttemptEnd, why: Reason, *, wait_s: float, now: datetime
) -> list[JobEvent]:
    due = now + timedelta(seconds=wait_s)
    if job.deadline is not None and due >= job.deadline:
        message = f"{why.message}; no attempt can follow before its deadline"
        return [JobTimedOut(reason=reason(ReasonCode.DEADLINE_EXCEEDED, message), end=end)]
    if wait_s <= 0:
        return [JobRetried(end=end, not_before=None), JobQueued()]
    return [JobRetried(end=end, not_before=due)]
