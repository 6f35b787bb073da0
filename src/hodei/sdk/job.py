"""A job as the server showed it last."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from google.protobuf.timestamp_pb2 import Timestamp

from hodei.domain.jobs.spec import Priority
from hodei.domain.jobs.states import TERMINAL, AttemptState, JobState
from hodei.sdk.times import rfc3339, rfc3339_or_none
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.timestamps import from_timestamp


class ReasonDict(TypedDict):
    """A reason as JSON has it."""

    code: str
    message: str
    advice: str


class AttemptDict(TypedDict):
    """An attempt as JSON has it."""

    number: int
    state: str
    worker_id: str
    exit_code: int | None
    signal: int | None
    reason: ReasonDict | None
    started_at: str | None
    finished_at: str | None


class JobDict(TypedDict):
    """A job as JSON has it."""

    id: str
    name: str
    state: str
    exit_code: int | None
    reason: ReasonDict | None
    pending_reason: str | None
    created_at: str
    finished_at: str | None
    attempts: list[AttemptDict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something ended as it did."""

    code: str
    """One of `ReasonCode`; text, since a newer server may know more of them."""
    message: str
    """What happened in this case."""
    advice: str
    """What to do about it."""

    def to_dict(self) -> ReasonDict:
        """As JSON has it."""
        return {"code": self.code, "message": self.message, "advice": self.advice}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of a job on one worker."""

    number: int
    """1 for the first."""
    state: AttemptState
    worker_id: str
    exit_code: int | None = None
    """Set only when the process exited by itself."""
    signal: int | None = None
    """Set only when a signal ended the process."""
    reason: Reason | None = None
    started_at: datetime | None = None
    """When the process ran; None where it never did."""
    finished_at: datetime | None = None

    def to_dict(self) -> AttemptDict:
        """As JSON has it."""
        return {
            "number": self.number,
            "state": self.state.value,
            "worker_id": self.worker_id,
            "exit_code": self.exit_code,
            "signal": self.signal,
            "reason": self.reason and self.reason.to_dict(),
            "started_at": rfc3339_or_none(self.started_at),
            "finished_at": rfc3339_or_none(self.finished_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job at the moment when the server answered; ask again for a newer one."""

    id: str
    name: str
    state: JobState
    created_at: datetime
    exit_code: int | None = None
    """Of the last attempt, once the job has ended."""
    reason: Reason | None = None
    """Why it ended; None before its end and for SUCCEEDED."""
    pending_reason: str = ""
    """Why it still waits; empty when it does not."""
    finished_at: datetime | None = None
    attempts: tuple[Attempt, ...] = ()
    labels: dict[str, str]
    tags: tuple[str, ...] = ()
    priority: str = "NORMAL"
    queued_by: str = ""
    position: str = ""
    """Of its newest event: where `events` goes on from. Empty just after `submit`."""

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended."""
        return self.state in TERMINAL

    def to_dict(self) -> JobDict:
        """As JSON has it, on the command line and over REST."""
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state.value,
            "exit_code": self.exit_code,
            "reason": self.reason and self.reason.to_dict(),
            "pending_reason": self.pending_reason or None,
            "created_at": rfc3339(self.created_at),
            "finished_at": rfc3339_or_none(self.finished_at),
            "attempts": [attempt.to_dict() for attempt in self.attempts],
        }


def reason_from_wire(reason: pb.Reason) -> Reason:
    """The reason of a message."""
    return Reason(code=reason.code, message=reason.message, advice=reason.advice)


def queued_job(definition: pb.JobDefinition, queued_at: Timestamp, queued_by: str) -> Job:
    """The job that a server has just accepted, as it was at that moment."""
    priority = Priority(definition.scheduling.priority) if definition.priority_set else None
    return Job(
        id=definition.job_id.value,
        name=definition.name,
        state=JobState.QUEUED,
        created_at=from_timestamp(queued_at, field="queued_at"),
        labels=dict(definition.labels),
        tags=tuple(definition.tags),
        priority=(Priority.NORMAL if priority is None else priority).name,
        queued_by=queued_by,
    )


def job_from_answer(answer: pb.GetJobResponse) -> Job:
    """The job of an answer to GetJob."""
    return job_from_wire(answer.job.job_id.value, answer.job.name, answer.detail)


def job_from_wire(job_id: str, name: str, detail: pb.JobDetail) -> Job:
    """The job that a detail shows."""
    return Job(
        id=job_id,
        name=name,
        state=JobState(detail.state),
        created_at=from_timestamp(detail.created_at, field="created_at"),
        exit_code=detail.exit_code if detail.HasField("exit_code") else None,
        reason=reason_from_wire(detail.reason) if detail.HasField("reason") else None,
        pending_reason=detail.pending_reason,
        finished_at=from_timestamp(detail.finished_at, field="finished_at")
        if detail.HasField("finished_at")
        else None,
        attempts=tuple(attempt_from_wire(attempt) for attempt in detail.attempts),
        labels=dict(detail.labels),
        tags=tuple(detail.tags),
        priority=detail.priority or "NORMAL",
        queued_by=detail.queued_by,
        position=detail.position,
    )


def attempt_from_wire(attempt: pb.JobExecution) -> Attempt:
    """The attempt of a message."""
    return Attempt(
        number=attempt.attempt,
        state=AttemptState(attempt.attempt_state),
        worker_id=attempt.worker_id.value,
        exit_code=attempt.exit_status if attempt.HasField("exit_status") else None,
        signal=attempt.signal if attempt.HasField("signal") else None,
        reason=reason_from_wire(attempt.reason) if attempt.HasField("reason") else None,
        started_at=from_timestamp(attempt.start_time, field="start_time")
        if attempt.HasField("start_time")
        else None,
        finished_at=from_timestamp(attempt.end_time, field="end_time")
        if attempt.HasField("end_time")
        else None,
    )
