"""Makes the current-state tables again from the events."""

from collections.abc import AsyncIterator
from typing import Final

import asyncpg

from hodei.wire.store_group import GroupPlan
from hodei.wire.store_history import put_history

from .columns import COMMIT, calls
from .connection import Connection, connect, translated_errors
from .event_reads import stored_events
from .named_sql import load

_SQL: Final = load("rebuild.sql")
_WRITES: Final = load("writes.sql")

_STREAMS_AT_ONCE: Final = 1000
"""So many jobs and workers are held in memory."""
_ROWS_AT_ONCE: Final = 500
"""Events that are fetched in one step."""


async def rebuild(url: str) -> None:
    """Empties the tables of jobs and workers and fills them from the events, in one transaction.

    For migrations, and for whoever doubts the tables. Commits and reads wait meanwhile.

    Raises:
        BrokenError: The events are not a history of ours.
        StoreUnavailableError: It cannot be read or written; nothing was changed.
    """
    connection = await connect(url, application_name="hodei rebuild")
    try:
        with translated_errors(url):
            async with connection.transaction(isolation="read_committed"):
                await connection.execute(_WRITES["lock"])
                await rebuild_within(connection)
    finally:
        await connection.close()


async def rebuild_within(connection: Connection) -> None:
    """The same, within the caller's transaction, which has the lock of commits."""
    await connection.execute(_SQL["empty"])
    plan, streams = _new_plan(), 0
    async for history in _streams(connection):
        put_history(plan, stored_events(history))
        streams += 1
        if streams % _STREAMS_AT_ONCE == 0:
            await _write(connection, plan)
            plan = _new_plan()
    await _write(connection, plan)


async def _streams(connection: Connection) -> AsyncIterator[list[asyncpg.Record]]:
    history: list[asyncpg.Record] = []
    async for row in connection.cursor(_SQL["all_events"], prefetch=_ROWS_AT_ONCE):
        if history and history[0]["stream"] != row["stream"]:
            yield history
            history = []
        history.append(row)
    if history:
        yield history


async def _write(connection: Connection, plan: GroupPlan) -> None:
    for call in calls(plan, jobs={}, workers={}):
        # Its positions are those of the events that are there.
        await connection.execute(COMMIT, *call.arguments(begun=0, member=None, heard=None))


def _new_plan() -> GroupPlan:
    return GroupPlan(last_position=0, jobs={}, workers={})
