"""What operators count of the engine, read off the batches that it commits."""

from collections.abc import Callable
from typing import Final

from hodei.durable.events import (
    ActivityFailed,
    ActivitySucceeded,
    CompensationExhausted,
    Event,
    StepCompensated,
    StepFailed,
    StepSucceeded,
)
from hodei.ports.durable import Batch

Count = Callable[[str, int], None]
"""Counts something so many times more, by its name."""

_EVENTS: Final[dict[type[Event], str]] = {
    StepSucceeded: "workflow_steps_done",
    ActivitySucceeded: "workflow_steps_done",
    StepFailed: "workflow_steps_failed",
    ActivityFailed: "workflow_steps_failed",
    StepCompensated: "workflow_compensations_done",
    CompensationExhausted: "workflow_compensations_exhausted",
}
_BY_KIND: Final = {kind.__name__: name for kind, name in _EVENTS.items()}

NAMES: Final = (
    "workflow_runs_started",
    "workflow_runs_completed",
    "workflow_runs_failed",
    "workflow_runs_cancelled",
    "workflow_runs_terminated",
    "workflow_runs_parked",
    *dict.fromkeys(_BY_KIND.values()),
)
"""Everything that is counted; told by a test to be in the reference."""


def tally(batch: Batch, count: Count) -> None:
    """Counts what a batch that was committed has brought about."""
    for event in batch.history:
        if (name := _BY_KIND.get(event.kind)) is not None:
            count(name, 1)
    for notice in batch.outbox:
        match notice.topic:
            case "run.started":
                count("workflow_runs_started", 1)
            case "run.closed":
                count(f"workflow_runs_{notice.data.decode().lower()}", 1)
            case "run.parked":
                count("workflow_runs_parked", 1)
            case _:
                pass
