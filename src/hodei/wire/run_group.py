"""Which batches of the saga engine may commit together, and the rows that they come to.

Pure: the writer gives it what is stored, or what it takes to be stored, and executes what it says.
"""

from collections import Counter
from typing import Any

from hodei.kernel.errors import BrokenError
from hodei.ports.durable import (
    Batch,
    Committed,
    Fenced,
    Moved,
    NotOpen,
    Refusal,
    Taken,
    Unread,
)
from hodei.ports.durable_rows import OPEN, Delivery, RunId, RunRow
from hodei.wire.instants import to_micros
from hodei.wire.run_facts import Facts
from hodei.wire.run_heads import Heads, RunHead, TimerHead
from hodei.wire.run_rows import (
    RunColumns,
    TaskColumns,
    history_columns,
    outbox_columns,
    run_columns,
    task_columns,
    timer_columns,
)


class GroupOfRuns:
    """Collects the rows of batches that share one transaction, each batch wholly or not at all.

    Attributes:
        facts: What of the heads the decisions were built on.
    """

    def __init__(self, heads: Heads) -> None:
        self.facts = Facts()
        self._heads = heads
        self._arrived: Counter[str] = Counter()
        """Deliveries of this group, which nobody can have read, by run."""
        self.new_runs: dict[str, RunColumns] = {}
        self.runs: dict[str, RunColumns] = {}
        """A later batch of the group replaces the row of an earlier one; so with those below."""
        self.closed: set[str] = set()
        """Runs that lose their timers, their tasks and what they have not read, after all else."""
        self.history: list[tuple[Any, ...]] = []
        self.timers_gone: set[TimerHead] = set()
        """Removed before others are written."""
        self.timers: dict[TimerHead, tuple[Any, ...]] = {}
        self.tasks_gone: set[str] = set()
        """Removed before others are written."""
        self.tasks: dict[str, TaskColumns] = {}
        self.tasks_cancelled: Counter[str] = Counter()
        """Stored tasks that are marked, with by how much their revision grows."""
        self.read: list[int] = []
        """Inbox rows that have been read."""
        self.inbox: list[tuple[Any, ...]] = []
        self.outbox: list[tuple[Any, ...]] = []

    def add(self, batch: Batch) -> Committed | Refusal:
        """Takes a batch in; one that is refused leaves no trace."""
        refusal = (
            self._check_fence(batch)
            or self._check_revisions(batch)
            or self._check_history(batch)
            or self._check_read(batch)
            or self._check_new_runs(batch)
            or self._check_deliveries(batch)
        )
        if refusal is not None:
            return refusal
        if (fence := batch.fence) is not None:
            self.facts.shards.setdefault(fence.shard_id, (fence.owner, fence.epoch))
        self._put_read(batch)
        self._put_runs(batch)
        self._put_history(batch)
        self._put_timers(batch)
        self._put_tasks(batch)
        repeated = self._deliver_all(batch)
        self.outbox += map(outbox_columns, batch.outbox)
        return Committed(repeated=tuple(repeated))

    def _check_fence(self, batch: Batch) -> Fenced | None:
        fence = batch.fence
        if fence is None or self._heads.shards.get(fence.shard_id) == (fence.owner, fence.epoch):
            return None
        return Fenced(shard_id=fence.shard_id)

    def _check_revisions(self, batch: Batch) -> Moved | None:
        for row in batch.runs:
            head = self._heads.runs.get(row.run_id)
            if head is None or head.revision != row.revision - 1:
                return Moved(key=row.run_id)
        for write in batch.tasks:
            if self._heads.tasks.get(write.before.task_id) != write.before.revision:
                return Moved(key=write.before.task_id)
        return None

    def _check_history(self, batch: Batch) -> Moved | None:
        new = {row.run_id for row in batch.new_runs}
        lengths: dict[str, int] = {}
        for event in batch.history:
            length = lengths.get(event.run_id)
            if length is None:
                head = self._heads.runs.get(event.run_id)
                if head is None and event.run_id not in new:
                    raise BrokenError(f"event {event.seq} is for run {event.run_id}, which is not")
                length = 0 if head is None else head.last_seq
            if event.seq <= length:
                return Moved(key=event.run_id)
            if event.seq > length + 1:
                raise BrokenError(
                    f"run {event.run_id}: event {event.seq} would leave a gap after {length}"
                )
            lengths[event.run_id] = event.seq
        return None

    def _check_read(self, batch: Batch) -> Unread | None:
        consumed = set(batch.consumed)
        if not consumed <= self._heads.unread.keys():
            # The revisions of the runs fit, so nobody else can have read them.
            raise BrokenError(f"not all of {sorted(consumed)} are in an inbox")
        for run_id in batch.require_read:
            stored = {id_ for id_, of in self._heads.unread.items() if of == run_id}
            if self._arrived[run_id] or stored - consumed:
                return Unread(run_id=run_id)
        return None

    def _check_new_runs(self, batch: Batch) -> Taken | None:
        closing = {row.run_id for row in batch.runs if row.status not in OPEN}
        for row in batch.new_runs:
            if row.run_id in self._heads.runs:
                return Taken(by=row.run_id)
            of = (row.namespace, row.workflow_id)
            same_request = self._heads.requests.get((*of, row.request_id))
            if row.request_id and same_request is not None:
                return Taken(by=RunId(same_request))
            is_open = self._heads.open_runs.get(of)
            if is_open is not None and is_open not in closing:
                return Taken(by=RunId(is_open))
        return None

    def _check_deliveries(self, batch: Batch) -> NotOpen | None:
        after = {row.run_id: row.status in OPEN for row in (*batch.runs, *batch.new_runs)}
        for each in batch.deliveries:
            is_open = after.get(each.run_id)
            if is_open is None:
                head = self._heads.runs.get(each.run_id)
                if head is None:
                    return NotOpen(run_id=each.run_id)
                is_open = head.is_open
            if not is_open and (each.run_id, each.key) not in self._heads.delivered:
                return NotOpen(run_id=each.run_id)
        return None

    def _put_read(self, batch: Batch) -> None:
        for id_ in batch.consumed:
            del self._heads.unread[id_]
        self.read += batch.consumed
        self.facts.read |= dict.fromkeys(batch.require_read)

    def _put_runs(self, batch: Batch) -> None:
        for row in batch.runs:
            head = self._heads.runs[row.run_id]
            head.revision, head.is_open = row.revision, row.status in OPEN
            if row.run_id in self.new_runs:
                self.new_runs[row.run_id] = run_columns(row)
            else:
                self.facts.runs.setdefault(row.run_id, row.revision - 1)
                self.runs[row.run_id] = run_columns(row)
            if not head.is_open:
                self._close(row)
        for row in batch.new_runs:
            self.new_runs[row.run_id] = run_columns(row)
            self._heads.runs[row.run_id] = RunHead(
                revision=row.revision, is_open=row.status in OPEN, last_seq=0
            )
            of = (row.namespace, row.workflow_id)
            if row.status in OPEN:
                self._heads.open_runs[of] = row.run_id
            self._heads.requests[*of, row.request_id] = row.run_id

    def _put_history(self, batch: Batch) -> None:
        for event in batch.history:
            if event.run_id not in self.new_runs:
                self.facts.last_seqs.setdefault(event.run_id, event.seq - 1)
            self.history.append(history_columns(event))
            self._heads.runs[event.run_id].last_seq = event.seq

    def _close(self, row: RunRow) -> None:
        self.closed.add(row.run_id)
        self._arrived.pop(row.run_id, None)
        self._heads.unread = {id_: of for id_, of in self._heads.unread.items() if of != row.run_id}
        of = (row.namespace, row.workflow_id)
        if self._heads.open_runs.get(of) == row.run_id:
            del self._heads.open_runs[of]

    def _put_timers(self, batch: Batch) -> None:
        for timer in batch.timers:
            key = (timer.key.run_id, timer.key.command_id)
            self.timers[key] = timer_columns(timer)
            self._heads.timers.add(key)
        for gone in batch.timers_gone:
            self._remove_timer((gone.run_id, gone.command_id))

    def _remove_timer(self, key: TimerHead) -> None:
        self.timers.pop(key, None)
        self.timers_gone.add(key)
        self._heads.timers.discard(key)

    def _put_tasks(self, batch: Batch) -> None:
        for row in batch.tasks_new:
            self.tasks[row.task_id] = task_columns(row)
            self._heads.tasks[row.task_id] = row.revision
        for write in batch.tasks:
            task_id = write.before.task_id
            if task_id not in self.tasks:
                self.facts.tasks.setdefault(task_id, write.before.revision)
            if write.after is None:
                self.tasks.pop(task_id, None)
                self.tasks_gone.add(task_id)
                del self._heads.tasks[task_id]
            else:
                self.tasks[task_id] = task_columns(write.after)
                self._heads.tasks[task_id] = write.after.revision
        for task_id in batch.tasks_cancelled:
            if (stored := self.tasks.get(task_id)) is not None:
                self.tasks[task_id] = stored._replace(
                    revision=stored.revision + 1, cancel_requested=True
                )
            else:
                self.tasks_cancelled[task_id] += 1
            if task_id in self._heads.tasks:
                self._heads.tasks[task_id] += 1

    def _deliver_all(self, batch: Batch) -> list[str]:
        repeated: list[str] = []
        fired: list[Delivery] = []
        for firing in batch.timers_fired:
            key = (firing.timer.run_id, firing.timer.command_id)
            if key in self._heads.timers:
                if key not in self.timers:
                    self.facts.timers[key] = None
                self._remove_timer(key)
                fired.append(firing.delivery)
        at = to_micros(batch.at)
        for each in (*fired, *batch.deliveries):
            delivered = (each.run_id, each.key)
            if delivered in self._heads.delivered:
                repeated.append(each.key)
                continue
            self._heads.delivered.add(delivered)
            self._arrived[each.run_id] += 1
            if each.run_id not in self.new_runs:
                self.facts.open_runs[each.run_id] = None
            self.inbox.append((each.run_id, each.key, each.kind.value, at, each.data))
        return repeated
