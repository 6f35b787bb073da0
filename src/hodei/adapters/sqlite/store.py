"""The store over one SQLite database."""

import asyncio
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from hodei.domain.jobs.job import Job
from hodei.domain.providers.record import ProviderRecord
from hodei.domain.workers.worker import Worker
from hodei.kernel.clock import Clock
from hodei.kernel.ids import JobId, Position, ProviderName, WorkerId
from hodei.ports.stores import (
    Batch,
    Committed,
    Conflict,
    EndedPage,
    JobFilter,
    JobPage,
    QueuedDemand,
    Removed,
    StoredEvent,
)
from hodei.wire.store_rows import PreparedBatch, committed_events, prepare

from . import (
    event_reads,
    history,
    job_list,
    job_reads,
    job_writes,
    provider_rows,
    schema,
    worker_reads,
)
from .connection import connect, translated_errors
from .reader import ReaderPool
from .run_store import SqliteDurableStore
from .writer import Writer

_PREPARED_INLINE: Final = 32
"""Writes of a batch that are encoded on the event loop, at about 20 µs each; more go to a thread."""


class SqliteStore:
    """Implements `hodei.ports.stores.Store`. Made by `open`, ended by `close`.

    One process at a time opens a data directory; its owner sees to that.
    """

    def __init__(self, writer: Writer, readers: ReaderPool) -> None:
        self._writer = writer
        self._readers = readers

    @classmethod
    async def open(cls, data_dir: Path) -> "SqliteStore":
        """Opens the database in `data_dir`, and makes it where there is none.

        Raises:
            SchemaError: Its schema is not the one that this code knows.
            StoreUnavailableError: It cannot be opened.
        """
        connection = await asyncio.to_thread(_open, data_dir)
        readers = ReaderPool(data_dir)
        return cls(Writer(connection, at_end=readers.close), readers)

    def durable(self, clock: Clock) -> SqliteDurableStore:
        """The saga engine's store in the same database, until this one is closed.

        Args:
            clock: The engine's time.
        """
        return SqliteDurableStore(self._writer, self._readers, clock)

    async def close(self) -> None:
        """See `EventStore.close`."""
        self._readers.refuse()
        await self._writer.close()

    async def commit(self, batch: Batch) -> Committed | Conflict:
        """See `EventStore.commit`."""
        prepared = await self._prepared(batch)
        outcome = await self._writer.write(
            job_writes.write_batches, prepared, size=job_writes.size_of(prepared)
        )
        if isinstance(outcome, int):
            return Committed(events=committed_events(batch, outcome))
        return Conflict(streams=outcome)

    async def read_events(
        self, *, after: Position, limit: int, streams: Sequence[str] = ()
    ) -> list[StoredEvent]:
        """See `EventStore.read_events`."""
        return await self._readers.read(
            lambda connection: event_reads.events_after(connection, after, limit, streams)
        )

    async def last_position(self) -> Position:
        """See `EventStore.last_position`."""
        return await self._readers.read(event_reads.last_position)

    async def load_jobs(self, ids: Sequence[JobId]) -> dict[JobId, Job]:
        """See `JobStore.load_jobs`."""
        return await self._readers.read(lambda connection: job_reads.load_jobs(connection, ids))

    async def list_jobs(
        self, job_filter: JobFilter, *, limit: int, cursor: str = "", offset: int = 0
    ) -> JobPage:
        """See `JobStore.list_jobs`."""
        return await self._readers.read(
            lambda connection: job_list.list_jobs(
                connection, job_filter, limit=limit, cursor=cursor, offset=offset
            )
        )

    async def queued_demands(self) -> list[QueuedDemand]:
        """See `JobStore.queued_demands`."""
        return await self._readers.read(job_reads.queued_demands)

    async def claimable(self, demand_ids: Sequence[str], *, limit: int) -> list[Job]:
        """See `JobStore.claimable`."""
        return await self._readers.read(
            lambda connection: job_reads.claimable(connection, demand_ids, limit)
        )

    async def held_jobs(self, worker_id: WorkerId | None = None) -> list[Job]:
        """See `JobStore.held_jobs`; oldest first."""
        return await self._readers.read(
            lambda connection: job_reads.held_jobs(connection, worker_id)
        )

    async def due_jobs(self, now: datetime, *, limit: int) -> list[Job]:
        """See `JobStore.due_jobs`; the longest due first."""
        return await self._readers.read(
            lambda connection: job_reads.due_jobs(connection, now, limit)
        )

    async def next_due(self) -> datetime | None:
        """See `JobStore.next_due`."""
        return await self._readers.read(job_reads.next_due)

    async def load_worker(self, worker_id: WorkerId) -> Worker | None:
        """See `WorkerStore.load_worker`."""
        return await self._readers.read(
            lambda connection: worker_reads.load_worker(connection, worker_id)
        )

    async def list_workers(
        self, *, include_ended: bool, limit: int, cursor: str = ""
    ) -> tuple[list[Worker], str]:
        """See `WorkerStore.list_workers`."""
        return await self._readers.read(
            lambda connection: worker_reads.list_workers(
                connection, include_ended=include_ended, limit=limit, cursor=cursor
            )
        )

    async def living_workers(self) -> list[Worker]:
        """See `WorkerStore.living_workers`; oldest first."""
        return await self._readers.read(worker_reads.living_workers)

    async def ended_before(self, limit: datetime, *, after: Position, at_most: int) -> EndedPage:
        """See `HistoryStore.ended_before`."""
        return await self._readers.read(
            lambda connection: history.ended_before(connection, limit, after, at_most)
        )

    async def remove(self, streams: Sequence[str], *, ended_before: datetime) -> Removed:
        """See `HistoryStore.remove`."""
        return await self._writer.change(
            lambda connection: history.remove(connection, streams, ended_before)
        )

    async def provider_records(self) -> list[ProviderRecord]:
        """See `ProviderStore.provider_records`."""
        return await self._readers.read(provider_rows.records)

    async def put_provider(self, record: ProviderRecord) -> bool:
        """See `ProviderStore.put_provider`."""
        return await self._writer.change(lambda connection: provider_rows.put(connection, record))

    async def remove_provider(self, name: ProviderName, *, version: int) -> bool:
        """See `ProviderStore.remove_provider`."""
        return await self._writer.change(
            lambda connection: provider_rows.remove(connection, name, version)
        )

    async def _prepared(self, batch: Batch) -> PreparedBatch:
        if len(batch.jobs) + len(batch.workers) <= _PREPARED_INLINE:
            return prepare(batch)
        return await self._readers.compute(lambda: prepare(batch))


def _open(data_dir: Path) -> sqlite3.Connection:
    with translated_errors():
        connection = connect(data_dir)
        try:
            schema.prepare(connection)
        except BaseException:
            connection.close()
            raise
    return connection
