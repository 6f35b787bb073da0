"""Any history, told to the SQLite store and to the one in memory: both say the same of it, and the
tables are what the events lead to.
"""

import asyncio
import sqlite3
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hodei.adapters.memory import MemoryStore
from hodei.adapters.sqlite import SqliteStore
from hodei.adapters.sqlite.connection import FILE_NAME
from hodei.adapters.sqlite.rebuild import rebuild
from hodei.domain.jobs.evolve import evolve_all as evolve_job
from hodei.domain.jobs.states import JobState
from hodei.domain.workers.evolve import evolve_all as evolve_worker
from hodei.kernel.ids import BEFORE_THE_FIRST, JobId, WorkerId
from hodei.ports.stores import Batch, Committed, JobFilter, JobWrite, Store, WorkerWrite
from properties.moves import (
    JOB_MOVES,
    START,
    WORKER_MOVES,
    Chance,
    JobMove,
    WorkerMove,
    ask_job,
    ask_worker,
    chances,
    new_job,
    new_worker,
)

IDS = [f"{number}" for number in range(5)]

steps = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.sampled_from(IDS), st.sampled_from(JOB_MOVES), chances),
            max_size=3,
            unique_by=lambda step: step[0],
        ),
        st.lists(
            st.tuples(st.sampled_from(IDS), st.sampled_from(WORKER_MOVES), chances),
            max_size=2,
            unique_by=lambda step: step[0],
        ),
        st.integers(0, 20),
    ),
    min_size=1,
    max_size=40,
)


@pytest.mark.slow
@pytest.mark.timeout(120)  # a history that fails is made shorter before it is shown
@settings(max_examples=25, deadline=None)
@given(steps=steps)
def test_any_history_is_the_same_in_both_stores_and_in_rebuilt_tables(steps: list[tuple]):
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(live_through(Path(directory), steps))
        before = tables(Path(directory))
        rebuild(Path(directory))

        assert tables(Path(directory)) == before


async def live_through(data_dir: Path, steps: list[tuple]) -> None:
    memory, sqlite = MemoryStore(), await SqliteStore.open(data_dir)
    now = START
    for job_moves, worker_moves, seconds in steps:
        now += timedelta(seconds=seconds)
        batch = Batch(
            at=now,
            jobs=tuple(
                [write for each in job_moves if (write := await job_write(memory, *each, now))]
            ),
            workers=tuple(
                [
                    write
                    for each in worker_moves
                    if (write := await worker_write(memory, *each, now))
                ]
            ),
            correlation_id=str(seconds),
        )
        outcome = await memory.commit(batch)
        assert isinstance(outcome, Committed)
        assert await sqlite.commit(batch) == outcome
    await assert_same(memory, sqlite, now)
    await sqlite.close()


async def job_write(
    store: Store, number: str, move: JobMove, chance: Chance, now: datetime
) -> JobWrite | None:
    job = (await store.load_jobs([JobId(number)])).get(JobId(number))
    events = new_job(number, now, chance) if job is None else ask_job(move, job, now, chance)
    if not events:
        return None
    return JobWrite(events=tuple(events), after=evolve_job(job, events, now))


async def worker_write(
    store: Store, number: str, move: WorkerMove, chance: Chance, now: datetime
) -> WorkerWrite | None:
    worker = await store.load_worker(WorkerId(number))
    events = (
        new_worker(number, now, chance) if worker is None else ask_worker(move, worker, now, chance)
    )
    if not events:
        return None
    return WorkerWrite(events=tuple(events), after=evolve_worker(worker, events, now))


async def assert_same(memory: Store, sqlite: Store, now: datetime) -> None:
    ids = [JobId(each) for each in IDS]
    demands = await memory.queued_demands()
    asked = [each.demand_id for each in demands]
    for ask in (
        lambda store: store.read_events(after=BEFORE_THE_FIRST, limit=10_000),
        lambda store: store.last_position(),
        lambda store: store.load_jobs(ids),
        lambda store: store.queued_demands(),
        lambda store: store.claimable(asked, limit=3),
        lambda store: store.claimable(asked[:1], limit=100),
        lambda store: store.held_jobs(),
        lambda store: store.held_jobs(WorkerId("w-1")),
        lambda store: store.due_jobs(now, limit=100),
        lambda store: store.due_jobs(now + timedelta(days=1), limit=2),
        lambda store: store.next_due(),
        lambda store: store.living_workers(),
        lambda store: store.list_workers(include_ended=True, limit=100),
        lambda store: store.list_jobs(JobFilter(), limit=100),
        lambda store: store.list_jobs(JobFilter(labels={"team": "1"}, tags=("a",)), limit=100),
        lambda store: store.list_jobs(JobFilter(search="STRASSE"), limit=100),
        lambda store: store.list_jobs(
            JobFilter(states=(JobState.QUEUED, JobState.FAILED, JobState.RUNNING)), limit=100
        ),
    ):
        assert await ask(sqlite) == await ask(memory)


def tables(data_dir: Path) -> dict[str, list]:
    """Every row of every table but the events'."""
    connection = sqlite3.connect(data_dir / FILE_NAME)
    names = ("jobs", "attempts", "job_labels", "job_tags", "workers", "demands")
    found = {
        name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in names
    }
    connection.close()
    return found
