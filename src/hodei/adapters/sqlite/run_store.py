"""The saga engine's store, in the database of the jobs."""

from collections.abc import Callable, Sequence
from datetime import datetime
from sqlite3 import Connection
from typing import TypeVar

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
    TimerRow,
)
from hodei.ports.stores import StoreUnavailableError
from hodei.wire.run_tables import Row, RunTable

from . import run_history, run_reads, run_tables, run_writes
from .reader import ReaderPool
from .run_leases import SqliteLeases
from .writer import Writer

T = TypeVar("T")


class SqliteDurableStore(SqliteLeases):
    """Implements `hodei.ports.durable.DurableStore`. Made by `SqliteStore.durable`.

    Its commits share transactions with those of the jobs. `close` takes no more and leaves the
    database open, which is the other store's.
    """

    def __init__(self, writer: Writer, readers: ReaderPool, clock: Clock) -> None:
        super().__init__(writer, readers, clock)
        self._closed = False

    async def close(self) -> None:
        """See `DurableStore.close`."""
        self._closed = True

    async def commit(self, batch: Batch) -> Committed | Refusal:
        """See `DurableWriter.commit`."""
        self._require_open()
        size = run_writes.size_of(batch)
        return await self._writer.write(run_writes.write_batches, batch, size=size)

    async def rows_after(self, table: RunTable, key: Row, *, limit: int) -> list[Row]:
        """Rows of a table after a key, in their order, for whoever moves all of it elsewhere."""
        return await self._read(
            lambda connection: run_tables.rows_after(connection, table, key, limit)
        )

    async def let_runs_go(self, *, closed_before: datetime, after: int, at_most: int) -> RunsLetGo:
        """See `RunKeeping.let_runs_go`."""
        self._require_open()
        return await self._writer.change(
            lambda connection: run_history.let_runs_go(connection, closed_before, after, at_most)
        )

    async def load_run(self, run_id: RunId) -> RunRow | None:
        """See `RunReads.load_run`."""
        return await self._read(lambda connection: run_reads.load_run(connection, run_id))

    async def newest_run(self, namespace: str, workflow_id: str) -> RunRow | None:
        """See `RunReads.newest_run`."""
        return await self._read(
            lambda connection: run_reads.newest_run(connection, namespace, workflow_id)
        )

    async def list_runs(self, run_filter: RunFilter, *, limit: int, cursor: str = "") -> RunPage:
        """See `RunReads.list_runs`."""
        return await self._read(
            lambda connection: run_reads.list_runs(
                connection, run_filter, limit=limit, cursor=cursor
            )
        )

    async def runs_due(self, shards: Sequence[ShardId], *, limit: int) -> list[RunId]:
        """See `RunReads.runs_due`."""
        now = self._clock.now()
        return await self._read(
            lambda connection: run_reads.runs_due(connection, shards, now, limit)
        )

    async def read_history(
        self, run_id: RunId, *, after_seq: int, limit: int = MAX_HISTORY_PAGE
    ) -> list[HistoryRow]:
        """See `RunReads.read_history`."""
        return await self._read(
            lambda connection: run_reads.read_history(connection, run_id, after_seq, limit)
        )

    async def read_inbox(self, run_id: RunId, *, limit: int) -> list[InboxRow]:
        """See `RunReads.read_inbox`."""
        return await self._read(lambda connection: run_reads.read_inbox(connection, run_id, limit))

    async def read_outbox(self, *, after: int, limit: int) -> list[tuple[int, OutboxRow]]:
        """See `RunReads.read_outbox`."""
        return await self._read(lambda connection: run_reads.read_outbox(connection, after, limit))

    async def timers_due(self, shards: Sequence[ShardId], *, limit: int) -> list[TimerRow]:
        """See `WorkReads.timers_due`."""
        now = self._clock.now()
        return await self._read(
            lambda connection: run_reads.timers_due(connection, shards, now, limit)
        )

    async def next_timer(self, shards: Sequence[ShardId]) -> datetime | None:
        """See `WorkReads.next_timer`."""
        return await self._read(lambda connection: run_reads.next_timer(connection, shards))

    async def timers_of(self, run_id: RunId) -> list[TimerRow]:
        """See `WorkReads.timers_of`."""
        return await self._read(lambda connection: run_reads.timers_of(connection, run_id))

    async def load_task(self, task_id: TaskId) -> TaskRow | None:
        """See `WorkReads.load_task`."""
        return await self._read(lambda connection: run_reads.load_task(connection, task_id))

    async def tasks_of(self, run_id: RunId) -> list[TaskRow]:
        """See `WorkReads.tasks_of`."""
        return await self._read(lambda connection: run_reads.tasks_of(connection, run_id))

    async def claimable_tasks(self, queues: Sequence[str], *, limit: int) -> list[TaskRow]:
        """See `WorkReads.claimable_tasks`."""
        now = self._clock.now()
        return await self._read(
            lambda connection: run_reads.claimable_tasks(connection, queues, now, limit)
        )

    async def overdue_tasks(self, shards: Sequence[ShardId], *, limit: int) -> list[TaskRow]:
        """See `WorkReads.overdue_tasks`."""
        now = self._clock.now()
        return await self._read(
            lambda connection: run_reads.overdue_tasks(connection, shards, now, limit)
        )

    async def next_task_time(self, shards: Sequence[ShardId]) -> datetime | None:
        """See `WorkReads.next_task_time`."""
        now = self._clock.now()
        return await self._read(
            lambda connection: run_reads.next_task_time(connection, shards, now)
        )

    async def _read(self, query: Callable[[Connection], T]) -> T:
        self._require_open()
        return await self._readers.read(query)

    def _require_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError("the store is closed")
