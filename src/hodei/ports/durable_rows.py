"""The rows that a store of the saga engine keeps. Plain data; `hodei.ports.durable` moves them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

RunId = NewType("RunId", str)
"""One execution of a workflow. Sorts by its time of creation."""

ShardId = NewType("ShardId", int)
"""0 to the number of shards less one. All runs of one workflow id are in one shard."""

TaskId = NewType("TaskId", str)
"""`<run id>/<command id>`: the same over all attempts, so it serves as an idempotency key."""


class RunStatus(StrEnum):
    """Where a run is."""

    RUNNING = "RUNNING"
    """Does what its code says. Entered at the start."""
    COMPENSATING = "COMPENSATING"
    """Undoes, last first, what it did. Left when the compensations of all its sagas are done."""
    COMPLETED = "COMPLETED"
    """Its code returned."""
    FAILED = "FAILED"
    """Its code raised."""
    CANCELLED = "CANCELLED"
    """Somebody asked for its end, and its code agreed."""
    TERMINATED = "TERMINATED"
    """An operator ended it without asking its code: nothing was compensated."""
    CONTINUED_AS_NEW = "CONTINUED_AS_NEW"
    """Goes on as another run of the same workflow id, with a fresh history."""


OPEN: Final = frozenset({RunStatus.RUNNING, RunStatus.COMPENSATING})
"""Of the runs of one workflow id, at most one is in one of these."""


class ParkReason(StrEnum):
    """Why a run does not go on although it could."""

    NON_DETERMINISM = "NON_DETERMINISM"
    """Its code no longer does what its history says. Tried again, in case the code is put back."""
    DEFINITION_MISSING = "DEFINITION_MISSING"
    """No code of that name and version is loaded here. Tried again."""
    TASK_FAILED = "TASK_FAILED"
    """Its code did what workflow code may not do, or took too long between two awaits. Tried again."""
    CRASHED = "CRASHED"
    """Its server died several times while it ran. Only an operator lets it run again."""
    COMPENSATION_FAILED = "COMPENSATION_FAILED"
    """A compensation has used up its retries. An operator says: again, or skip it."""
    UNREADABLE = "UNREADABLE"
    """Something stored for it cannot be read by this version. Tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """That a run does not go on by itself."""

    reason: ParkReason
    message: str
    """For people: what is wrong, what was expected, what to do."""
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentRef:
    """The command of another run that started this one."""

    run_id: RunId
    command_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A value of users, as bytes."""

    codec: str
    """How it is encoded; `json` so far."""
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A run as it is now."""

    run_id: RunId
    revision: int
    """1 for the first; grows by one with each write of the row."""
    namespace: str
    workflow_id: str
    """Given by who starts it; names the business process over all its runs."""
    type: str
    """Names its code."""
    definition_version: int
    engine_version: int
    """Of the engine's rules under which its history was begun; it keeps them."""
    shard_id: ShardId
    request_id: str
    """Of the call that started it. Unique for a workflow id; empty where the caller gave none."""
    status: RunStatus
    next_seq: int
    """Of its history, 1 at the start."""
    history_bytes: int
    runnable_at: datetime | None
    """Not run before; None: not before an operator says so."""
    local_pending: bool
    """Steps are recorded that only the process of its owner carries out, and whose outcome is not."""
    crashes: int
    """Tasks that were begun since the last one whose end was written."""
    failures: int
    """Tasks in a row that ended badly; decides how long the next one waits."""
    parked: Parked | None
    first_run_id: RunId
    """Of the chain of runs that continue one another; its own for the first."""
    parent: ParentRef | None
    started_at: datetime
    closed_at: datetime | None
    outcome: bytes
    """The closing event, encoded by the engine; empty while it is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One event of a run."""

    run_id: RunId
    seq: int
    """1 for the first; without gaps."""
    command_id: int | None
    """The command that it is or answers, where there is one."""
    kind: str
    """The name of the event's type."""
    at: datetime
    data: bytes
    """The event, encoded by the engine."""


class DeliveryKind(StrEnum):
    """What a row of an inbox is about."""

    START = "START"
    RESULT = "RESULT"
    """The end of a task or of a child."""
    TIMER = "TIMER"
    SIGNAL = "SIGNAL"
    CANCEL = "CANCEL"
    OPERATOR = "OPERATOR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Something for a run to hear of, once."""

    run_id: RunId
    key: str
    """A second delivery with the same key is passed over, for ever."""
    kind: DeliveryKind
    data: bytes
    """The event to be, encoded by the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    """A delivery that has arrived."""

    id: int
    """Grows in the order of arrival."""
    delivery: Delivery
    at: datetime
    """The time of the batch that brought it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerKey:
    """Names a timer."""

    run_id: RunId
    command_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerRow:
    """When a run is to be woken."""

    key: TimerKey
    shard_id: ShardId
    fire_at: datetime


class TaskState(StrEnum):
    """Where a task is. Done ones are gone."""

    QUEUED = "QUEUED"
    """Waits for a worker, from `available_at` on."""
    RUNNING = "RUNNING"
    """A worker has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRule:
    """How a failed attempt is followed by another."""

    max_attempts: int
    """In all; 0 for as many as the times allow."""
    initial_s: float
    factor: float
    max_s: float
    never_on: tuple[str, ...]
    """Types of failures that are final at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLimits:
    """How long a task may take, in seconds; None for no limit."""

    schedule_to_close_s: float | None
    """From its scheduling to its end, all attempts together."""
    schedule_to_start_s: float | None
    """How long an attempt may wait for a worker. Not retried: another attempt would wait as well."""
    start_to_close_s: float | None
    """One attempt."""
    heartbeat_s: float | None
    """Between two signs of life of an attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """An activity that is to be carried out by whoever claims it."""

    task_id: TaskId
    revision: int
    """1 for the first; grows by one with each write of the row."""
    run_id: RunId
    command_id: int
    shard_id: ShardId
    """Of its run."""
    queue: str
    priority: int
    """Higher goes first."""
    activity: str
    input: Payload
    retry: RetryRule
    limits: TaskLimits
    state: TaskState
    attempt: int
    """Of the current or last attempt; 0 before the first."""
    token: int
    """Of that attempt: what its worker must show. Grows with each attempt."""
    worker: str
    """Who has it; empty while it is queued."""
    scheduled_at: datetime
    available_at: datetime
    started_at: datetime | None
    """Of the current attempt."""
    heartbeat_at: datetime | None
    heartbeat_details: Payload | None
    """Told by the last attempt that told any; the next one gets them."""
    due_at: datetime | None
    """The earliest of its time-outs; None where it has none."""
    cancel_requested: bool
    last_failure: bytes
    """Of the attempt before, encoded by the engine; empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """Something for the rest of the platform to hear of, at least once, in order."""

    topic: str
    """`run.started`, `run.closed`, `run.parked` or `run.unparked`."""
    run_id: RunId
    at: datetime
    data: bytes
