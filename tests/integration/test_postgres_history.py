"""Any history, told to the PostgreSQL store and to the one in memory: both say the same of it, and
the tables are what the events lead to.
"""

import asyncio

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings

from conformance.stores_under_test import new_job, put_jobs
from hodei.adapters.postgres import PostgresStore
from hodei.adapters.postgres.rebuild import rebuild
from support.histories import histories, live_through
from support.postgres import EMPTY

TABLES = {
    "jobs": "position, id, version, name, searched, state, priority, demand_id, created_at, "
    "due_at, worker_id, data",
    "attempts": "*",
    "job_labels": "*",
    "job_tags": "*",
    "workers": "*",
    "demands": "*",
}
"""All but the reservations, which are of the moment."""


@pytest.mark.slow
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=histories)
def test_any_history_is_the_same_in_both_stores_and_in_the_tables_made_again(
    postgres_url: str, history: list[tuple]
):
    asyncio.run(live_in(postgres_url, history))


async def live_in(url: str, history: list[tuple]) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(EMPTY)
    store = await PostgresStore.open(url)
    try:
        await live_through(store, history)
        before = await tables(connection)
        last = await store.last_position()

        await rebuild(url)

        assert await tables(connection) == before
        assert await connection.fetchval("SELECT last_value FROM event_positions") == last
    finally:
        await store.close()
        await connection.close()


async def test_tables_are_made_again_for_more_streams_than_are_held_at_once(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hodei.adapters.postgres.rebuild._STREAMS_AT_ONCE", 7)
    monkeypatch.setattr("hodei.adapters.postgres.rebuild._ROWS_AT_ONCE", 5)
    store = await PostgresStore.open(postgres_url)
    await put_jobs(store, *(new_job(f"job-{number}") for number in range(50)))
    connection = await asyncpg.connect(postgres_url)
    before = await tables(connection)

    await rebuild(postgres_url)

    assert await tables(connection) == before
    assert len(before["jobs"]) == 50
    (demand,) = await store.queued_demands()
    assert demand.count == 50
    await store.close()
    await connection.close()


async def tables(connection: asyncpg.Connection) -> dict[str, list[tuple]]:
    """Every row of every table but the events'."""
    return {
        name: sorted(map(tuple, await connection.fetch(f"SELECT {columns} FROM {name}")), key=repr)
        for name, columns in TABLES.items()
    }
