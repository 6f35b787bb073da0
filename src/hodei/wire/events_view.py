"""What happened, as clients hear of it."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, assert_never

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
from hodei.domain.jobs.reasons import Reason
from hodei.domain.jobs.states import JobState
from hodei.domain.workers.events import (
    CertificateRenewed,
    WorkerDisconnected,
    WorkerDrainRequested,
    WorkerEvent,
    WorkerFirstOutput,
    WorkerHealthChanged,
    WorkerLost,
    WorkerProvisioned,
    WorkerProvisioningError,
    WorkerProvisioningRequested,
    WorkerReady,
    WorkerReconnected,
    WorkerRegistered,
    WorkerStopped,
    WorkerTerminated,
)
from hodei.domain.workers.states import WorkerState
from hodei.ports.stores import StoredEvent
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.job_views import reason_view
from hodei.wire.positions import encode_position
from hodei.wire.timestamps import to_timestamp

_STATE_AFTER: Final[dict[type[JobEvent | WorkerEvent], JobState | WorkerState]] = {
    JobCreated: JobState.PENDING,
    JobQueued: JobState.QUEUED,
    JobAssigned: JobState.ASSIGNED,
    JobAccepted: JobState.RUNNING,
    JobDispatchFailed: JobState.QUEUED,
    JobRetryRequested: JobState.QUEUED,
    JobSucceeded: JobState.SUCCEEDED,
    JobFailed: JobState.FAILED,
    JobCancelled: JobState.CANCELLED,
    JobTimedOut: JobState.TIMED_OUT,
    WorkerProvisioningRequested: WorkerState.REQUESTED,
    WorkerReady: WorkerState.READY,
    WorkerDrainRequested: WorkerState.DRAINING,
    WorkerTerminated: WorkerState.TERMINATED,
    WorkerLost: WorkerState.LOST,
    WorkerProvisioningError: WorkerState.LOST,
}


def state_after(event: JobEvent | WorkerEvent) -> str:
    """The state that the event leads to.

    Empty where the event does not say it: it leaves the state as it was, or, as
    WorkerProvisioned, may come after what was to follow it.
    """
    if isinstance(event, JobRetried):
        return JobState.QUEUED if event.not_before is None else JobState.PENDING
    state = _STATE_AFTER.get(type(event))
    return "" if state is None else state.value


_MOST_PACKED: Final = 250
"""Events in one message: a good part of what a client may be behind, and far below any limit."""


def job_events(together: Sequence[StoredEvent], *, packed: bool) -> Iterator[pb.JobEvent]:
    """The messages that tell of events: one for each, or one for many that are there at once."""
    step = _MOST_PACKED if packed else 1
    for begin in range(0, len(together), step):
        first, *more = map(job_event, together[begin : begin + step])
        first.more.extend(more)
        yield first


def job_event(stored: StoredEvent) -> pb.JobEvent:
    """An event of a job or of a worker."""
    event = stored.event
    kind, _, name = stored.stream.partition(":")
    view = pb.JobEvent(
        position=encode_position(stored.position),
        type=type(event).__name__,
        at=to_timestamp(stored.at),
        state=state_after(event),
        correlation_id=stored.correlation_id,
        details=details(event),
        reason=reason_view(_reason(event)),
    )
    if kind == "job":
        view.job_id = name
    else:
        view.worker_id = name
    match event:
        case JobAssigned():
            view.worker_id = event.worker_id
            view.attempt = event.attempt
        case JobAccepted():
            view.attempt = event.attempt
        case WorkerProvisioningRequested():
            view.job_id = event.for_job or ""
        case _:
            end = _end(event)
            view.attempt = 0 if end is None else end.number
    return view


def details(event: JobEvent | WorkerEvent) -> dict[str, str]:  # noqa: PLR0911 - one arm an event
    """What else the event says, flat and as text; never a password, a token or a key."""
    match event:
        case JobCreated():
            return _set(
                name=event.spec.name,
                queued_by=event.queued_by,
                priority=event.spec.priority.name,
                deadline=_time(event.deadline),
            )
        case JobQueued():
            return {}
        case JobAssigned():
            return {"worker_id": event.worker_id, "attempt": str(event.attempt)}
        case JobAccepted():
            return {"attempt": str(event.attempt)}
        case JobRetried():
            return _end_details(event.end) | _set(not_before=_time(event.not_before))
        case JobDispatchFailed() | JobSucceeded() | JobFailed() | JobCancelled() | JobTimedOut():
            return _end_details(event.end)
        case JobCancelRequested():
            return _set(by=event.by, message=event.message)
        case JobRetryRequested():
            return _set(by=event.by)
        case _:
            return _worker_details(event)


def _worker_details(event: WorkerEvent) -> dict[str, str]:  # noqa: C901, PLR0911 - as above
    match event:
        case WorkerProvisioningRequested():
            return _set(
                provider=event.provider,
                slots=str(event.slots),
                for_job=event.for_job or "",
                kind="" if event.kind is None else str(event.kind),
            )
        case WorkerProvisioned():
            # The rest of the handle is the provider's own.
            own = {name: event.handle.get(name, "") for name in ("pid", "container", "image")}
            took = {f"{step}_s": f"{seconds:.3f}" for step, seconds in event.steps.items()}
            return _set(**own, **took)
        case WorkerRegistered() | CertificateRenewed():
            return {"serial": event.serial, "not_after": _time(event.not_after)}
        case WorkerReady():
            return _set(
                name=event.name,
                hostname=event.hostname,
                slots=str(event.slots),
                agent_version=event.agent_version,
                session_epoch=str(event.session_epoch),
            )
        case WorkerReconnected():
            return {"session_epoch": str(event.session_epoch)}
        case WorkerDisconnected() | WorkerTerminated():
            return _set(message=event.message)
        case WorkerDrainRequested():
            return _set(by=event.by)
        case WorkerStopped():
            return _set(message=event.reason, exit_code=_number(event.exit_code))
        case WorkerHealthChanged():
            return {"is_seen": str(event.is_seen).lower(), "message": event.message}
        case WorkerFirstOutput():
            return {"job_id": event.job_id}
        case WorkerLost() | WorkerProvisioningError():
            return _set(message=event.reason.message)
        case _:
            assert_never(event)


def _reason(event: JobEvent | WorkerEvent) -> Reason | None:
    match event:
        case (
            JobFailed() | JobCancelled() | JobTimedOut() | WorkerLost() | WorkerProvisioningError()
        ):
            return event.reason
        case JobRetried() | JobDispatchFailed():
            return event.end.reason
        case _:
            return None


def _end(event: JobEvent | WorkerEvent) -> AttemptEnd | None:
    match event:
        case (
            JobRetried()
            | JobDispatchFailed()
            | JobSucceeded()
            | JobFailed()
            | JobCancelled()
            | JobTimedOut()
        ):
            return event.end
        case _:
            return None


def _end_details(end: AttemptEnd | None) -> dict[str, str]:
    if end is None:
        return {}
    return _set(
        attempt=str(end.number),
        attempt_state=end.state.value,
        attempt_reason="" if end.reason is None else end.reason.code.value,
        message="" if end.reason is None else end.reason.message,
        exit_code=_number(end.exit_code),
        signal=_number(end.signal),
        stdout_bytes=str(end.stdout_bytes),
        stderr_bytes=str(end.stderr_bytes),
    )


def _set(**facts: str) -> dict[str, str]:
    """Those facts that there are."""
    return {name: fact for name, fact in facts.items() if fact}


def _number(number: int | None) -> str:
    return "" if number is None else str(number)


def _time(at: datetime | None) -> str:
    return "" if at is None else at.isoformat().replace("+00:00", "Z")
