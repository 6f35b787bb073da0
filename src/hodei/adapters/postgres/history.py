"""Lets go of jobs and workers that have ended for long."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from hodei.kernel.ids import Position
from hodei.ports.stores import EndedPage, Removed
from hodei.wire.ended_streams import ENDED_STATES, Found, ids_of, page_of
from hodei.wire.instants import to_micros

from .named_sql import load
from .reader import Readers

_SQL: Final = load("history.sql")
_LOCK: Final = load("writes.sql")["lock"]


async def ended_before(
    readers: Readers, limit: datetime, after: Position, at_most: int
) -> EndedPage:
    """See `HistoryStore.ended_before`."""
    rows = await readers.fetch(_SQL["ended"], after, ENDED_STATES, at_most)
    return page_of([Found(*row) for row in rows], to_micros(limit), at_most)


async def remove(readers: Readers, streams: Sequence[str], limit: datetime) -> Removed:
    """See `HistoryStore.remove`. Its transaction does not wait for the disk."""
    jobs, workers = ids_of(streams)
    async with readers.transaction() as connection:
        await connection.execute(_LOCK)
        row = await connection.fetchrow(
            _SQL["remove"], jobs, ENDED_STATES, workers, to_micros(limit)
        )
    return Removed(jobs=row[0], workers=row[1], events=row[2])
