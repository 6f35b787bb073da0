"""Takes over the events of another store, and the output that goes with them."""

from collections.abc import AsyncIterable, Sequence
from typing import Final

from hodei.domain.providers.record import ProviderRecord
from hodei.kernel.errors import AlreadyExistsError
from hodei.ports.stores import StoredEvent
from hodei.wire import event_codec
from hodei.wire.instants import to_micros
from hodei.wire.run_tables import Row, RunTable

from . import provider_rows, schema
from .connection import Connection, connect, place, translated_errors
from .logs.fill import JobOutput
from .logs.fill import fill as fill_logs
from .named_sql import load
from .rebuild import rebuild_within
from .runs.tables import fill as fill_runs

_SQL: Final = load("rebuild.sql")
_WRITES: Final = load("writes.sql")

_COLUMNS: Final = (
    "position",
    "stream",
    "version",
    "type",
    "type_version",
    "data",
    "at",
    "correlation_id",
    "causation_id",
)


async def fill(
    url: str,
    pages: AsyncIterable[Sequence[StoredEvent]],
    outputs: AsyncIterable[JobOutput],
    providers: Sequence[ProviderRecord],
    runs: AsyncIterable[tuple[RunTable, Sequence[Row]]],
) -> None:
    """Writes all that an installation has; events at the very positions that they have.

    All of it in one transaction: interrupted, it leaves the database as it was.

    Args:
        url: A database with tables and without events.
        pages: All events of the other store, in their order.
        outputs: Of its jobs.
        providers: All its records of providers.
        runs: All rows of the saga engine's tables.

    Raises:
        AlreadyExistsError: There are events, output or runs in it.
        SchemaError: Its tables are not those that this code knows.
        StoreUnavailableError: It cannot be written.
    """
    connection = await connect(url, application_name="hodei db copy")
    try:
        with translated_errors(url):
            schema.require_usable(await schema.read_schema(connection))
            async with connection.transaction(isolation="read_committed"):
                await connection.execute(_WRITES["lock"])
                # What is copied comes from a disk that may be slow.
                await connection.execute(_WRITES["wait_longer"])
                await _fill(connection, url, pages)
                await fill_logs(connection, outputs)
                await provider_rows.fill(connection, providers)
                await fill_runs(connection, runs, place=place(url))
    finally:
        await connection.close()


async def _fill(
    connection: Connection, url: str, pages: AsyncIterable[Sequence[StoredEvent]]
) -> None:
    if await connection.fetchval(_SQL["has_events"]):
        raise AlreadyExistsError(
            f"the database at {place(url)} has jobs already: name one that has none"
        )
    async for page in pages:
        await connection.copy_records_to_table(
            "events", records=[_row(each) for each in page], columns=_COLUMNS
        )
    await connection.execute(_SQL["give_positions"])
    await rebuild_within(connection)


def _row(stored: StoredEvent) -> tuple[object, ...]:
    return (
        stored.position,
        stored.stream,
        stored.version,
        *event_codec.encode(stored.event),
        to_micros(stored.at),
        stored.correlation_id,
        stored.causation_id,
    )
