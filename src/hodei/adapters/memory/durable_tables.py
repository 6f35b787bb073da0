"""The tables of the saga engine in memory: what a batch must find, and what it leaves."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from hodei.kernel.errors import BrokenError
from hodei.ports.durable import Batch, Moved, NotOpen, Refusal, Taken, Unread
from hodei.ports.durable_rows import (
    OPEN,
    Delivery,
    HistoryRow,
    InboxRow,
    OutboxRow,
    RunId,
    RunRow,
    TaskId,
    TaskRow,
    TimerKey,
    TimerRow,
)


@dataclass(slots=True)
class Tables:
    """Everything that is stored, save the leases."""

    runs: dict[RunId, RunRow] = field(default_factory=dict[RunId, RunRow])
    """In the order of their start."""
    history: dict[RunId, list[HistoryRow]] = field(default_factory=dict[RunId, list[HistoryRow]])
    inbox: dict[RunId, dict[int, InboxRow]] = field(
        default_factory=dict[RunId, dict[int, InboxRow]]
    )
    """Unread rows, in the order of arrival."""
    keys: dict[RunId, set[str]] = field(default_factory=dict[RunId, set[str]])
    timers: dict[TimerKey, TimerRow] = field(default_factory=dict[TimerKey, TimerRow])
    tasks: dict[TaskId, TaskRow] = field(default_factory=dict[TaskId, TaskRow])
    outbox: list[OutboxRow] = field(default_factory=list[OutboxRow])
    outbox_let_go: int = 0
    """So many were there before the first that is."""
    deliveries_made: int = 0

    def open_runs(self) -> Iterable[RunRow]:
        """The runs that have not ended."""
        return (row for row in self.runs.values() if row.status in OPEN)

    def let_runs_go(self, closed_before: datetime) -> int:
        """Forgets runs that ended before; returns how many."""
        gone = [
            row.run_id
            for row in self.runs.values()
            if row.closed_at is not None and row.closed_at < closed_before
        ]
        for run_id in gone:
            for rows in (self.runs, self.history, self.inbox, self.keys):
                rows.pop(run_id, None)
        while self.outbox and self.outbox[0].at < closed_before:
            self.outbox.pop(0)
            self.outbox_let_go += 1
        return len(gone)

    def newest_run(self, namespace: str, workflow_id: str) -> RunRow | None:
        """The open run of a workflow id; else the one that was started last."""
        own = [
            row
            for row in self.runs.values()
            if (row.namespace, row.workflow_id) == (namespace, workflow_id)
        ]
        still_open = [row for row in own if row.status in OPEN]
        return (still_open or own or [None])[-1]

    def check(self, batch: Batch) -> Refusal | None:
        """What stands against the batch, if anything does."""
        return (
            self._check_revisions(batch)
            or self._check_history(batch)
            or self._check_read(batch)
            or self._check_new_runs(batch)
            or self._check_deliveries(batch)
        )

    def apply(self, batch: Batch) -> list[str]:
        """Writes the batch, which was checked; returns the keys that were known before."""
        for run_id, ids in self._consumed(batch).items():
            for each in ids:
                del self.inbox[run_id][each]
        for row in batch.runs:
            self.runs[row.run_id] = row
            if row.status not in OPEN:
                self._clear(row.run_id)
        for row in batch.new_runs:
            self.runs[row.run_id] = row
            self.history[row.run_id] = []
            self.inbox[row.run_id] = {}
            self.keys[row.run_id] = set()
        for event in batch.history:
            self.history[event.run_id].append(event)
        self._apply_work(batch)
        repeated = [
            each.key for each in self._all_deliveries(batch) if not self._deliver(each, batch)
        ]
        self.outbox += batch.outbox
        return repeated

    def _apply_work(self, batch: Batch) -> None:
        self.timers |= {each.key: each for each in batch.timers}
        for key in batch.timers_gone:
            self.timers.pop(key, None)
        self.tasks |= {each.task_id: each for each in batch.tasks_new}
        for write in batch.tasks:
            if write.after is None:
                del self.tasks[write.before.task_id]
            else:
                self.tasks[write.before.task_id] = write.after
        for task_id in batch.tasks_cancelled:
            if (task := self.tasks.get(task_id)) is not None:
                self.tasks[task_id] = replace(
                    task, cancel_requested=True, revision=task.revision + 1
                )

    def _all_deliveries(self, batch: Batch) -> Iterable[Delivery]:
        for firing in batch.timers_fired:
            if self.timers.pop(firing.timer, None) is not None:
                yield firing.delivery
        yield from batch.deliveries

    def _deliver(self, delivery: Delivery, batch: Batch) -> bool:
        if delivery.key in self.keys[delivery.run_id]:
            return False
        self.deliveries_made += 1
        row = InboxRow(id=self.deliveries_made, delivery=delivery, at=batch.at)
        self.keys[delivery.run_id].add(delivery.key)
        self.inbox[delivery.run_id][row.id] = row
        return True

    def _clear(self, run_id: RunId) -> None:
        self.inbox[run_id] = {}
        self.timers = {key: each for key, each in self.timers.items() if key.run_id != run_id}
        self.tasks = {key: each for key, each in self.tasks.items() if each.run_id != run_id}

    def _check_revisions(self, batch: Batch) -> Refusal | None:
        for row in batch.runs:
            stored = self.runs.get(row.run_id)
            if stored is None or stored.revision != row.revision - 1:
                return Moved(key=row.run_id)
        for write in batch.tasks:
            before = self.tasks.get(write.before.task_id)
            if before is None or before.revision != write.before.revision:
                return Moved(key=write.before.task_id)
        return None

    def _check_history(self, batch: Batch) -> Refusal | None:
        lengths = {run_id: len(rows) for run_id, rows in self.history.items()}
        lengths |= {row.run_id: 0 for row in batch.new_runs}
        for event in batch.history:
            length = lengths[event.run_id]
            if event.seq <= length:
                return Moved(key=event.run_id)
            if event.seq > length + 1:
                raise BrokenError(
                    f"run {event.run_id}: event {event.seq} would leave a gap after {length}"
                )
            lengths[event.run_id] = event.seq
        return None

    def _check_read(self, batch: Batch) -> Refusal | None:
        consumed = self._consumed(batch)
        for run_id in batch.require_read:
            if set(self.inbox[run_id]) - set(consumed.get(run_id, ())):
                return Unread(run_id=run_id)
        return None

    def _consumed(self, batch: Batch) -> dict[RunId, list[int]]:
        wanted = set(batch.consumed)
        found = {
            run_id: [each for each in rows if each in wanted] for run_id, rows in self.inbox.items()
        }
        if sum(map(len, found.values())) < len(wanted):
            # The revisions of the runs fit, so nobody else can have read them.
            raise BrokenError(f"not all of {sorted(wanted)} are in an inbox")
        return {run_id: ids for run_id, ids in found.items() if ids}

    def _check_new_runs(self, batch: Batch) -> Refusal | None:
        closing = {row.run_id for row in batch.runs if row.status not in OPEN}
        for new in batch.new_runs:
            if new.run_id in self.runs:
                return Taken(by=new.run_id)
            siblings = [
                row
                for row in self.runs.values()
                if (row.namespace, row.workflow_id) == (new.namespace, new.workflow_id)
            ]
            for row in siblings:
                if new.request_id and row.request_id == new.request_id:
                    return Taken(by=row.run_id)
            for row in siblings:
                if row.status in OPEN and row.run_id not in closing:
                    return Taken(by=row.run_id)
        return None

    def _check_deliveries(self, batch: Batch) -> Refusal | None:
        after = self.runs | {row.run_id: row for row in (*batch.runs, *batch.new_runs)}
        for each in batch.deliveries:
            row = after.get(each.run_id)
            if row is None:
                return NotOpen(run_id=each.run_id)
            if row.status not in OPEN and each.key not in self.keys[each.run_id]:
                return NotOpen(run_id=each.run_id)
        return None
