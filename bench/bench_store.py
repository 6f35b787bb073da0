"""What the store can do: commits per second, latency of one, and reads beside a long queue.

Run it alone: `.venv/bin/python bench/bench_store.py`. Ratios are to the same work without the
store around it, measured in the same run: a bare SQLite transaction with one row.
"""

import asyncio
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from hodei.adapters.sqlite import SqliteStore
from hodei.domain.jobs import decide, evolve
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.spec import Exec, JobSpec, Priority, Resources
from hodei.kernel.ids import JobId, WorkerId
from hodei.ports.stores import Batch, Committed, JobFilter, JobWrite

NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUEUED = 100_000
PER_BATCH = 5_000
CONCURRENT = 64


def submitted(job_id: str, spec: JobSpec) -> JobWrite:
    events = tuple(decide.submit(JobId(job_id), spec, queued_by="bench", now=NOW))
    return JobWrite(events=events, after=evolve.evolve_all(None, events, NOW))


def assigned(job: Job) -> JobWrite:
    events = tuple(decide.assign(job, worker_id=WorkerId("w"), draw=1))
    return JobWrite(events=events, after=evolve.evolve_all(job, events, NOW))


def echo(number: int = 0) -> JobSpec:
    return JobSpec(
        command=Exec(argv=(b"echo", b"hello")),
        name="bench",
        labels={"team": "blue"},
        priority=Priority(number % 4),
        resources=Resources(cpu_millicores=number % 5 * 100),
    )


async def commits_per_s(store: SqliteStore, name: str, concurrent: int, each: int) -> float:
    async def one(task: int) -> None:
        for number in range(each):
            write = submitted(f"{name}-{task}-{number}", echo())
            assert isinstance(await store.commit(Batch(at=NOW, jobs=(write,))), Committed)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for task in range(concurrent):
            tasks.create_task(one(task))
    return concurrent * each / (time.perf_counter() - began)


async def median_ms(ask: Callable[[], Awaitable[object]], times: int = 50) -> tuple[float, float]:
    taken: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        await ask()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken), sorted(taken)[int(times * 0.99)]


@contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    print(f"  {what}: {time.perf_counter() - began:.2f} s")


def bare_commits_per_s(path: Path, times: int = 500) -> float:
    """The floor: a transaction with one row, of a process that does nothing else."""
    with sqlite3.connect(path / "bare.db", isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, data BLOB)")
        began = time.perf_counter()
        for _ in range(times):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO rows (data) VALUES (?)", [b"x" * 500])
            connection.execute("COMMIT")
        return times / (time.perf_counter() - began)


async def measure(path: Path) -> None:
    bare = bare_commits_per_s(path)
    print(f"bare SQLite commits of one row, one after another: {bare:,.0f}/s")
    began = time.perf_counter()
    store = await SqliteStore.open(path)
    print(f"open a fresh store: {(time.perf_counter() - began) * 1000:.1f} ms")

    for concurrent, each in ((1, 300), (CONCURRENT, 100)):
        rate = await commits_per_s(store, f"c{concurrent}", concurrent, each)
        print(
            f"commits of one job, {concurrent} at once: {rate:,.0f}/s = {rate / bare:.2f} of bare"
        )

    await report_reads(store, "reads with a short queue")
    with timed(f"queue {QUEUED:,} jobs in batches of {PER_BATCH:,}"):
        for start in range(0, QUEUED, PER_BATCH):
            writes = tuple(
                submitted(f"q-{number}", echo(number)) for number in range(start, start + PER_BATCH)
            )
            await store.commit(Batch(at=NOW, jobs=writes))
    await report_reads(store, f"reads with {QUEUED:,} queued")
    rate = await commits_per_s(store, "late", CONCURRENT, 50)
    print(f"commits of one job, {CONCURRENT} at once: {rate:,.0f}/s = {rate / bare:.2f} of bare")
    await store.close()


async def report_reads(store: SqliteStore, title: str) -> None:
    print(f"{title} (median / p99 ms)")
    demands = [each.demand_id for each in await store.queued_demands()]
    some = [job.id for job in await store.claimable(demands, limit=32)]
    for what, ask in (
        ("queued_demands", store.queued_demands),
        ("claimable, 4", lambda: store.claimable(demands, limit=4)),
        ("claimable, 32", lambda: store.claimable(demands, limit=32)),
        ("load_jobs, 1", lambda: store.load_jobs(some[:1])),
        ("load_jobs, 32", lambda: store.load_jobs(some)),
        ("held_jobs", store.held_jobs),
        ("next_due", store.next_due),
        ("list_jobs, 50", lambda: store.list_jobs(JobFilter(), limit=50)),
        (
            "list_jobs, 50 by label",
            lambda: store.list_jobs(JobFilter(labels={"team": "blue"}), limit=50),
        ),
    ):
        median, p99 = await median_ms(ask)
        print(f"  {what}: {median:.2f} / {p99:.2f}")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(Path(directory)))


if __name__ == "__main__":
    main()
