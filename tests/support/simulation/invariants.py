"""What must hold whatever happens. Checked after each commit, and again at the end."""

from collections import defaultdict

from hodei.adapters.memory import MemoryDurableStore
from hodei.durable.definitions import Workflows
from hodei.durable.events import (
    NOTIFICATIONS,
    ActivityFailed,
    ActivityScheduled,
    ActivitySucceeded,
    CompensationRegistered,
    CompensationSkipped,
    Result,
    RunTerminated,
    SagaFailed,
    SagaUndone,
    SignalReceived,
    StepCompensated,
    StepFailed,
    StepScheduled,
    StepSucceeded,
    TimerFired,
    TimerStarted,
)
from hodei.durable.recorded import Recorded, recorded
from hodei.durable.replay import rebuild
from hodei.ports.durable import Batch, Committed, Refusal
from hodei.ports.durable_rows import OPEN, RunId
from support.simulation.faulty_store import Life

_NUMBERED = (StepScheduled, ActivityScheduled, TimerStarted, CompensationRegistered, SagaFailed)
_ANSWERS = (StepSucceeded, StepFailed, ActivitySucceeded, ActivityFailed, TimerFired)


class BrokenInvariantError(AssertionError):
    """Something that must never happen has happened."""


class Invariants:
    """Watches the one true store."""

    def __init__(self, store: MemoryDurableStore, workflows: Workflows) -> None:
        self._store = store
        self._tables = store._tables
        self._workflows = workflows
        self._seen: dict[RunId, int] = defaultdict(int)
        self._epochs: dict[RunId, int] = defaultdict(int)
        self._scheduled: dict[RunId, set[int]] = defaultdict(set)
        self._answered: dict[RunId, set[int]] = defaultdict(set)
        self._succeeded: dict[RunId, set[str]] = defaultdict(set)
        self._names: dict[RunId, dict[int, str]] = defaultdict(dict)
        self._attempts: dict[str, int] = defaultdict(int)
        self.commits = 0

    def after_commit(self, life: Life, batch: Batch, outcome: Committed | Refusal) -> None:
        if not isinstance(outcome, Committed):
            return
        self.commits += 1
        for write in batch.tasks:
            if write.after is not None:
                self._attempts[write.after.task_id] = write.after.attempt
        for row in batch.history:
            self._after_event(life, batch, recorded(row), row.run_id)
        for row in batch.runs:
            if row.status not in OPEN:
                self._after_end(row.run_id)

    def before_effect(self, life: Life, run_id: str, name: str) -> None:
        """A local step is recorded before it runs, and does not run once its result is."""
        run = RunId(run_id)
        self._require(name in self._names[run].values(), run, f"{name} runs before it is recorded")
        owner = self._store._shards[self._tables.runs[run].shard_id].owner
        if owner == life.server:
            self._require(name not in self._succeeded[run], run, f"{name} runs again")

    def at_the_end(self) -> None:
        for run_id, row in self._tables.runs.items():
            self._require(row.status not in OPEN, run_id, "it has not ended")
            self._replays(run_id)
            self._undone_in_order(run_id)
        for table in (self._tables.timers, self._tables.tasks):
            self._require(not table, None, f"something is left of runs that ended: {table}")
        unread = {run_id: rows for run_id, rows in self._tables.inbox.items() if rows}
        self._require(not unread, None, f"unread rows are left: {unread}")

    def history(self, run_id: RunId) -> list[Recorded]:
        return [recorded(row) for row in self._tables.history[run_id]]

    def _after_event(self, life: Life, batch: Batch, each: Recorded, run_id: RunId) -> None:
        self._require(each.seq == self._seen[run_id] + 1, run_id, f"gap before {each.seq}")
        self._seen[run_id] = each.seq
        event = each.event
        if not isinstance(event, RunTerminated):
            fence = batch.fence
            self._require(fence is not None, run_id, "history is written without a fence")
            shard = self._store._shards[self._tables.runs[run_id].shard_id]
            self._require(shard.owner == life.server, run_id, f"{life.server} is not its owner")
            if fence is not None:
                self._require(fence.epoch >= self._epochs[run_id], run_id, "an epoch goes back")
                self._epochs[run_id] = fence.epoch
        if isinstance(event, _NUMBERED):
            self._require(
                event.command_id not in self._scheduled[run_id],
                run_id,
                f"command {event.command_id} is given twice",
            )
            self._scheduled[run_id].add(event.command_id)
        if isinstance(event, StepScheduled):
            self._names[run_id][event.command_id] = event.name
        if isinstance(event, _ANSWERS):
            self._after_answer(event, run_id)

    def _after_answer(self, event: Result, run_id: RunId) -> None:
        command_id = event.command_id
        self._require(command_id in self._scheduled[run_id], run_id, f"{event} answers nothing")
        self._require(
            command_id not in self._answered[run_id], run_id, f"{command_id} is answered twice"
        )
        self._answered[run_id].add(command_id)
        if isinstance(event, StepSucceeded):
            self._succeeded[run_id].add(self._names[run_id][command_id])
        if isinstance(event, ActivitySucceeded):
            attempt = self._attempts[f"{run_id}/{command_id}"]
            self._require(
                event.attempt == attempt,
                run_id,
                f"attempt {event.attempt} of {command_id} counts, {attempt} is the current one",
            )
            said = event.result.data.decode()
            self._require(
                said.endswith(f' by attempt {attempt}"'),
                run_id,
                f"{said} is taken for the word of attempt {attempt}",
            )

    def _after_end(self, run_id: RunId) -> None:
        signals = [
            each.event.request_id
            for each in self.history(run_id)
            if isinstance(each.event, SignalReceived)
        ]
        self._require(len(set(signals)) == len(signals), run_id, f"heard twice: {signals}")
        delivered = {
            key.removeprefix("signal:")
            for key in self._tables.keys[run_id]
            if key.startswith("signal:")
        }
        last = self.history(run_id)[-1].event
        if not isinstance(last, RunTerminated):
            self._require(set(signals) == delivered, run_id, "it ended without hearing a signal")

    def _replays(self, run_id: RunId) -> None:
        row = self._tables.runs[run_id]
        definition = self._workflows.find(row.type, row.definition_version)
        history = self.history(run_id)
        if definition is not None and any(type(each.event) in NOTIFICATIONS for each in history):
            rebuild(definition, history).wind_up()

    def _undone_in_order(self, run_id: RunId) -> None:
        """Each compensation of a failed saga is done or skipped once, last first."""
        registered: list[int] = []
        expected: list[int] = []
        for each in self.history(run_id):
            match each.event:
                case CompensationRegistered(command_id=command_id):
                    registered.append(command_id)
                case SagaFailed(to_undo=count):
                    self._require(count == len(registered), run_id, "a compensation is missing")
                    expected = list(registered)
                case StepCompensated(registration=done) | CompensationSkipped(registration=done):
                    self._require(
                        bool(expected) and expected[-1] == done,
                        run_id,
                        f"{done} is undone when {expected[-1:]} is next",
                    )
                    expected.pop()
                case SagaUndone():
                    self._require(not expected, run_id, f"{expected} are never undone")
                    registered.clear()
                case RunTerminated():
                    expected = []
                case _:
                    pass
        self._require(not expected, run_id, f"it ended with {expected} still to be undone")

    def _require(self, holds: bool, run_id: RunId | None, what: str) -> None:  # noqa: FBT001
        if not holds:
            events = self.history(run_id) if run_id in self._tables.history else []
            told = "\n".join(f"  {each.seq} {each.at:%H:%M:%S.%f} {each.event}" for each in events)
            raise BrokenInvariantError(f"run {run_id}: {what}\n{told}")
