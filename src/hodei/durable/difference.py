"""Whether commands are those that were recorded, and how to say that they are not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hodei.durable.events import (
    ActivityCancelAsked,
    ActivityScheduled,
    Command,
    CompensationExhausted,
    CompensationRegistered,
    CompensationSkipped,
    CompensationStarted,
    Event,
    PatchMarked,
    RunCancelled,
    RunCompleted,
    RunFailed,
    SagaFailed,
    SagaUndone,
    StepCompensated,
    StepScheduled,
    TimerCancelled,
    TimerStarted,
)

# By what a command is the same in a replay. Times, retry rules and queues may change under an open
# run: the recorded ones stay in force for what was asked already. The text of a failure may change.
_IDENTITY: Final[dict[type[Event], tuple[str, ...]]] = {
    StepScheduled: ("command_id", "name", "arguments", "attempt"),
    ActivityScheduled: ("command_id", "activity", "input"),
    ActivityCancelAsked: ("command_id",),
    TimerStarted: ("command_id",),
    TimerCancelled: ("command_id",),
    PatchMarked: ("patch_id",),
    CompensationRegistered: ("command_id", "name"),
    SagaFailed: ("command_id", "to_undo"),
    CompensationStarted: ("registration", "attempt"),
    StepCompensated: ("registration",),
    CompensationExhausted: ("command_id", "registration"),
    CompensationSkipped: ("registration",),
    SagaUndone: ("command_id",),
    RunCompleted: ("result",),
    RunFailed: (),
    RunCancelled: (),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first place where the code and the history part."""

    seq: int
    """Of the event in question."""
    after: str
    """The notification that the code had just heard of."""
    recorded: Event | None
    """None: the history has nothing more there."""
    produced: Command | None
    """None: the code asks for nothing more there."""

    def __str__(self) -> str:
        return (
            f"at event {self.seq}, after {self.after}:\n"
            f"  recorded: {_described(self.recorded)}\n"
            f"  the code: {_described(self.produced)}\n"
            "Put the code back as it was for runs that are open, or put the change behind "
            "ctx.patched(...) or a new version of the workflow."
        )


def difference(
    recorded: Sequence[Event], produced: Sequence[Command]
) -> tuple[int, Event | None, Command | None] | None:
    """The first pair that differs, with the index of the recorded one; None where there is none.

    A recorded patch that is deprecated may be missing in the code.
    """
    given = iter(produced)
    command = next(given, None)
    for index, event in enumerate(recorded):
        if command is not None and is_same(event, command):
            command = next(given, None)
        elif not (isinstance(event, PatchMarked) and event.is_deprecated):
            return index, event, command
    return None if command is None else (len(recorded), None, command)


def is_same(event: Event, command: Command) -> bool:
    """Whether a command is the one that was recorded."""
    kind = type(command)
    if type(event) is not kind:
        return False
    return all(getattr(event, name) == getattr(command, name) for name in _IDENTITY[kind])


def _described(event: Event | None) -> str:
    if event is None:
        return "nothing"
    parts = ", ".join(
        f"{name}={_readable(getattr(event, name))}" for name in _IDENTITY.get(type(event), ())
    )
    return f"{type(event).__name__}({parts})"


def _readable(value: object) -> str:
    data = getattr(value, "data", None)
    if isinstance(data, bytes):
        text = data.decode(errors="replace")
        return text if len(text) <= 200 else f"{text[:200]}…"
    return repr(value)
