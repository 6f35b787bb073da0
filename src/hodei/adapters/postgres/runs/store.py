"""The saga engine's store in a PostgreSQL database."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from hodei.adapters.postgres import schema
from hodei.adapters.postgres.connection import Connection, connect, translated_errors
from hodei.adapters.postgres.reader import Readers
from hodei.adapters.postgres.session_names import session_name
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
from hodei.wire.instants import from_micros
from hodei.wire.run_rows import history_rows, inbox_rows, outbox_rows, timer_rows
from hodei.wire.run_tables import Row, RunTable

from . import history, reading, tables
from .committer import RunCommitter
from .leases import PostgresLeases

_RESERVED_S: Final = 3.0
"""How long a task is kept for whom it was shown to: far longer than claiming takes, and short enough
when that one has died."""
_SETTINGS: Final = (
    # A statement is a transaction of its own here, and must see what was committed before it.
    "SET default_transaction_isolation = 'read committed'"
)


class PostgresDurableStore(PostgresLeases):
    """Implements `hodei.ports.durable.DurableStore`. Made by `open`, ended by `close`."""

    def __init__(self, committer: RunCommitter, readers: Readers, session: str) -> None:
        super().__init__(readers, session)
        self._committer = committer

    @classmethod
    async def open(cls, url: str, *, server: str = "") -> "PostgresDurableStore":
        """Connects to a database that has its tables.

        Args:
            url: `postgresql://user:password@host:port/database`.
            server: The name of this server, for those who look at the database.

        Raises:
            SchemaError: Its schema is not one that this code can use.
            StoreUnavailableError: It cannot be reached.
        """
        # Each store has a name of its own: by it the others see whether this process lives.
        name = session_name(server)

        async def connect_committer() -> Connection:
            return await _connect(url, name)

        connection = await connect_committer()
        try:
            readers = await Readers.open(url, application_name=name)
        except BaseException:
            connection.terminate()
            raise
        return cls(RunCommitter(connection, connect_committer, url), readers, name)

    async def close(self) -> None:
        """See `DurableStore.close`."""
        await self._committer.close()
        await self._readers.close()

    async def commit(self, batch: Batch) -> Committed | Refusal:
        """See `DurableWriter.commit`."""
        return await self._committer.write(batch)

    async def rows_after(self, table: RunTable, key: Row, *, limit: int) -> list[Row]:
        """Rows of a table after a key, in their order, for whoever compares all of it."""
        return await tables.rows_after(self._readers, table, key, limit)

    async def let_runs_go(self, *, closed_before: datetime, after: int, at_most: int) -> RunsLetGo:
        """See `RunKeeping.let_runs_go`."""
        return await history.let_runs_go(self._readers, closed_before, after, at_most)

    async def load_run(self, run_id: RunId) -> RunRow | None:
        """See `RunReads.load_run`."""
        return await reading.one_run(self._readers, "run_by_id", run_id)

    async def newest_run(self, namespace: str, workflow_id: str) -> RunRow | None:
        """See `RunReads.newest_run`."""
        return await reading.one_run(self._readers, "newest_run", namespace, workflow_id)

    async def list_runs(self, run_filter: RunFilter, *, limit: int, cursor: str = "") -> RunPage:
        """See `RunReads.list_runs`."""
        return await reading.list_runs(self._readers, run_filter, limit=limit, cursor=cursor)

    async def runs_due(self, shards: Sequence[ShardId], *, limit: int) -> list[RunId]:
        """See `RunReads.runs_due`."""
        found = await reading.rows(self._readers, "runs_due", shards, limit)
        return [RunId(each["run_id"]) for each in found]

    async def read_history(
        self, run_id: RunId, *, after_seq: int, limit: int = MAX_HISTORY_PAGE
    ) -> list[HistoryRow]:
        """See `RunReads.read_history`."""
        return history_rows(
            await reading.rows(self._readers, "history_after", run_id, after_seq, limit)
        )

    async def read_inbox(self, run_id: RunId, *, limit: int) -> list[InboxRow]:
        """See `RunReads.read_inbox`."""
        return inbox_rows(await reading.rows(self._readers, "unread_of", run_id, limit))

    async def read_outbox(self, *, after: int, limit: int) -> list[tuple[int, OutboxRow]]:
        """See `RunReads.read_outbox`."""
        return outbox_rows(await reading.rows(self._readers, "outbox_after", after, limit))

    async def timers_due(self, shards: Sequence[ShardId], *, limit: int) -> list[TimerRow]:
        """See `WorkReads.timers_due`."""
        return timer_rows(await reading.rows(self._readers, "timers_due", shards, limit))

    async def next_timer(self, shards: Sequence[ShardId]) -> datetime | None:
        """See `WorkReads.next_timer`."""
        return await self._instant("next_timer", shards)

    async def timers_of(self, run_id: RunId) -> list[TimerRow]:
        """See `WorkReads.timers_of`."""
        return timer_rows(await reading.rows(self._readers, "timers_of", run_id))

    async def load_task(self, task_id: TaskId) -> TaskRow | None:
        """See `WorkReads.load_task`."""
        found = await reading.tasks(self._readers, "task_by_id", task_id)
        return found[0] if found else None

    async def tasks_of(self, run_id: RunId) -> list[TaskRow]:
        """See `WorkReads.tasks_of`."""
        return await reading.tasks(self._readers, "tasks_of", run_id)

    async def claimable_tasks(self, queues: Sequence[str], *, limit: int) -> list[TaskRow]:
        """See `WorkReads.claimable_tasks`; a store that asks again gets what it was given again."""
        kept_for = timedelta(seconds=_RESERVED_S)
        found = await reading.tasks(
            self._readers, "claim_tasks", queues, limit, self._session, kept_for
        )
        return sorted(found, key=lambda each: (-each.priority, each.available_at))

    async def overdue_tasks(self, shards: Sequence[ShardId], *, limit: int) -> list[TaskRow]:
        """See `WorkReads.overdue_tasks`."""
        return await reading.tasks(self._readers, "overdue_tasks", shards, limit)

    async def next_task_time(self, shards: Sequence[ShardId]) -> datetime | None:
        """See `WorkReads.next_task_time`."""
        return await self._instant("next_task_time", shards)

    async def _instant(self, query: str, shards: Sequence[ShardId]) -> datetime | None:
        ((at,),) = await reading.rows(self._readers, query, shards)
        return None if at is None else from_micros(at)


async def _connect(url: str, name: str) -> Connection:
    connection = await connect(url, application_name=name)
    try:
        with translated_errors(url):
            schema.require_usable(await schema.read_schema(connection))
            await connection.execute(_SETTINGS)
    except BaseException:
        connection.terminate()
        raise
    return connection
