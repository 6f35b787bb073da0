"""Drives a workflow by hand, one notification at a time, through `replay.activate`.

Each step begins from the stored history alone, so every test of workflow code is a test of its
replay too.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hodei.durable import payloads
from hodei.durable.definitions import Workflow
from hodei.durable.events import (
    ENGINE_VERSION,
    NOTIFICATIONS,
    ActivityFailed,
    ActivitySucceeded,
    CancelRequested,
    Decision,
    Event,
    Notification,
    OperatorDecided,
    RunStarted,
    SignalReceived,
    StepFailed,
    StepSucceeded,
    TimerFired,
)
from hodei.durable.failures import Ended, Failure
from hodei.durable.recorded import Recorded
from hodei.durable.replay import activate, rebuild

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


class DrivenRun:
    """A run whose outside world is the test.

    Attributes:
        history: All events so far.
    """

    def __init__(self, definition: Workflow, *arguments: object, seed: int = 1) -> None:
        self.definition = definition
        self.history: list[Recorded] = []
        self._at = T0
        started = RunStarted(
            run_id="run-1",
            namespace="default",
            workflow_id="wf-1",
            type=definition.name,
            definition_version=definition.version,
            engine_version=ENGINE_VERSION,
            input=payloads.encode(arguments, what="input"),
            seed=seed,
        )
        self.first = self.hear(started)

    def hear(self, *events: Notification, after_s: float = 1.0) -> list[Event]:
        """Lets the run hear of events together; returns the commands that it gives."""
        if self.history:
            self._at += timedelta(seconds=after_s)
        grown = activate(self.definition, self.history, [(each, self._at) for each in events])
        self.history += grown
        return [each.event for each in grown if type(each.event) not in NOTIFICATIONS]

    def step_returns(self, command_id: int, value: object) -> list[Event]:
        result = payloads.encode(value, what="result")
        return self.hear(StepSucceeded(command_id=command_id, result=result))

    def step_raises(self, command_id: int, kind: str = "Oops", **more: object) -> list[Event]:
        failure = Failure(type=kind, message="it went wrong", **more)
        return self.hear(StepFailed(command_id=command_id, failure=failure))

    def activity_returns(self, command_id: int, value: object) -> list[Event]:
        result = payloads.encode(value, what="result")
        return self.hear(ActivitySucceeded(command_id=command_id, result=result, attempt=1))

    def activity_ends(
        self, command_id: int, ended: Ended = Ended.FINAL, kind: str = "Oops"
    ) -> list[Event]:
        failure = Failure(type=kind, message="it went wrong")
        return self.hear(
            ActivityFailed(command_id=command_id, failure=failure, ended=ended, attempt=1)
        )

    def fires(self, command_id: int, *, after_s: float = 1.0) -> list[Event]:
        return self.hear(TimerFired(command_id=command_id), after_s=after_s)

    def signal(self, name: str, *values: object, request_id: str = "s") -> list[Event]:
        return self.hear(signal_of(name, *values, request_id=request_id))

    def cancel(self) -> list[Event]:
        return self.hear(CancelRequested(reason="no longer needed", by="tester"))

    def decide(self, command_id: int, decision: Decision) -> list[Event]:
        return self.hear(
            OperatorDecided(command_id=command_id, decision=decision, by="operator", note="")
        )

    def ask(self, query: str, *values: object) -> object:
        instance = rebuild(self.definition, self.history)
        try:
            answer = instance.ask(query, payloads.encode(values, what="query"))
        finally:
            instance.wind_up()
        return payloads.decode(answer, object, what="answer")

    def replayed_by(self, definition: Workflow) -> None:
        """Runs other code over the history."""
        rebuild(definition, self.history).wind_up()


def signal_of(name: str, *values: object, request_id: str = "s") -> SignalReceived:
    return SignalReceived(
        name=name, input=payloads.encode(values, what="signal"), request_id=request_id, by=""
    )


def names(commands: Sequence[Event]) -> list[str]:
    return [type(each).__name__ for each in commands]


def result_of(commands: Sequence[Event]) -> object:
    """What the last command, RunCompleted, carries."""
    return payloads.decode(commands[-1].result, object, what="result")
