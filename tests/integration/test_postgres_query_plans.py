"""No read that the dispatcher makes, and no list without a search text, looks at every row."""

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from conformance.stores_under_test import assigned, new_job, put_job, put_jobs, spec
from hodei.adapters.postgres import PostgresStore, job_list, job_reads
from hodei.adapters.postgres.named_sql import load
from hodei.adapters.postgres.parameters import Parameters
from hodei.domain.jobs.spec import Resources
from hodei.domain.jobs.states import JobState
from hodei.kernel.ids import JobId, WorkerId
from hodei.ports.stores import JobFilter, JobWrite
from hodei.wire.ended_streams import ENDED_STATES

READS = load("reads.sql")
HISTORY = load("history.sql")
LOGS = load("logs.sql")
WRITES = load("writes.sql")
JOBS = 3000
NAMES = [f"job-{number}" for number in range(5)]
STATEMENTS: dict[str, tuple[str, tuple[object, ...]]] = {
    "events_after": (READS["events_after"], (100, 10)),
    "events_of_streams_after": (READS["events_of_streams_after"], (0, 10, ["job:job-1"])),
    "last_position": (READS["last_position"], ()),
    "load": (job_reads._LOAD, (NAMES,)),
    "held by": (job_reads._HELD_BY, ("w-1",)),
    "due": (job_reads._DUE, (0, 10)),
    "next_due": (READS["next_due"], ()),
    "worker_by_id": (READS["worker_by_id"], ("w-1",)),
    "position_of": (WRITES["position_of"], ("job:job-1", 1, "", 1, b"", 0, "", "")),
    "what has ended": (HISTORY["ended"], (0, ENDED_STATES, 10)),
    "its removal": (HISTORY["remove"], (NAMES, ENDED_STATES, ["w-1"], 0)),
    "heads of output": (LOGS["heads"], (NAMES,)),
    "output": (LOGS["segments_after"], ("job-1", 10, 0, 1000, 10)),
    "output by offset": (LOGS["segment_reaching"], ("job-1", 1, 0, 10, 10)),
    "old output": (LOGS["delete_before"], (10, NAMES, 10)),
    "output of a job": (LOGS["delete_of"], (NAMES, 10)),
    "size of output": (LOGS["limit_for"], (1000, 100)),
    "loose output": (LOGS["loose_segments"], ("job-1", 1000, 10)),
}
BIG = {"jobs", "events", "attempts", "job_labels", "job_tags", "log_jobs", "log_segments"}

OUTPUT = f"""
INSERT INTO log_jobs SELECT 'job-' || n, 0, 500, '{{}}', 0, 0 FROM generate_series(1, {JOBS}) AS n;
INSERT INTO log_segments
SELECT 'job-' || n, 100 * m, 100, 1, 100 * m, 0, n, 1, 100, repeat('x', 100)::bytea
FROM generate_series(1, {JOBS}) AS n, generate_series(1, 5) AS m
"""


def job_of(number: int) -> JobWrite:
    return new_job(
        f"job-{number}",
        spec(
            name=f"name-{number}",
            labels={"a": str(number % 100)},
            tags=(f"tag-{number % 100}",),
            resources=Resources(cpu_millicores=number % 3),
            deadline_s=60.0 if number % 10 == 0 else None,
        ),
    )


@pytest.fixture
async def connection(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    store = await PostgresStore.open(postgres_url)
    for start in range(0, JOBS, 1000):
        jobs = await put_jobs(store, *(job_of(start + number) for number in range(1000)))
        await put_jobs(store, *(assigned(each, WorkerId(each.id)) for each in jobs[:500]))
    await store.close()
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(OUTPUT)
    await connection.execute("VACUUM ANALYZE")
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
    demands = [row["id"] for row in await connection.fetch("SELECT id FROM demands")]
    claim = (job_reads._CLAIM, (demands, 4, "me", job_reads.timedelta(seconds=1)))
    queued = (READS["queued_demands"], ())
    wrong = {
        name: tables
        for name, (sql, arguments) in (STATEMENTS | {"claim": claim, "queued": queued}).items()
        if (tables := await scanned(connection, sql, *arguments))
    }

    assert wrong == {}


@pytest.mark.parametrize(
    "job_filter",
    [
        JobFilter(),
        JobFilter(states=(JobState.QUEUED, JobState.FAILED)),
        JobFilter(labels={"a": "1"}, tags=("tag-1",)),
        JobFilter(name="name-7"),
    ],
    ids=["none", "states", "labels and tags", "name"],
)
async def test_a_page_of_a_list_reads_only_what_it_needs(
    connection: asyncpg.Connection, job_filter: JobFilter
):
    parameters = Parameters()
    page = job_list._page(job_filter, parameters, 1_000_000, 10, 0)

    assert await scanned(connection, page, *parameters.values) == set()


async def test_a_commit_touches_a_handful_of_rows_however_many_there_are(
    connection: asyncpg.Connection, postgres_url: str
):
    assert await rows_read_by_an_assignment(postgres_url) < 50


async def test_a_commit_touches_a_handful_of_rows_of_tables_that_were_never_analyzed(
    own_database: str,
):
    store = await PostgresStore.open(own_database)
    await put_jobs(store, *(job_of(number) for number in range(1000)))
    await store.close()

    assert await rows_read_by_an_assignment(own_database) < 50


async def rows_read_by_an_assignment(url: str) -> int:
    store = await PostgresStore.open(url)
    found = (await store.load_jobs(AMONG_THE_QUEUED)).values()
    first, second = [job for job in found if not job.current][:2]
    await put_job(store, assigned(first))
    committing = store._committer._connection
    assert isinstance(committing, asyncpg.Connection)
    before = await rows_read(committing)

    await put_job(store, assigned(second))

    read = await rows_read(committing) - before
    await store.close()
    return read


AMONG_THE_QUEUED = [JobId(f"job-{number}") for number in range(900, 910)]


async def rows_read(connection: asyncpg.Connection) -> int:
    """Rows of tables that were scanned or fetched by an index, in this database."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    return await connection.fetchval(
        "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint"
        " FROM pg_stat_user_tables WHERE NOT starts_with(relname, 'run')"
    )
