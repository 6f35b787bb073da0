"""What may happen to a task: one decision for each thing that is heard of it.

A decision is the task's next row and, where it is the end, what its run is told. The store writes
both or neither, and only over the row that was decided on. Rules:

1. A worker's word counts only with the token of the current attempt.
2. A run is told once of each command, whatever its task went through.
3. Attempts change the task alone; a history tells of the last one.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from hodei.durable import codec
from hodei.durable.events import ActivityFailed, ActivityScheduled, ActivitySucceeded, Result
from hodei.durable.failures import (
    HEARTBEAT,
    SCHEDULE_TO_CLOSE,
    SCHEDULE_TO_START,
    START_TO_CLOSE,
    Ended,
    Failure,
)
from hodei.durable.retry import attempts_used, backoff_s, is_final
from hodei.kernel.errors import StaleAttemptError
from hodei.ports.durable import TaskWrite
from hodei.ports.durable_rows import (
    Delivery,
    DeliveryKind,
    Payload,
    RunId,
    RunRow,
    TaskId,
    TaskRow,
    TaskState,
)

_TOKEN_BITS: Final = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDecision:
    """What becomes of a task."""

    write: TaskWrite
    delivery: Delivery | None = None
    """What its run is told, when it is the end."""


def task_id(run_id: RunId, command_id: int) -> TaskId:
    """The id of the task of a command; serves as an idempotency key."""
    return TaskId(f"{run_id}/{command_id}")


def schedule(event: ActivityScheduled, run: RunRow, at: datetime) -> TaskRow:
    """The task of an activity that was asked for at `at`."""
    task = TaskRow(
        task_id=task_id(run.run_id, event.command_id),
        revision=1,
        run_id=run.run_id,
        command_id=event.command_id,
        shard_id=run.shard_id,
        queue=event.queue,
        priority=event.priority,
        activity=event.activity,
        input=event.input,
        retry=event.retry,
        limits=event.limits,
        state=TaskState.QUEUED,
        attempt=0,
        token=0,
        worker="",
        scheduled_at=at,
        available_at=at,
        started_at=None,
        heartbeat_at=None,
        heartbeat_details=None,
        due_at=None,
        cancel_requested=False,
        last_failure=b"",
    )
    return _with_due_time(task)


def claim(task: TaskRow, *, worker: str, token_bits: int, now: datetime) -> TaskWrite:
    """A worker takes a queued task: its next attempt begins.

    Args:
        task: As it was read.
        worker: Who takes it.
        token_bits: 31 random bits: the token cannot be guessed, and grows with each attempt.
        now: When.
    """
    attempt = task.attempt + 1
    return _write(
        task,
        replace(
            task,
            state=TaskState.RUNNING,
            attempt=attempt,
            token=attempt << _TOKEN_BITS | token_bits,
            worker=worker,
            started_at=now,
            heartbeat_at=now,
        ),
    )


def heartbeat(task: TaskRow, *, token: int, details: Payload | None, now: datetime) -> TaskWrite:
    """The worker of a task is alive; `details` are for the next attempt, should there be one.

    Raises:
        StaleAttemptError: The attempt is not the current one.
    """
    require_current(task, token)
    return _write(
        task,
        replace(task, heartbeat_at=now, heartbeat_details=details or task.heartbeat_details),
    )


def succeed(task: TaskRow, *, token: int, result: Payload) -> TaskDecision:
    """The worker of a task has its result.

    Raises:
        StaleAttemptError: The attempt is not the current one.
    """
    require_current(task, token)
    return _end(
        task,
        ActivitySucceeded(command_id=task.command_id, result=result, attempt=task.attempt),
    )


def fail(task: TaskRow, *, token: int, failure: Failure, now: datetime) -> TaskDecision:
    """The worker of a task has failed at it.

    Raises:
        StaleAttemptError: The attempt is not the current one.
    """
    require_current(task, token)
    return _after_failure(task, failure, now)


def expire(task: TaskRow, now: datetime) -> TaskDecision | None:
    """What the passing of time makes of a task; None while nothing of it is due."""
    limits = task.limits
    if task.state is TaskState.QUEUED and task.cancel_requested:
        failure = Failure(type="Cancelled", message="cancelled before it began", is_final=True)
        return _failed(task, failure, Ended.CANCELLED)
    if _has_passed(task.scheduled_at, limits.schedule_to_close_s, now):
        failure = _timeout(SCHEDULE_TO_CLOSE, limits.schedule_to_close_s, task)
        return _failed(task, failure, Ended.TIMED_OUT)
    if task.state is TaskState.QUEUED:
        if _has_passed(task.available_at, limits.schedule_to_start_s, now):
            failure = _timeout(SCHEDULE_TO_START, limits.schedule_to_start_s, task)
            return _failed(task, failure, Ended.TIMED_OUT)
        return None
    return _expire_attempt(task, now)


def _expire_attempt(task: TaskRow, now: datetime) -> TaskDecision | None:
    limits = task.limits
    if _has_passed(task.started_at, limits.start_to_close_s, now):
        return _after_failure(task, _timeout(START_TO_CLOSE, limits.start_to_close_s, task), now)
    if _has_passed(task.heartbeat_at, limits.heartbeat_s, now):
        return _after_failure(task, _timeout(HEARTBEAT, limits.heartbeat_s, task), now)
    return None


def require_current(task: TaskRow | None, token: int) -> TaskRow:
    """The task, if `token` is that of its current attempt.

    Raises:
        StaleAttemptError: It is not, or the task is done: discard what you have.
    """
    if task is None or task.state is not TaskState.RUNNING or task.token != token:
        raise StaleAttemptError(
            "the task has ended or has another attempt by now: discard this one"
        )
    return task


def _after_failure(task: TaskRow, failure: Failure, now: datetime) -> TaskDecision:
    if task.cancel_requested:
        return _failed(task, failure, Ended.CANCELLED)
    if is_final(task.retry, failure):
        return _failed(task, failure, Ended.FINAL)
    if attempts_used(task.retry, task.attempt):
        return _failed(task, failure, Ended.ATTEMPTS_USED)
    again_at = now + timedelta(seconds=backoff_s(task.retry, failure, task.attempt))
    if _has_passed(task.scheduled_at, task.limits.schedule_to_close_s, again_at):
        return _failed(task, failure, Ended.TIMED_OUT)
    return TaskDecision(
        write=_write(
            task,
            replace(
                task,
                state=TaskState.QUEUED,
                worker="",
                started_at=None,
                heartbeat_at=None,
                available_at=again_at,
                last_failure=codec.encode_failure(failure),
            ),
        )
    )


def _failed(task: TaskRow, failure: Failure, ended: Ended) -> TaskDecision:
    return _end(
        task,
        ActivityFailed(
            command_id=task.command_id, failure=failure, ended=ended, attempt=task.attempt
        ),
    )


def _end(task: TaskRow, event: Result) -> TaskDecision:
    return TaskDecision(
        write=TaskWrite(before=task, after=None),
        delivery=Delivery(
            run_id=task.run_id,
            key=f"task:{task.command_id}",
            kind=DeliveryKind.RESULT,
            data=codec.encode_delivery(event),
        ),
    )


def _write(task: TaskRow, after: TaskRow) -> TaskWrite:
    return TaskWrite(before=task, after=_with_due_time(replace(after, revision=task.revision + 1)))


def _with_due_time(task: TaskRow) -> TaskRow:
    limits = task.limits
    ends = [(task.scheduled_at, limits.schedule_to_close_s)]
    if task.state is TaskState.QUEUED:
        ends.append((task.available_at, limits.schedule_to_start_s))
    else:
        ends += [(task.started_at or task.scheduled_at, limits.start_to_close_s)]
        ends += [(task.heartbeat_at or task.scheduled_at, limits.heartbeat_s)]
    instants = [since + timedelta(seconds=after) for since, after in ends if after is not None]
    return replace(task, due_at=min(instants, default=None))


def _has_passed(since: datetime | None, after_s: float | None, now: datetime) -> bool:
    return since is not None and after_s is not None and now >= since + timedelta(seconds=after_s)


def _timeout(kind: str, after_s: float | None, task: TaskRow) -> Failure:
    return Failure(
        type=kind,
        message=f"after {after_s:g} s, in attempt {task.attempt}",
        cause=codec.decode_failure(task.last_failure),
    )
