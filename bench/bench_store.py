"""What the store can do: commits per second, latency of one, and reads beside a long queue.

Run it alone: `.venv/bin/python bench/bench_store.py`. Ratios are to the same work without the
store around it, measured in the same run: a bare SQLite transaction with one row. PostgreSQL, where
it can be run, is measured beside SQLite in turns: one process that commits, and two on one database.
"""

import asyncio
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from operator import truediv
from pathlib import Path

from hodei.adapters.postgres import PostgresStore
from hodei.adapters.sqlite import SqliteStore
from hodei.domain.jobs import decide, evolve
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.spec import Exec, JobSpec, Priority, Resources
from hodei.kernel.ids import BEFORE_THE_FIRST, JobId, WorkerId
from hodei.ports.stores import Batch, Committed, JobFilter, JobWrite, Store
from own_postgres import UnusableError, own_postgres
from report import Figure, show

NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUEUED = 100_000
PER_BATCH = 5_000
CONCURRENT = 64
PER_TASK = 60
TURNS = 5


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


async def commits_per_s(store: Store, name: str, concurrent: int, each: int) -> float:
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


async def serve_commits(place: str, name: str, concurrent: int, each: int) -> None:
    """As a process of its own: commits, and prints how many a second."""
    if place.startswith("postgresql:"):
        store: Store = await PostgresStore.open(place)
    else:
        store = await SqliteStore.open(Path(place))
    # Plans and caches first; then all begin together.
    await commits_per_s(store, f"{name}-warm", 1, 10)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(await commits_per_s(store, name, concurrent, each), flush=True)
    await store.close()


def rate_of(place: str, name: str, processes: int) -> float:
    """Commits a second of so many processes together."""
    each = [str(CONCURRENT // processes), str(PER_TASK)]
    running = [
        subprocess.Popen(
            [sys.executable, __file__, place, f"{name}-{number}", *each],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(float(process.communicate()[0]) for process in running)


def compare(url: str, path: Path) -> list[Figure]:
    """PostgreSQL beside SQLite, and two servers on it beside one."""
    rates: dict[str, list[float]] = {"sqlite": [], "one": [], "two": []}
    for turn in range(TURNS):
        rates["sqlite"].append(rate_of(str(path), f"s-{turn}", 1))
        rates["one"].append(rate_of(url, f"p1-{turn}", 1))
        rates["two"].append(rate_of(url, f"p2-{turn}", 2))
    medians = {name: statistics.median(all_of) for name, all_of in rates.items()}
    for name, rate in medians.items():
        print(f"commits of one job, {CONCURRENT} at once, {name}: {rate:,.0f}/s")
    return [
        Figure(
            name=name,
            value=statistics.median(map(truediv, rates[of], rates[to])),
            unit="",
            target=target,
            at_least=True,
        )
        for name, of, to, target in (
            ("commits, PostgreSQL to SQLite", "one", "sqlite", 0.5),
            ("commits, two servers to one on PostgreSQL", "two", "one", 0.9),
        )
    ]


async def events_read_per_s(url: str) -> float:
    """How fast a follower that is far behind catches up."""
    store = await PostgresStore.open(url)
    position, count, began = BEFORE_THE_FIRST, 0, time.perf_counter()
    while page := await store.read_events(after=position, limit=1000):
        position, count = page[-1].position, count + len(page)
    await store.close()
    return count / (time.perf_counter() - began)


def main() -> int:
    if len(sys.argv) > 1:
        place, name, concurrent, each = sys.argv[1:]
        asyncio.run(serve_commits(place, name, int(concurrent), int(each)))
        return 0
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(Path(directory)))
    try:
        with own_postgres() as postgres, tempfile.TemporaryDirectory() as directory:
            figures = compare(postgres.url(), Path(directory))
            rate = asyncio.run(events_read_per_s(postgres.url()))
            print(f"events read by one who is behind, PostgreSQL: {rate:,.0f}/s")
    except UnusableError as error:
        print(f"PostgreSQL is not measured: {error}")
        return 0
    return show(figures)


if __name__ == "__main__":
    raise SystemExit(main())
