"""The events of a history: notifications, which come to a run, and commands, which its code gives.

In a history each notification is followed by the commands that the code gave when it heard of it.
The names of the classes are stored: one may be added, none may change its meaning. A field may be
added with a default.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, get_args

from hodei.durable.failures import Ended, Failure
from hodei.ports.durable_rows import ParentRef, Payload, RetryRule, TaskLimits

ENGINE_VERSION: Final = 1
"""Of the rules by which notifications lead to commands. Each run keeps those that it began with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The first event of each history."""

    run_id: str
    namespace: str
    workflow_id: str
    type: str
    definition_version: int
    engine_version: int
    input: Payload
    """The arguments of the workflow, as a list."""
    seed: int
    """Of everything that is drawn by chance in the run."""
    parent: ParentRef | None = None
    is_followed: bool = False
    """See `SignalReceived`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSucceeded:
    """A local step returned."""

    command_id: int
    result: Payload


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed:
    """One attempt of a local step raised."""

    command_id: int
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivitySucceeded:
    """An activity returned."""

    command_id: int
    result: Payload
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityFailed:
    """An activity failed for good; `failure` is that of its last attempt."""

    command_id: int
    failure: Failure
    ended: Ended
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """The time of a timer has come."""

    command_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReceived:
    """Somebody told the run something."""

    name: str
    input: Payload
    request_id: str
    by: str
    is_followed: bool = False
    """The next event is a signal too, and the code runs only after that: a run whose code ends on
    one signal has heard those that had arrived with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested:
    """Somebody asked for the end of the run."""

    reason: str
    by: str


class Decision(StrEnum):
    """What an operator says of a compensation that has used up its retries."""

    RETRY = "RETRY"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorDecided:
    """An operator said how to go on. Kept for the audit."""

    command_id: int
    """Of the `CompensationExhausted` that it answers."""
    decision: Decision
    by: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepScheduled:
    """A local step is to be run by the process that owns the run."""

    command_id: int
    name: str
    arguments: str
    """A digest of them; empty for none."""
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityScheduled:
    """An activity is to be carried out by whoever claims it."""

    command_id: int
    activity: str
    input: Payload
    """Its arguments, as a list."""
    queue: str
    priority: int
    retry: RetryRule
    limits: TaskLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityCancelAsked:
    """The code no longer wants an activity."""

    command_id: int
    """Of the activity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerStarted:
    """The run is to be woken `delay_s` seconds after the notification before."""

    command_id: int
    delay_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerCancelled:
    """A timer is no longer wanted."""

    command_id: int
    """Of the timer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchMarked:
    """The code took the new branch of a patch."""

    patch_id: str
    is_deprecated: bool = False
    """The old branch is gone; a replay does not insist on this event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompensationRegistered:
    """What a step did, or may have done, is to be undone when its saga fails."""

    command_id: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaFailed:
    """A saga begins to undo what it did. The run is COMPENSATING until `SagaUndone`."""

    command_id: int
    failure: Failure
    to_undo: int
    """How many compensations were registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompensationStarted:
    """A compensation begins, or begins again because an operator said so."""

    registration: int
    """The command id of its `CompensationRegistered`."""
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCompensated:
    """A compensation is done."""

    registration: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompensationExhausted:
    """A compensation has failed and its retries are used up; the run waits for an operator."""

    command_id: int
    registration: int
    name: str
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class CompensationSkipped:
    """An operator said that a compensation is not needed any more."""

    registration: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaUndone:
    """All compensations of a saga are done or skipped."""

    command_id: int
    """Of its `SagaFailed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCompleted:
    """The code returned."""

    result: Payload


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    """The code raised."""

    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelled:
    """The code let itself be cancelled."""

    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTerminated:
    """An operator ended the run without asking its code."""

    reason: str
    by: str


Result = StepSucceeded | StepFailed | ActivitySucceeded | ActivityFailed | TimerFired
"""Notifications that answer a command."""

Notification = Result | RunStarted | SignalReceived | CancelRequested | OperatorDecided

Closing = RunCompleted | RunFailed | RunCancelled

Command = (
    StepScheduled
    | ActivityScheduled
    | ActivityCancelAsked
    | TimerStarted
    | TimerCancelled
    | PatchMarked
    | CompensationRegistered
    | SagaFailed
    | CompensationStarted
    | StepCompensated
    | CompensationExhausted
    | CompensationSkipped
    | SagaUndone
    | Closing
)

Event = Notification | Command | RunTerminated

EVENT_TYPES: Final[tuple[type[Event], ...]] = get_args(Event)
NOTIFICATIONS: Final[frozenset[type[Event]]] = frozenset(get_args(Notification))
CLOSING: Final[frozenset[type[Event]]] = frozenset({*get_args(Closing), RunTerminated})

_TURNS: Final[tuple[tuple[type[Event], ...], ...]] = (
    (RunStarted,),
    (SignalReceived,),
    (CancelRequested,),
)


def turn(event: Notification) -> int:
    """When a notification is heard among those that arrived in the same round, 0 for first.

    What people said goes first: a run that ends on a result has then heard it.
    """
    for number, types in enumerate(_TURNS):
        if isinstance(event, types):
            return number
    return len(_TURNS)
