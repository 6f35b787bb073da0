"""The tables of the saga engine as a whole: taken over from another store, and read to compare."""

from collections.abc import AsyncIterable, Sequence
from typing import Final

from hodei.adapters.postgres.connection import Connection
from hodei.adapters.postgres.named_sql import load
from hodei.adapters.postgres.reader import Readers
from hodei.kernel.errors import AlreadyExistsError
from hodei.wire.run_tables import Row, RunTable

_SQL: Final = load("run_tables.sql")
_LOCK: Final = load("runs.sql")["lock"]


async def fill(
    connection: Connection, pages: AsyncIterable[tuple[RunTable, Sequence[Row]]], *, place: str
) -> None:
    """Writes rows of another store as they are, within the caller's transaction.

    Raises:
        AlreadyExistsError: There are runs.
    """
    await connection.execute(_LOCK)
    if await connection.fetchval(_SQL["has_runs"]):
        raise AlreadyExistsError(
            f"the database at {place} has runs of workflows already: name one that has none"
        )
    async for table, rows in pages:
        await connection.copy_records_to_table(table.name, records=rows, columns=table.columns)
    await connection.execute(_SQL["go_on_counting"])


async def rows_after(readers: Readers, table: RunTable, key: Row, limit: int) -> list[Row]:
    """Rows of a table after a key, in their order."""
    found = await readers.fetch(_SQL[f"all_{table.name}"], *key, limit)
    return [table.plain(tuple(row)) for row in found]
