"""Old jobs are let go of while others are committed: nothing else is touched, nobody waits for long."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from conformance.stores_under_test import (
    accepted,
    assigned,
    at,
    cancelled,
    finished,
    new_job,
    put_job,
    put_jobs,
    spec,
)
from hodei.adapters.logstore import SegmentLogStore
from hodei.adapters.memory import MemoryDurableStore
from hodei.adapters.postgres import PostgresStore
from hodei.adapters.postgres.logs import PostgresLogStore
from hodei.adapters.postgres.rebuild import rebuild as rebuild_postgres
from hodei.adapters.sqlite import SqliteStore
from hodei.adapters.sqlite.rebuild import rebuild as rebuild_sqlite
from hodei.application.counters import Counters
from hodei.application.retention import Retention, RetentionRules
from hodei.domain.logs import LogChunk, LogStream
from hodei.kernel.ids import BEFORE_THE_FIRST, JobId
from hodei.lifecycle.system_clock import SystemClock
from hodei.ports.logs import KeptLogStore
from hodei.ports.stores import JobFilter, Store

OLD = 150
RULES = RetentionRules(jobs_s=24 * 3600.0, logs_s=24 * 3600.0, logs_bytes=0, runs_s=24 * 3600.0)


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("postgres_url") if kind == "postgres" else ""


@pytest.fixture
def open_stores(url: str, tmp_path: Path) -> Callable[[], Awaitable[tuple[Store, KeptLogStore]]]:
    async def opened() -> tuple[Store, KeptLogStore]:
        clock = SystemClock()
        if url:
            return await PostgresStore.open(url), await PostgresLogStore.open(url, clock)
        logs = await SegmentLogStore.open(tmp_path / "logs", clock)
        return await SqliteStore.open(tmp_path), logs

    return opened


async def contents(store: Store) -> tuple[object, ...]:
    page = await store.list_jobs(JobFilter(), limit=10_000)
    return (
        page.jobs,
        await store.held_jobs(),
        sorted((each.demand_id, each.count) for each in await store.queued_demands()),
        await store.living_workers(),
        await store.read_events(after=BEFORE_THE_FIRST, limit=100_000),
    )


async def test_commits_go_on_and_what_is_left_is_what_its_events_lead_to(
    open_stores: Callable[[], Awaitable[tuple[Store, KeptLogStore]]], url: str, tmp_path: Path
):
    store, logs = await open_stores()
    labelled = spec(labels={"a": "b"}, tags=("t",))
    old = await put_jobs(store, *(new_job(f"old-{number}", labelled) for number in range(OLD)))
    for job in old:
        done = await put_job(store, accepted(await put_job(store, assigned(job))))
        await put_job(store, finished(done, now=at(5)))
        data = job.id.encode()
        await logs.append([_chunk(job.id, data)])
    unfinished = await put_jobs(store, *(new_job(f"queued-{number}") for number in range(50)))
    waits: list[float] = []
    over = asyncio.Event()
    now = SystemClock().now()

    async def commit(name: int) -> None:
        number = 0
        while not over.is_set():
            began = time.perf_counter()
            job = await put_job(store, new_job(f"new-{name}-{number}", now=now), now=now)
            waits.append(time.perf_counter() - began)
            await put_job(store, cancelled(job, now=now), now=now)
            await logs.append([_chunk(job.id, b"new")])
            number += 1

    async def let_go() -> None:
        counters = Counters()
        await Retention(
            history=store,
            jobs=store,
            logs=logs,
            runs=MemoryDurableStore(SystemClock()),
            counters=counters,
            clock=SystemClock(),
            rules=RULES,
        ).look()
        over.set()
        counts = counters.snapshot()
        assert (counts["jobs_let_go"], counts["workers_let_go"]) == (OLD, 0)

    async with asyncio.TaskGroup() as group:
        for name in range(8):
            group.create_task(commit(name))
        group.create_task(let_go())
    print(f"{len(waits)} commits meanwhile, the longest took {max(waits) * 1000:.0f} ms")

    found = {each.id for each in (await store.list_jobs(JobFilter(), limit=10_000)).jobs}
    assert not {each.id for each in old} & found
    assert {each.id for each in unfinished} <= found
    assert len(found) == 50 + len(waits)
    outputs: set[str] = set()
    after = ""
    while page := await logs.outputs(after=after, limit=1000):
        outputs |= {each.job_id for each in page}
        after = page[-1].job_id
    assert outputs == {each for each in found if each.startswith("new-")}

    before = await contents(store)
    await store.close()
    await logs.close()
    await (rebuild_postgres(url) if url else asyncio.to_thread(rebuild_sqlite, tmp_path))
    store, logs = await open_stores()
    assert await contents(store) == before
    await store.close()
    await logs.close()


def _chunk(job_id: JobId, data: bytes) -> LogChunk:
    return LogChunk(
        job_id=job_id, attempt=1, stream=LogStream.STDOUT, offset=0, data=data, at=at(1)
    )
