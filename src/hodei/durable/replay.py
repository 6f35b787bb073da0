"""From a history to a live instance, checking each command on the way."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from hodei.durable.definitions import Workflow
from hodei.durable.difference import Difference, difference
from hodei.durable.events import (
    NOTIFICATIONS,
    Command,
    Event,
    Notification,
    PatchMarked,
    RunStarted,
    RunTerminated,
    SignalReceived,
)
from hodei.durable.loop.instance import Instance
from hodei.durable.recorded import Recorded
from hodei.kernel.errors import BrokenError


class NonDeterminismError(Exception):
    """The code does not do what its history says.

    Attributes:
        difference: Where, and what was expected.
    """

    def __init__(self, where: Difference) -> None:
        super().__init__(str(where))
        self.difference = where


def rebuild(definition: Workflow, history: Sequence[Recorded]) -> Instance:
    """Runs the code over its history.

    Raises:
        NonDeterminismError: It gave other commands than are recorded.
        TaskFailedError: It did what workflow code may not do.
    """
    first = history[0] if history else None
    if first is None or not isinstance(first.event, RunStarted):
        raise BrokenError("a history begins with RunStarted")
    marked = frozenset(
        each.event.patch_id for each in history if isinstance(each.event, PatchMarked)
    )
    instance = Instance(definition, first.event, first.at, marked=marked)
    try:
        _replay(instance, history)
    except BaseException:
        instance.wind_up()
        raise
    return instance


def _replay(instance: Instance, history: Sequence[Recorded]) -> None:
    produced: list[Command] = []
    expected: list[Recorded] = []
    last: Recorded = history[0]
    for each in history:
        if type(each.event) in NOTIFICATIONS:
            _compare(last, expected, produced)
            last, expected = each, []
            produced = instance.apply(_notification(each.event), each.at, is_replaying=True)
        elif not isinstance(each.event, RunTerminated):
            expected.append(each)
    _compare(last, expected, produced)


def _compare(after: Recorded, expected: list[Recorded], produced: list[Command]) -> None:
    found = difference([each.event for each in expected], produced)
    if found is not None:
        index, recorded, given = found
        seq = expected[index].seq if index < len(expected) else after.seq + len(expected) + 1
        raise NonDeterminismError(
            Difference(seq=seq, after=type(after.event).__name__, recorded=recorded, produced=given)
        )


def activate(
    definition: Workflow,
    history: Sequence[Recorded],
    events: Iterable[tuple[Notification, datetime]],
) -> list[Recorded]:
    """The engine as a function: what the history grows by when these notifications come.

    Raises:
        NonDeterminismError: The code gave other commands than are recorded.
        TaskFailedError: It did what workflow code may not do.
    """
    if history:
        instance = rebuild(definition, history)
    else:
        events = list(events)
        (started, at) = events[0]
        if not isinstance(started, RunStarted):
            raise BrokenError("a history begins with RunStarted")
        instance = Instance(definition, started, at, marked=frozenset())
    try:
        return extend(instance, events, next_seq=len(history) + 1)
    finally:
        instance.wind_up()


def extend(
    instance: Instance, events: Iterable[tuple[Notification, datetime]], *, next_seq: int
) -> list[Recorded]:
    """Lets an instance hear of events, one by one; returns the events that its history grows by.

    Notifications that nobody waits for leave no trace. The time of a run never goes back, whatever
    the clocks of those who delivered say.
    """
    grown: list[Recorded] = []
    arrived = list(events)
    for index, (given, arrived_at) in enumerate(arrived):
        if not instance.expects(given):
            continue
        is_followed = index + 1 < len(arrived) and isinstance(arrived[index + 1][0], SignalReceived)
        event = _followed(given) if is_followed else given
        at = max(arrived_at, instance.heard_at)
        for each in (event, *instance.apply(event, at)):
            grown.append(Recorded(seq=next_seq + len(grown), at=at, event=each))
    return grown


def _followed(event: Notification) -> Notification:
    if isinstance(event, RunStarted | SignalReceived):
        return replace(event, is_followed=True)
    return event


def _notification(event: Event) -> Notification:
    return event  # type: ignore[return-value] - its type is in NOTIFICATIONS
