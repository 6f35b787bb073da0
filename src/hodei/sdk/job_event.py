"""What happened to a job or a worker, as the server tells it."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from hodei.sdk.job import Reason, ReasonDict, reason_from_wire
from hodei.sdk.times import rfc3339
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.timestamps import from_timestamp


class JobEventDict(TypedDict):
    """An event as JSON has it."""

    position: str
    type: str
    at: str
    job_id: str | None
    worker_id: str | None
    attempt: int | None
    state: str | None
    reason: ReasonDict | None
    details: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One event."""

    position: str
    """Opaque: give it back to go on after this event."""
    type: str
    """Its name, such as `JobQueued` or `WorkerRegistered`."""
    at: datetime
    job_id: str
    """Empty for an event of a worker that has no job."""
    worker_id: str
    """Empty where none is concerned."""
    attempt: int
    """0 where none is concerned."""
    state: str
    """Of the job, or of the worker, after the event."""
    reason: Reason | None
    details: dict[str, str]

    def to_dict(self) -> JobEventDict:
        """As JSON has it."""
        return {
            "position": self.position,
            "type": self.type,
            "at": rfc3339(self.at),
            "job_id": self.job_id or None,
            "worker_id": self.worker_id or None,
            "attempt": self.attempt or None,
            "state": self.state or None,
            "reason": self.reason and self.reason.to_dict(),
            "details": self.details,
        }


def event_from_wire(event: pb.JobEvent) -> JobEvent:
    """The event of a message."""
    return JobEvent(
        position=event.position,
        type=event.type,
        at=from_timestamp(event.at, field="at"),
        job_id=event.job_id,
        worker_id=event.worker_id,
        attempt=event.attempt,
        state=event.state,
        reason=reason_from_wire(event.reason) if event.HasField("reason") else None,
        details=dict(event.details),
    )
