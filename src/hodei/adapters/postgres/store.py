"""The store over one PostgreSQL database."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from hodei.domain.jobs.job import Job
from hodei.domain.providers.record import ProviderRecord
from hodei.domain.workers.worker import Worker
from hodei.kernel.ids import JobId, Position, ProviderName, ServerId, WorkerId
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
from hodei.wire.store_rows import committed_events, prepare

from . import event_reads, history, job_list, job_reads, provider_rows, schema, worker_reads
from .committer import Committer, Written
from .connection import Connection, connect, translated_errors
from .reader import Readers
from .session_names import session_name

_MADE_INLINE: Final = 32
"""Writes of a batch whose rows and events are made on the event loop, at about 25 µs each; those of a
larger one are made in a thread."""

_RESERVED_S: Final = 1.0
"""How long what `claimable` gave is kept for its caller: far longer than placing it takes, and short
enough when the caller has died."""


class PostgresStore:
    """Implements `hodei.ports.stores.Store`. Made by `open`, ended by `close`."""

    def __init__(
        self, committer: Committer, readers: Readers, *, holder: str, reserved_s: float
    ) -> None:
        self._committer = committer
        self._readers = readers
        self._holder = holder
        self._reserved_s = reserved_s

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        server: str = "",
        member: Callable[[], ServerId | None] | None = None,
        reserved_s: float = _RESERVED_S,
    ) -> "PostgresStore":
        """Connects to a database that has its tables.

        Args:
            url: `postgresql://user:password@host:port/database`.
            server: The name of this server; what it had reserved before it was started again it
                may have at once.
            member: As which of those that share the database it commits, asked at every commit:
                nothing is committed for one that is none, or no more. Without it nobody asks.
            reserved_s: How long what `claimable` gave is kept for this store.

        Raises:
            SchemaError: Its schema is not one that this code can use.
            StoreUnavailableError: It cannot be reached.
        """
        name = session_name(server)

        async def connect_committer() -> Connection:
            return await _connect(url, name)

        connection = await connect_committer()
        try:
            readers = await Readers.open(url, application_name=name)
        except BaseException:
            connection.terminate()
            raise
        committer = Committer(connection, connect_committer, url, member)
        return cls(committer, readers, holder=server or name, reserved_s=reserved_s)

    async def close(self) -> None:
        """See `EventStore.close`."""
        await self._committer.close()
        await self._readers.close()

    async def commit(self, batch: Batch) -> Committed | Conflict:
        """See `EventStore.commit`."""
        is_small = len(batch.jobs) + len(batch.workers) <= _MADE_INLINE
        prepared = prepare(batch) if is_small else await asyncio.to_thread(prepare, batch)
        outcome = await self._committer.write(prepared)
        if not isinstance(outcome, Written):
            return Conflict(streams=outcome)
        if is_small:
            events = committed_events(batch, outcome.position)
        else:
            events = await asyncio.to_thread(committed_events, batch, outcome.position)
        return Committed(events=events, others=outcome.others)

    async def read_events(
        self, *, after: Position, limit: int, streams: Sequence[str] = ()
    ) -> list[StoredEvent]:
        """See `EventStore.read_events`."""
        return await event_reads.events_after(self._readers, after, limit, streams)

    async def last_position(self) -> Position:
        """See `EventStore.last_position`."""
        return await event_reads.last_position(self._readers)

    async def load_jobs(self, ids: Sequence[JobId]) -> dict[JobId, Job]:
        """See `JobStore.load_jobs`."""
        return await job_reads.load_jobs(self._readers, ids)

    async def list_jobs(
        self, job_filter: JobFilter, *, limit: int, cursor: str = "", offset: int = 0
    ) -> JobPage:
        """See `JobStore.list_jobs`."""
        return await job_list.list_jobs(
            self._readers, job_filter, limit=limit, cursor=cursor, offset=offset
        )

    async def queued_demands(self) -> list[QueuedDemand]:
        """See `JobStore.queued_demands`."""
        return await job_reads.queued_demands(self._readers)

    async def claimable(self, demand_ids: Sequence[str], *, limit: int) -> list[Job]:
        """See `JobStore.claimable`; a store that asks again gets what it was given again."""
        return await job_reads.claim(
            self._readers, demand_ids, limit, holder=self._holder, for_s=self._reserved_s
        )

    async def held_jobs(self, worker_id: WorkerId | None = None) -> list[Job]:
        """See `JobStore.held_jobs`; oldest first."""
        return await job_reads.held_jobs(self._readers, worker_id)

    async def due_jobs(self, now: datetime, *, limit: int) -> list[Job]:
        """See `JobStore.due_jobs`; the longest due first."""
        return await job_reads.due_jobs(self._readers, now, limit)

    async def next_due(self) -> datetime | None:
        """See `JobStore.next_due`."""
        return await job_reads.next_due(self._readers)

    async def load_worker(self, worker_id: WorkerId) -> Worker | None:
        """See `WorkerStore.load_worker`."""
        return await worker_reads.load_worker(self._readers, worker_id)

    async def list_workers(
        self, *, include_ended: bool, limit: int, cursor: str = ""
    ) -> tuple[list[Worker], str]:
        """See `WorkerStore.list_workers`."""
        return await worker_reads.list_workers(
            self._readers, include_ended=include_ended, limit=limit, cursor=cursor
        )

    async def living_workers(self) -> list[Worker]:
        """See `WorkerStore.living_workers`; oldest first."""
        return await worker_reads.living_workers(self._readers)

    async def ended_before(self, limit: datetime, *, after: Position, at_most: int) -> EndedPage:
        """See `HistoryStore.ended_before`."""
        return await history.ended_before(self._readers, limit, after, at_most)

    async def remove(self, streams: Sequence[str], *, ended_before: datetime) -> Removed:
        """See `HistoryStore.remove`."""
        return await history.remove(self._readers, streams, ended_before)

    async def provider_records(self) -> list[ProviderRecord]:
        """See `ProviderStore.provider_records`."""
        return await provider_rows.records(self._readers)

    async def put_provider(self, record: ProviderRecord) -> bool:
        """See `ProviderStore.put_provider`."""
        return await provider_rows.put(self._readers, record)

    async def remove_provider(self, name: ProviderName, *, version: int) -> bool:
        """See `ProviderStore.remove_provider`."""
        return await provider_rows.remove(self._readers, name, version)


async def _connect(url: str, name: str) -> Connection:
    connection = await connect(url, application_name=name)
    try:
        with translated_errors(url):
            schema.require_usable(await schema.read_schema(connection))
    except BaseException:
        connection.terminate()
        raise
    return connection
