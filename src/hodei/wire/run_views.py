"""Runs of workflows and their histories as clients see them."""

from typing import Any

import msgspec

from hodei.durable.events import NOTIFICATIONS, RunTerminated
from hodei.durable.failures import RunFailedError
from hodei.durable.recorded import Recorded
from hodei.durable.runner.client import result_of
from hodei.ports.durable_rows import Payload, RunRow, RunStatus
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.timestamps import optional_timestamp, to_timestamp

_NAMES = ("name", "activity", "type", "patch_id")
"""Fields that say what an event is about; an event has one of them at most."""
_FACTS = ("attempt", "delay_s", "decision", "reason", "to_undo", "note", "by", "ended")
"""Fields that are worth a word to people, where they say anything."""


def run_view(row: RunRow) -> pb.WorkflowRun:
    """A run."""
    result, failure = _outcome(row)
    return pb.WorkflowRun(
        run_id=row.run_id,
        namespace=row.namespace,
        workflow_id=row.workflow_id,
        type=row.type,
        definition_version=row.definition_version,
        status=row.status.value,
        started_at=to_timestamp(row.started_at),
        closed_at=optional_timestamp(row.closed_at),
        events=row.next_seq - 1,
        history_bytes=row.history_bytes,
        parked=_parked_view(row),
        result_json=result,
        failure=failure,
        shard=row.shard_id,
    )


def event_view(recorded: Recorded) -> pb.WorkflowEvent:
    """An event of a history."""
    event = recorded.event
    details = _plain(event)
    return pb.WorkflowEvent(
        seq=recorded.seq,
        at=to_timestamp(recorded.at),
        kind=type(event).__name__,
        is_command=type(event) not in NOTIFICATIONS and not isinstance(event, RunTerminated),
        summary=_summary(details),
        details_json=msgspec.json.encode(details).decode(),
    )


def _parked_view(row: RunRow) -> pb.WorkflowParked | None:
    parked = row.parked
    if parked is None:
        return None
    is_tried_again = row.runnable_at is not None and row.runnable_at > parked.since
    return pb.WorkflowParked(
        reason=parked.reason.value,
        message=parked.message,
        since=to_timestamp(parked.since),
        tried_again_at=optional_timestamp(row.runnable_at if is_tried_again else None),
    )


def _outcome(row: RunRow) -> tuple[str, str]:
    """What the code returned, and why it did not."""
    if row.closed_at is None or row.status is RunStatus.CONTINUED_AS_NEW:
        return "", ""
    try:
        return result_of(row).data.decode(), ""
    except RunFailedError as error:
        return "", str(error.failure)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever an event may hold
    """An event as JSON has it; what users gave in JSON stays what it is."""
    if isinstance(value, Payload):
        return msgspec.json.decode(value.data)
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    fields = getattr(value, "__dataclass_fields__", None)
    if fields is None:
        return msgspec.to_builtins(value)
    return {name: _plain(getattr(value, name)) for name in fields}


def _summary(details: dict[str, Any]) -> str:
    words = [str(details[name]) for name in _NAMES if details.get(name)]
    words += [f"{name}={details[name]}" for name in _FACTS if details.get(name)]
    if failure := details.get("failure"):
        words.append(f"{failure['type']}: {failure['message']}")
    return ", ".join(words)
