"""What a job is after an event. Total over the events, and the only place that moves a job."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import TypedDict, Unpack, assert_never

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
)
from hodei.domain.jobs.job import Attempt, CancelRequest, Job
from hodei.domain.jobs.reasons import Reason
from hodei.domain.jobs.states import JOB_TRANSITIONS, AttemptState, JobState
from hodei.kernel.errors import BrokenError


def evolve(job: Job | None, event: JobEvent, at: datetime) -> Job:
    """The job after `event`, which happened at `at`.

    Raises:
        BrokenError: The event cannot follow; the history is not one of ours.
    """
    if isinstance(event, JobCreated):
        if job is not None:
            raise BrokenError(f"job {event.job_id} was created twice")
        return Job(
            id=event.job_id,
            version=1,
            spec=event.spec,
            queued_by=event.queued_by,
            # Born as if it waited until now: the JobQueued that always follows ends the wait.
            state=JobState.PENDING,
            not_before=at,
            created_at=at,
            queued_at=at,
            deadline=event.deadline,
        )
    if job is None:
        raise BrokenError(f"{type(event).__name__} comes before JobCreated")
    return _apply(job, event, at)


def evolve_all(job: Job | None, events: Iterable[JobEvent], at: datetime) -> Job:
    """The job after several events of one moment."""
    for event in events:
        job = evolve(job, event, at)
    if job is None:
        raise BrokenError("no event, no job")
    return job


def _apply(job: Job, event: JobEvent, at: datetime) -> Job:  # noqa: C901, PLR0911, PLR0912 - one arm an event
    match event:
        case JobQueued():
            # After JobRetried without a wait, or JobDispatchFailed, it is in QUEUED already.
            waits: _Changes = {"queued_at": at, "not_before": None}
            if job.state is JobState.QUEUED:
                return _next(job, **waits)
            return _move(job, JobState.QUEUED, **waits)
        case JobAssigned():
            attempt = Attempt(
                number=event.attempt,
                worker_id=event.worker_id,
                token=event.token,
                state=AttemptState.ASSIGNED,
                queued_at=job.queued_at,
                assigned_at=at,
            )
            return _move(job, JobState.ASSIGNED, attempts=(*job.attempts, attempt))
        case JobAccepted():
            started = replace(job.attempts[-1], state=AttemptState.RUNNING, started_at=at)
            return _move(
                job,
                JobState.RUNNING,
                attempts=(*job.attempts[:-1], started),
                used_attempts=job.used_attempts + 1,
            )
        case JobDispatchFailed():
            return _move(job, JobState.QUEUED, **_attempt_ended(job, event.end, at, counts=False))
        case JobRetried():
            ended = _attempt_ended(job, event.end, at)
            if event.not_before is None:
                return _move(job, JobState.QUEUED, **ended)
            ended["not_before"] = event.not_before
            return _move(job, JobState.PENDING, **ended)
        case JobCancelRequested():
            return _next(job, cancel_requested=CancelRequest(by=event.by, message=event.message))
        case JobRetryRequested():
            return _move(
                job,
                JobState.QUEUED,
                used_attempts=0,
                cancel_requested=None,
                reason=None,
                finished_at=None,
                # A deadline counts from the submission; who retries after it has waived it.
                deadline=None,
            )
        case JobSucceeded():
            return _finish(job, JobState.SUCCEEDED, None, event.end, at)
        case JobFailed():
            return _finish(job, JobState.FAILED, event.reason, event.end, at)
        case JobCancelled():
            return _finish(job, JobState.CANCELLED, event.reason, event.end, at)
        case JobTimedOut():
            return _finish(job, JobState.TIMED_OUT, event.reason, event.end, at)
        case JobCreated():
            raise BrokenError(f"job {job.id} was created twice")
        case _:
            assert_never(event)


class _Changes(TypedDict, total=False):
    """What an event may change of a job."""

    state: JobState
    queued_at: datetime
    not_before: datetime | None
    deadline: datetime | None
    finished_at: datetime | None
    cancel_requested: CancelRequest | None
    attempts: tuple[Attempt, ...]
    used_attempts: int
    reason: Reason | None


def _next(job: Job, **changes: Unpack[_Changes]) -> Job:
    """The job one event later. One copy for all changes: a job is copied for each of its events."""
    return replace(job, version=job.version + 1, **changes)


def _move(job: Job, to: JobState, **changes: Unpack[_Changes]) -> Job:
    if to not in JOB_TRANSITIONS[job.state]:
        raise BrokenError(f"job {job.id} cannot go from {job.state} to {to}")
    changes["state"] = to
    return _next(job, **changes)


def _attempt_ended(job: Job, end: AttemptEnd, at: datetime, *, counts: bool = True) -> _Changes:
    """What changes of a job whose open attempt ends."""
    current = job.current
    if current is None or current.number != end.number:
        raise BrokenError(f"attempt {end.number} of job {job.id} is not open")
    # One that ran was counted when it was accepted; a result without that is counted now.
    uncounted = counts and current.state is AttemptState.ASSIGNED
    return {
        "attempts": (*job.attempts[:-1], current.ended(end, at)),
        "used_attempts": job.used_attempts + uncounted,
    }


def _finish(
    job: Job, to: JobState, why: Reason | None, end: AttemptEnd | None, at: datetime
) -> Job:
    changes: _Changes = {"reason": why, "finished_at": at, "not_before": None}
    if end is not None:
        changes.update(_attempt_ended(job, end, at))
    return _move(job, to, **changes)
