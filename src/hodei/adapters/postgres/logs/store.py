"""The log store in a PostgreSQL database."""

import asyncio
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from hodei.adapters.postgres import schema
from hodei.adapters.postgres.connection import Connection, connect, translated_errors
from hodei.adapters.postgres.named_sql import load
from hodei.adapters.postgres.reader import Readers
from hodei.adapters.postgres.session_names import session_name
from hodei.domain.logs import LogChunk, LogEntry, LogStream
from hodei.kernel.clock import Clock
from hodei.kernel.ids import JobId
from hodei.ports.logs import LogStoreUnavailableError, StoredOutput, StreamEnd
from hodei.ports.stores import StoreUnavailableError
from hodei.wire.instants import from_micros, to_micros

from . import reading
from .appender import Appender
from .compaction import Compaction

_SQL: Final = load("logs.sql")

_READERS: Final = 3
"""Connections for reads, deletions and compaction."""
_DELETED_AT_ONCE: Final = 500
_ROW_BYTES: Final = 200
"""Of a row, and of its places in two indices, about."""
_PAUSE_S: Final = 0.02
"""Between two deletions: what must be written now goes first."""

_SETTINGS: Final = (
    # A statement is a transaction of its own here, and must see what was committed before it.
    "SET default_transaction_isolation = 'read committed';"
    # Rows of jobs meet their output by hashing: there may be hundreds of each.
    "SET enable_hashjoin = on"
)


class PostgresLogStore:
    """`KeptLogStore` that several servers share. Made by `open`, ended by `close`; of one event loop."""

    def __init__(self, appender: Appender, readers: Readers, compaction: Compaction) -> None:
        self._appender = appender
        self._readers = readers
        self._compaction = compaction

    @classmethod
    async def open(
        cls,
        url: str,
        clock: Clock,
        *,
        server: str = "",
        on_appended: Callable[[Collection[JobId]], None] = lambda _: None,
    ) -> "PostgresLogStore":
        """Connects to a database that has its tables.

        Args:
            url: `postgresql://user:password@host:port/database`.
            clock: Says when output is stored.
            server: The name of this server, for those who look at the database.
            on_appended: Is told which jobs have more output, once it is stored: for readers on
                other servers.

        Raises:
            SchemaError: Its schema is not one that this code can use.
            LogStoreUnavailableError: It cannot be reached.
        """
        name = session_name(server)

        async def connect_appender() -> Connection:
            return await _connect(url, name)

        with _translated():
            connection = await connect_appender()
            try:
                readers = await Readers.open(url, application_name=name, size=_READERS)
            except BaseException:
                connection.terminate()
                raise
        compaction = Compaction(readers)

        def on_stored(loose: dict[JobId, int]) -> None:
            compaction.notice(loose)
            on_appended(loose.keys())

        appender = Appender(
            connection=connection,
            connect=connect_appender,
            url=url,
            clock=clock,
            on_stored=on_stored,
        )
        return cls(appender, readers, compaction)

    async def append(self, chunks: Sequence[LogChunk]) -> list[StreamEnd]:
        """See the port.

        A caller that is cancelled does not know whether they were stored.

        Raises:
            LogGapError: See the port.
            LogStoreUnavailableError: See the port.
            InvalidFieldsError: A chunk's id or numbers are out of range; nothing was stored.
        """
        if not chunks:
            return []
        for chunk in chunks:
            chunk.require_storable()
        return await self._appender.append(chunks)

    async def ends(self, job_id: JobId, attempt: int) -> dict[LogStream, int]:
        """See the port; what another server has stored by now is included."""
        with _translated():
            head = await reading.head(self._readers, job_id)
        return {stream: head.end(attempt, stream) for stream in LogStream}

    async def read(
        self, job_id: JobId, *, after_sequence: int, max_bytes: int, attempt: int = 0
    ) -> list[LogEntry]:
        """See the port."""
        with _translated():
            return await reading.read(
                self._readers, job_id, after=after_sequence, max_bytes=max_bytes, attempt=attempt
            )

    async def sequence_at_offsets(
        self, job_id: JobId, attempt: int, offsets: dict[LogStream, int]
    ) -> int:
        """See the port."""
        with _translated():
            return await reading.sequence_at_offsets(self._readers, job_id, attempt, offsets)

    async def last_sequence(self, job_id: JobId) -> int:
        """See the port."""
        with _translated():
            return (await reading.head(self._readers, job_id)).sequence

    async def delete_before(self, limit: datetime, *, keep: Collection[JobId] = ()) -> int:
        """See the port; a row is a segment."""
        return await self._delete("delete_before", to_micros(limit), list(keep))

    async def forget(self, job_ids: Collection[JobId]) -> None:
        """See the port."""
        await self._delete("delete_of", list(job_ids))
        with _translated():
            await self._readers.fetch(_SQL["forget"], list(job_ids))
        self._appender.forget(job_ids)

    async def limit_for(self, max_bytes: int) -> datetime | None:
        """See the port; what a row takes besides its data is counted as well."""
        with _translated():
            rows = await self._readers.fetch(_SQL["limit_for"], max_bytes, _ROW_BYTES)
        return from_micros(rows[0]["stored_at"] + 1) if rows else None

    async def _delete(self, statement: str, *arguments: object) -> int:
        """Deletes what a statement names, so much at a time that others are not held up."""
        deleted = 0
        while True:
            with _translated():
                rows = await self._readers.fetch(_SQL[statement], *arguments, _DELETED_AT_ONCE)
            deleted += len(rows)
            if len(rows) < _DELETED_AT_ONCE:
                return deleted
            await asyncio.sleep(_PAUSE_S)

    async def outputs(self, *, after: str, limit: int) -> list[StoredOutput]:
        """See the port."""
        with _translated():
            return await reading.outputs(self._readers, after, limit)

    async def compact(self, job_id: JobId) -> None:
        """Joins the job's small rows now, as is done in the background where there are many."""
        with _translated():
            await self._compaction.compact(job_id)

    async def close(self) -> None:
        """Finishes what was handed over. Idempotent."""
        await self._appender.close()
        await self._compaction.close()
        await self._readers.close()


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


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except StoreUnavailableError as error:
        raise LogStoreUnavailableError(str(error)) from error
