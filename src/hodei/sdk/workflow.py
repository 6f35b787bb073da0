"""A run of a workflow as the server showed it last, and the events of its history."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from hodei.sdk.times import rfc3339, rfc3339_or_none
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.timestamps import from_timestamp


class ParkedDict(TypedDict):
    """Why a run does not go on, as JSON has it."""

    reason: str
    message: str
    since: str
    tried_again_at: str | None


class WorkflowRunDict(TypedDict):
    """A run as JSON has it."""

    run_id: str
    namespace: str
    workflow_id: str
    type: str
    version: int
    status: str
    started_at: str
    closed_at: str | None
    events: int
    history_bytes: int
    parked: ParkedDict | None
    result: Any
    failure: str | None


class WorkflowEventDict(TypedDict):
    """An event as JSON has it."""

    seq: int
    at: str
    kind: str
    is_command: bool
    summary: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """That a run does not go on by itself, and why."""

    reason: str
    message: str
    """What is wrong, what was expected, what to do."""
    since: datetime
    tried_again_at: datetime | None
    """When it is tried again by itself; None: only an operator lets it go on."""

    def to_dict(self) -> ParkedDict:
        """As JSON has it."""
        return {
            "reason": self.reason,
            "message": self.message,
            "since": rfc3339(self.since),
            "tried_again_at": rfc3339_or_none(self.tried_again_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRun:
    """A run at the moment when the server answered."""

    run_id: str
    namespace: str
    workflow_id: str
    type: str
    """The name of its workflow."""
    version: int
    """Of the workflow's code, as it began."""
    status: str
    """RUNNING, COMPENSATING, COMPLETED, FAILED, CANCELLED, TERMINATED or CONTINUED_AS_NEW."""
    started_at: datetime
    closed_at: datetime | None
    events: int
    """Of its history."""
    history_bytes: int
    parked: Parked | None
    result: Any
    """What its code returned; None before that, and where it returned nothing."""
    failure: str | None
    """Why it has ended otherwise."""

    def to_dict(self) -> WorkflowRunDict:
        """As JSON has it."""
        return {
            "run_id": self.run_id,
            "namespace": self.namespace,
            "workflow_id": self.workflow_id,
            "type": self.type,
            "version": self.version,
            "status": self.status,
            "started_at": rfc3339(self.started_at),
            "closed_at": rfc3339_or_none(self.closed_at),
            "events": self.events,
            "history_bytes": self.history_bytes,
            "parked": self.parked and self.parked.to_dict(),
            "result": self.result,
            "failure": self.failure,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowEvent:
    """An event of a run's history."""

    seq: int
    """1 for the first; without gaps."""
    at: datetime
    kind: str
    """The name of its type, such as StepScheduled."""
    is_command: bool
    """It is what the code asked for; else it is what the code heard of."""
    summary: str
    """In a few words, for people."""
    details: dict[str, Any]
    """All of it."""

    def to_dict(self) -> WorkflowEventDict:
        """As JSON has it."""
        return {
            "seq": self.seq,
            "at": rfc3339(self.at),
            "kind": self.kind,
            "is_command": self.is_command,
            "summary": self.summary,
            "details": self.details,
        }


class WorkflowFilter(TypedDict, total=False):
    """Which runs to list; every part that is given must hold."""

    namespace: str
    workflow_id: str
    type: str
    statuses: list[str]
    only_parked: bool


def run_from_wire(run: pb.WorkflowRun) -> WorkflowRun:
    """The run of an answer."""
    return WorkflowRun(
        run_id=run.run_id,
        namespace=run.namespace,
        workflow_id=run.workflow_id,
        type=run.type,
        version=run.definition_version,
        status=run.status,
        started_at=from_timestamp(run.started_at, field="started_at"),
        closed_at=from_timestamp(run.closed_at, field="closed_at")
        if run.HasField("closed_at")
        else None,
        events=run.events,
        history_bytes=run.history_bytes,
        parked=_parked(run.parked) if run.HasField("parked") else None,
        result=json.loads(run.result_json) if run.result_json else None,
        failure=run.failure or None,
    )


def event_from_wire(event: pb.WorkflowEvent) -> WorkflowEvent:
    """The event of an answer."""
    return WorkflowEvent(
        seq=event.seq,
        at=from_timestamp(event.at, field="at"),
        kind=event.kind,
        is_command=event.is_command,
        summary=event.summary,
        details=json.loads(event.details_json),
    )


def _parked(parked: pb.WorkflowParked) -> Parked:
    return Parked(
        reason=parked.reason,
        message=parked.message,
        since=from_timestamp(parked.since, field="since"),
        tried_again_at=from_timestamp(parked.tried_again_at, field="tried_again_at")
        if parked.HasField("tried_again_at")
        else None,
    )
