"""Jobs as clients see them."""

from typing import Final

from hodei.domain.jobs.events import Usage
from hodei.domain.jobs.job import Attempt, Job
from hodei.domain.jobs.reasons import Reason
from hodei.domain.jobs.states import AttemptState, JobState
from hodei.kernel.errors import InvalidFieldsError
from hodei.kernel.ids import JobId, Position, is_valid_id
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.job_definition import encode
from hodei.wire.positions import encode_position
from hodei.wire.timestamps import optional_timestamp, to_duration, to_timestamp

JOB_STATUSES: Final[dict[JobState, pb.JobStatus]] = {
    JobState.PENDING: pb.JOB_STATUS_PENDING,
    JobState.QUEUED: pb.JOB_STATUS_QUEUED,
    JobState.ASSIGNED: pb.JOB_STATUS_ASSIGNED,
    JobState.RUNNING: pb.JOB_STATUS_RUNNING,
    JobState.SUCCEEDED: pb.JOB_STATUS_COMPLETED,
    JobState.FAILED: pb.JOB_STATUS_FAILED,
    JobState.CANCELLED: pb.JOB_STATUS_CANCELLED,
    JobState.TIMED_OUT: pb.JOB_STATUS_TIMEOUT,
}
_JOB_STATES: Final[dict[int, JobState]] = {
    int(status): state for state, status in JOB_STATUSES.items()
}

_EXECUTION_STATES: Final[dict[AttemptState, pb.ExecutionState]] = {
    AttemptState.ASSIGNED: pb.EXECUTION_STATE_STARTING,
    AttemptState.RUNNING: pb.EXECUTION_STATE_RUNNING,
    AttemptState.SUCCEEDED: pb.EXECUTION_STATE_COMPLETED,
    AttemptState.FAILED: pb.EXECUTION_STATE_FAILED,
    AttemptState.CANCELLED: pb.EXECUTION_STATE_CANCELLED,
    AttemptState.TIMED_OUT: pb.EXECUTION_STATE_TIMEOUT,
    AttemptState.LOST: pb.EXECUTION_STATE_FAILED,
}
_WITHOUT_ATTEMPT: Final[dict[JobState, pb.ExecutionState]] = {
    JobState.FAILED: pb.EXECUTION_STATE_FAILED,
    JobState.CANCELLED: pb.EXECUTION_STATE_CANCELLED,
    JobState.TIMED_OUT: pb.EXECUTION_STATE_TIMEOUT,
}


def decode_status(status: int, *, field: str) -> JobState:
    """The state that a client's filter asks for.

    Raises:
        InvalidFieldsError: There is none of that number; the error names `field`.
    """
    state = _JOB_STATES.get(status)
    if state is None:
        known = ", ".join(
            f"{int(pb_status)} ({state})" for state, pb_status in JOB_STATUSES.items()
        )
        raise InvalidFieldsError.of(field, f"is {status}: one of {known}")
    return state


def encode_execution_id(job_id: JobId, attempt: int) -> str:
    """What names an attempt for clients."""
    return f"{job_id}/{attempt}"


def decode_execution_id(text: str, *, field: str) -> tuple[JobId, int | None]:
    """The job and the attempt that a client names; a job's id alone means no certain attempt.

    Raises:
        InvalidFieldsError: It is neither; the error names `field`.
    """
    job_id, slash, number = text.partition("/")
    is_number = number.isascii() and number.isdigit() and len(number) < 10
    if not is_valid_id(job_id) or (slash and not is_number):
        raise InvalidFieldsError.of(
            field, f"{text[:150]!r} names no attempt: write JOB/NUMBER, such as my-job/1, or JOB"
        )
    return JobId(job_id), int(number) if slash else None


def reason_view(reason: Reason | None) -> pb.Reason | None:
    """A reason, or nothing where there is none."""
    if reason is None:
        return None
    return pb.Reason(code=reason.code.value, message=reason.message, advice=reason.advice)


