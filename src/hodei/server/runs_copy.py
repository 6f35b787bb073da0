"""The runs of workflows on their way from one store to another, and the proof that all of them came."""

from collections.abc import AsyncGenerator, Sequence
from typing import Final, Protocol

from hodei.adapters.postgres.runs import PostgresDurableStore
from hodei.durable.runner.shards import shard_of
from hodei.ports.durable_rows import ShardId
from hodei.server.copy_proof import require_same
from hodei.wire.run_tables import RUN_TABLES, RUNS, Resharding, Row, RunTable

_ROWS: Final = 1000


class RunTables(Protocol):
    """A store whose rows may be read one after the other."""

    async def rows_after(self, table: RunTable, key: Row, *, limit: int) -> list[Row]:
        """Rows of a table after a key, in their order."""
        ...


async def all_runs(old: RunTables, url: str) -> AsyncGenerator[tuple[RunTable, Sequence[Row]]]:
    """All rows of all tables, as they must be in the database at `url`."""
    there = await _resharding(url)
    for table in RUN_TABLES:
        async for page in _pages(old, table):
            yield table, [there(table, row) for row in page]


async def compare_runs(old: RunTables, url: str) -> int:
    """Compares each row on both sides; returns how many runs there are.

    Raises:
        BrokenError: They are not the same.
        StoreUnavailableError: They cannot be read.
    """
    there = await _resharding(url)
    new = await PostgresDurableStore.open(url, server="hodei db copy")
    count = 0
    try:
        for table in RUN_TABLES:
            after = table.start
            while True:
                page = await old.rows_after(table, after, limit=_ROWS)
                copied = await new.rows_after(table, after, limit=_ROWS)
                told = [there(table, row) for row in page]
                require_same(f"rows of {table.name}", _by_key(table, told), _by_key(table, copied))
                if not page:
                    break
                after = table.key(page[-1])
                count += len(page) if table is RUNS else 0
    finally:
        await new.close()
    return count


async def _resharding(url: str) -> Resharding:
    store = await PostgresDurableStore.open(url, server="hodei db copy")
    try:
        shards = await store.shard_count()
    finally:
        await store.close()

    def shard(namespace: str, workflow_id: str) -> ShardId:
        return shard_of(namespace, workflow_id, shards)

    return Resharding(shard)


async def _pages(store: RunTables, table: RunTable) -> AsyncGenerator[list[Row]]:
    after = table.start
    while page := await store.rows_after(table, after, limit=_ROWS):
        yield page
        after = table.key(page[-1])


def _by_key(table: RunTable, rows: Sequence[Row]) -> dict[str, Row]:
    return {"/".join(map(str, table.key(row))): tuple(row) for row in rows}
