"""No read of the saga engine looks at every row of a table, and no write does either."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from conformance.durable_stores_under_test import (
    FUTURE,
    PAST,
    R1,
    SHARD,
    delivery,
    event,
    run_row,
    task,
    timer,
    write,
)
from hodei.adapters.postgres.named_sql import load
from hodei.adapters.postgres.parameters import Parameters
from hodei.adapters.postgres.runs import PostgresDurableStore, reading
from hodei.adapters.postgres.runs.writing import HEADS, head_arguments
from hodei.ports.durable import Batch, RunFilter
from hodei.ports.durable_rows import RunId, RunStatus

SQL = load("runs.sql")
RUNS = 2000
SHARDS = list(range(64))
STATEMENTS: dict[str, tuple[object, ...]] = {
    "run_by_id": ("run-1",),
    "newest_run": ("default", "wf-1"),
    "runs_due": (SHARDS, 10),
    "history_after": ("run-1", 0, 10),
    "unread_of": ("run-1", 10),
    "outbox_after": (0, 10),
    "timers_due": (SHARDS, 10),
    "next_timer": (SHARDS,),
    "timers_of": ("run-1",),
    "task_by_id": ("run-1/1",),
    "tasks_of": ("run-1",),
    "claim_tasks": (["platform"], 10, "me", timedelta(seconds=1)),
    "overdue_tasks": (SHARDS, 10),
    "next_task_time": (SHARDS,),
    "ended_runs": (0, 10),
    "remove_runs": (["run-1"],),
    "remove_old_outbox": (0, 10),
}
BIG = {"runs", "run_history", "run_inbox", "run_timers", "run_tasks"}
FILTERS = (
    RunFilter(),
    RunFilter(statuses=(RunStatus.RUNNING, RunStatus.FAILED)),
    RunFilter(namespace="default", workflow_id="wf-7"),
    RunFilter(type="greet"),
    RunFilter(only_parked=True),
)


@pytest.fixture
async def connection(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    store = await PostgresDurableStore.open(postgres_url)
    ids = [RunId(f"run-{number}") for number in range(RUNS)]
    await write(
        store,
        new_runs=tuple(run_row(each, workflow_id=f"wf-{each[4:]}") for each in ids),
        history=tuple(event(1, each) for each in ids),
        timers=tuple(timer(1, FUTURE, each) for each in ids),
        tasks_new=tuple(task(2, each, due_at=FUTURE) for each in ids),
        # Most have nothing to do.
        deliveries=tuple(delivery("start", each) for each in ids[:20]),
    )
    await store.close()
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("ANALYZE")
    yield connection
    await connection.close()


async def scanned(connection: asyncpg.Connection, sql: str, *arguments: object) -> set[str]:
    """The large tables that the plan reads from end to end."""
    plan = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *arguments))
    found: set[str] = set()

    def look(node: dict) -> None:
        if node["Node Type"] == "Seq Scan":
            found.add(node["Relation Name"])
        for child in node.get("Plans", []):
            look(child)

    look(plan[0]["Plan"])
    return found & BIG


async def test_reads_only_what_it_needs(connection: asyncpg.Connection):
    # As the store's own connections are set.
    await connection.execute("SET enable_seqscan = off")
    wrong = {
        name: tables
        for name, arguments in STATEMENTS.items()
        if (tables := await scanned(connection, SQL[name], *arguments))
    }

    assert wrong == {}


@pytest.mark.parametrize("run_filter", FILTERS, ids=range(len(FILTERS)))
async def test_a_page_of_a_list_reads_only_what_it_needs(
    connection: asyncpg.Connection, run_filter: RunFilter
):
    await connection.execute("SET enable_seqscan = off")
    parameters = Parameters()
    page = reading.list_statement(run_filter, parameters, 1_000_000, 10)

    assert await scanned(connection, page, *parameters.values) == set()


async def test_what_decides_about_a_batch_reads_only_what_it_needs(
    connection: asyncpg.Connection,
):
    await connection.execute("SET enable_seqscan = off")
    batch = Batch(
        at=PAST,
        runs=(run_row(RunId("run-1"), revision=2),),
        require_read=(RunId("run-1"),),
        consumed=(1,),
        new_runs=(run_row(R1, request_id="r"),),
        history=(event(2, RunId("run-1")),),
        deliveries=(delivery("k", RunId("run-2")),),
    )

    assert await scanned(connection, HEADS, *head_arguments([batch])) == set()


async def test_a_step_touches_a_handful_of_rows_however_many_there_are(
    connection: asyncpg.Connection, postgres_url: str
):
    store = await PostgresDurableStore.open(postgres_url)
    row = run_row(RunId("run-1"), workflow_id="wf-1", revision=2, next_seq=3)
    await write(store, runs=(row,), history=(event(2, RunId("run-1")),))
    committing = store._committer._connection
    assert isinstance(committing, asyncpg.Connection)
    before = await rows_read(committing)

    await write(
        store,
        runs=(run_row(RunId("run-1"), workflow_id="wf-1", revision=3, shard_id=SHARD),),
        history=(event(3, RunId("run-1")),),
    )

    assert await rows_read(committing) - before < 50
    await store.close()


async def rows_read(connection: asyncpg.Connection) -> int:
    """Rows of tables that were scanned and entries of indices that were read, in this database."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    return await connection.fetchval(
        "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint"
        " FROM pg_stat_user_tables WHERE relname LIKE 'run%'"
    )
