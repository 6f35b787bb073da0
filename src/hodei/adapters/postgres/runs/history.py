"""Lets go of runs that have ended for long."""

from datetime import datetime
from typing import Final

from hodei.adapters.postgres.named_sql import load
from hodei.adapters.postgres.reader import Readers
from hodei.ports.durable import RunsLetGo
from hodei.wire.ended_runs import OUTBOX_ROWS, ended_runs
from hodei.wire.instants import to_micros

_SQL: Final = load("runs.sql")


async def let_runs_go(
    readers: Readers, closed_before: datetime, after: int, at_most: int
) -> RunsLetGo:
    """See `RunKeeping.let_runs_go`. Its transaction does not wait for the disk.

    Nor does it take the lock of commits: what has ended does not change.
    """
    async with readers.transaction() as connection:
        rows = await connection.fetch(_SQL["ended_runs"], after, at_most)
        ended = ended_runs(map(tuple, rows), closed_before=closed_before, at_most=at_most)
        removed = await connection.fetchval(_SQL["remove_runs"], ended.run_ids)
        limit = to_micros(closed_before)
        await connection.execute(_SQL["remove_old_outbox"], limit, OUTBOX_ROWS * at_most)
    return RunsLetGo(runs=removed, next=ended.next)
