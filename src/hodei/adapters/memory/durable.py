"""The saga engine's store in memory. Plain scans over dictionaries: easily seen to be right."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime

from hodei.kernel.clock import Clock
from hodei.ports.durable import (
    MAX_HISTORY_PAGE,
    Batch,
    Committed,
    Refusal,
    RunFilter,
    RunPage,
    RunsLetGo,
)
from hodei.ports.durable_rows import (
    HistoryRow,
    InboxRow,
    OutboxRow,
    RunId,
    RunRow,
    ShardId,
    TaskId,
    TaskRow,
    TaskState,
    TimerRow,
)
from hodei.ports.stores import StoreUnavailableError

from .durable_leases import MemoryLeases
from .durable_tables import Tables
from .paging import newest_first


class MemoryDurableStore(MemoryLeases):
    """Implements `hodei.ports.durable.DurableStore`.

    Args:
        clock: The store's own time.
        shards: How many there are.
    """

    def __init__(self, clock: Clock, *, shards: int = 4) -> None:
        super().__init__(clock, shards=shards)
        self._tables = Tables()
        self._closed = False

    async def close(self) -> None:
        """See `DurableStore.close`."""
        self._closed = True

    async def commit(self, batch: Batch) -> Committed | Refusal:
        """See `DurableWriter.commit`."""
        await self._turn()
        if (fence := batch.fence) is not None and (refusal := self.check_fence(fence)) is not None:
            return refusal
        if (refusal := self._tables.check(batch)) is not None:
            return refusal
        return Committed(repeated=tuple(self._tables.apply(batch)))

    async def let_runs_go(self, *, closed_before: datetime, after: int, at_most: int) -> RunsLetGo:
        """See `RunKeeping.let_runs_go`."""
        await self._turn()
        del after, at_most  # it looks at everything
        return RunsLetGo(runs=self._tables.let_runs_go(closed_before), next=None)

    async def load_run(self, run_id: RunId) -> RunRow | None:
        """See `RunReads.load_run`."""
        await self._turn()
        return self._tables.runs.get(run_id)

    async def newest_run(self, namespace: str, workflow_id: str) -> RunRow | None:
        """See `RunReads.newest_run`."""
        await self._turn()
        return self._tables.newest_run(namespace, workflow_id)

    async def list_runs(self, run_filter: RunFilter, *, limit: int, cursor: str = "") -> RunPage:
        """See `RunReads.list_runs`."""
        await self._turn()
        numbered = [
            (number, row)
            for number, row in enumerate(self._tables.runs.values())
            if _matches(row, run_filter)
        ]
        shown, next_cursor = newest_first(numbered, kind="runs", limit=limit, cursor=cursor)
        return RunPage(runs=tuple(shown), next_cursor=next_cursor)

    async def runs_due(self, shards: Sequence[ShardId], *, limit: int) -> list[RunId]:
        """See `RunReads.runs_due`."""
        await self._turn()
        now = self.clock.now()
        due = [
            (row.runnable_at, row.run_id)
            for row in self._tables.open_runs()
            if row.shard_id in shards
            and row.runnable_at is not None
            and row.runnable_at <= now
            and (row.local_pending or self._tables.inbox[row.run_id])
        ]
        return [run_id for _, run_id in sorted(due)[:limit]]

    async def read_history(
        self, run_id: RunId, *, after_seq: int, limit: int = MAX_HISTORY_PAGE
    ) -> list[HistoryRow]:
        """See `RunReads.read_history`."""
        await self._turn()
        return self._tables.history.get(run_id, [])[after_seq : after_seq + limit]

    async def read_inbox(self, run_id: RunId, *, limit: int) -> list[InboxRow]:
        """See `RunReads.read_inbox`."""
        await self._turn()
        return list(self._tables.inbox.get(run_id, {}).values())[:limit]

    async def read_outbox(self, *, after: int, limit: int) -> list[tuple[int, OutboxRow]]:
        """See `RunReads.read_outbox`."""
        await self._turn()
        begin = self._tables.outbox_let_go
        rows = self._tables.outbox[max(0, after - begin) :][:limit]
        return list(enumerate(rows, start=max(after, begin) + 1))

    async def timers_due(self, shards: Sequence[ShardId], *, limit: int) -> list[TimerRow]:
        """See `WorkReads.timers_due`."""
        await self._turn()
        now = self.clock.now()
        due = [each for each in self._timers_of_shards(shards) if each.fire_at <= now]
        return sorted(due, key=lambda each: each.fire_at)[:limit]

    async def next_timer(self, shards: Sequence[ShardId]) -> datetime | None:
        """See `WorkReads.next_timer`."""
        await self._turn()
        return min((each.fire_at for each in self._timers_of_shards(shards)), default=None)

    async def timers_of(self, run_id: RunId) -> list[TimerRow]:
        """See `WorkReads.timers_of`."""
        await self._turn()
        own = [each for each in self._tables.timers.values() if each.key.run_id == run_id]
        return sorted(own, key=lambda each: each.fire_at)

    async def load_task(self, task_id: TaskId) -> TaskRow | None:
        """See `WorkReads.load_task`."""
        await self._turn()
        return self._tables.tasks.get(task_id)

    async def tasks_of(self, run_id: RunId) -> list[TaskRow]:
        """See `WorkReads.tasks_of`."""
        await self._turn()
        own = [each for each in self._tables.tasks.values() if each.run_id == run_id]
        return sorted(own, key=lambda each: each.command_id)

    async def claimable_tasks(self, queues: Sequence[str], *, limit: int) -> list[TaskRow]:
        """See `WorkReads.claimable_tasks`."""
        await self._turn()
        now = self.clock.now()
        claimable = [
            each
            for each in self._tables.tasks.values()
            if each.state is TaskState.QUEUED
            and each.queue in queues
            and each.available_at <= now
            and not each.cancel_requested
        ]
        return sorted(claimable, key=lambda each: (-each.priority, each.available_at))[:limit]

    async def overdue_tasks(self, shards: Sequence[ShardId], *, limit: int) -> list[TaskRow]:
        """See `WorkReads.overdue_tasks`."""
        await self._turn()
        now = self.clock.now()
        overdue = [
            each
            for each in self._tasks_of_shards(shards)
            if (each.due_at is not None and each.due_at <= now)
            or (each.cancel_requested and each.state is TaskState.QUEUED)
        ]
        return overdue[:limit]

    async def next_task_time(self, shards: Sequence[ShardId]) -> datetime | None:
        """See `WorkReads.next_task_time`."""
        await self._turn()
        now = self.clock.now()
        own = list(self._tasks_of_shards(shards))
        instants = [each.due_at for each in own if each.due_at is not None]
        instants += [
            each.available_at
            for each in own
            if each.state is TaskState.QUEUED and each.available_at > now
        ]
        return min(instants, default=None)

    async def _turn(self) -> None:
        if self._closed:
            raise StoreUnavailableError("the store is closed")
        # Others get their turn here, as they do while a real store works.
        await asyncio.sleep(0)

    def _timers_of_shards(self, shards: Sequence[ShardId]) -> Iterable[TimerRow]:
        return (each for each in self._tables.timers.values() if each.shard_id in shards)

    def _tasks_of_shards(self, shards: Sequence[ShardId]) -> Iterable[TaskRow]:
        return (each for each in self._tables.tasks.values() if each.shard_id in shards)


def _matches(row: RunRow, run_filter: RunFilter) -> bool:
    return all(
        (
            not run_filter.namespace or row.namespace == run_filter.namespace,
            not run_filter.workflow_id or row.workflow_id == run_filter.workflow_id,
            not run_filter.type or row.type == run_filter.type,
            not run_filter.statuses or row.status in run_filter.statuses,
            not run_filter.only_parked or row.parked is not None,
        )
    )