def job_execution(
    job: Job, attempt: Attempt | None, *, position: Position | None = None
) -> pb.JobExecution:
    """An attempt of a job.

    Args:
        job: The job.
        attempt: One of its attempts; None for a job that has had none.
        position: Of the event that this tells of, where it tells of one.
    """
    shown_position = "" if position is None else encode_position(position)
    if attempt is None:
        return pb.JobExecution(
            execution_id=pb.ExecutionId(value=job.id),
            job_id=pb.JobId(value=job.id),
            state=_WITHOUT_ATTEMPT.get(job.state, pb.EXECUTION_STATE_CREATED),
            job_status=JOB_STATUSES[job.state],
            error_message="" if job.reason is None else job.reason.message,
            reason=reason_view(job.reason),
            position=shown_position,
        )
    started_at = optional_timestamp(attempt.started_at)
    finished_at = optional_timestamp(attempt.finished_at)
    return pb.JobExecution(
        execution_id=pb.ExecutionId(value=encode_execution_id(job.id, attempt.number)),
        job_id=pb.JobId(value=job.id),
        worker_id=pb.WorkerId(value=attempt.worker_id),
        state=_EXECUTION_STATES[attempt.state],
        job_status=JOB_STATUSES[job.state],
        start_time=started_at,
        end_time=finished_at,
        retry_count=attempt.number - 1,
        exit_code="" if attempt.exit_code is None else str(attempt.exit_code),
        error_message="" if attempt.reason is None else attempt.reason.message,
        attempt=attempt.number,
        exit_status=attempt.exit_code,
        signal=attempt.signal,
        reason=reason_view(attempt.reason),
        phases=pb.AttemptPhases(
            queued_at=to_timestamp(attempt.queued_at),
            assigned_at=to_timestamp(attempt.assigned_at),
            started_at=started_at,
            finished_at=finished_at,
        ),
        position=shown_position,
        attempt_state=attempt.state.value,
        usage=_usage(attempt.usage),
    )


def job_detail(
    job: Job, *, pending_reason: str = "", position: Position | None = None
) -> pb.JobDetail:
    """A job with its attempts.

    Args:
        job: The job.
        pending_reason: Why it waits; empty when it does not.
        position: Of its newest event.
    """
    return pb.JobDetail(
        state=job.state.value,
        exit_code=job.exit_code,
        reason=reason_view(job.reason),
        pending_reason=pending_reason,
        created_at=to_timestamp(job.created_at),
        finished_at=optional_timestamp(job.finished_at),
        attempts=[job_execution(job, attempt) for attempt in job.attempts],
        queued_by=job.queued_by,
        labels=job.spec.labels,
        tags=job.spec.tags,
        priority=job.spec.priority.name,
        position="" if position is None else encode_position(position),
    )


def job_response(
    job: Job, *, pending_reason: str = "", position: Position | None = None
) -> pb.GetJobResponse:
    """All that there is to know of a job; `GetJob` answers with it."""
    detail = job_detail(job, pending_reason=pending_reason, position=position)
    return pb.GetJobResponse(
        job=encode(job.id, job.spec),
        status=JOB_STATUSES[job.state],
        executions=detail.attempts,
        detail=detail,
    )


def job_summary(
    job: Job, *, pending_reason: str = "", position: Position | None = None
) -> pb.JobSummary:
    """A job as one of a list."""
    started_at = next((each.started_at for each in job.attempts if each.started_at), None)
    duration = None
    if started_at is not None and job.finished_at is not None:
        duration = to_duration((job.finished_at - started_at).total_seconds())
    return pb.JobSummary(
        job_id=pb.JobId(value=job.id),
        name=job.spec.name,
        status=JOB_STATUSES[job.state],
        created_at=to_timestamp(job.created_at),
        started_at=optional_timestamp(started_at),
        completed_at=optional_timestamp(job.finished_at),
        duration=duration,
        # Nothing reports progress; what is known is whether all of it is done.
        progress_percentage=100 if job.state is JobState.SUCCEEDED else 0,
        detail=job_detail(job, pending_reason=pending_reason, position=position),
    )


def _usage(usage: Usage | None) -> pb.JobUsage | None:
    if usage is None:
        return None
    return pb.JobUsage(
        user_cpu_s=usage.user_cpu_s,
        system_cpu_s=usage.system_cpu_s,
        max_rss_bytes=usage.max_rss_bytes,
    )
