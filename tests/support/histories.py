"""Any history, told to a store and to the one in memory: both must say the same of it."""

from datetime import datetime, timedelta

from hypothesis import strategies as st

from hodei.adapters.memory import MemoryStore
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

histories = st.lists(
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


async def live_through(store: Store, steps: list[tuple]) -> None:
    """Tells the history to `store` and to one in memory, which must say the same of it."""
    memory = MemoryStore()
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
        assert await store.commit(batch) == outcome
    await assert_same(memory, store, now)


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


async def assert_same(memory: Store, store: Store, now: datetime) -> None:
    ids = [JobId(each) for each in IDS]
    demands = await memory.queued_demands()
    asked = [each.demand_id for each in demands]
    for ask in (
        lambda each: each.read_events(after=BEFORE_THE_FIRST, limit=10_000),
        lambda each: each.last_position(),
        lambda each: each.load_jobs(ids),
        lambda each: each.queued_demands(),
        lambda each: each.claimable(asked, limit=3),
        lambda each: each.claimable(asked[:1], limit=100),
        lambda each: each.held_jobs(),
        lambda each: each.held_jobs(WorkerId("w-1")),
        lambda each: each.due_jobs(now, limit=100),
        lambda each: each.due_jobs(now + timedelta(days=1), limit=2),
        lambda each: each.next_due(),
        lambda each: each.living_workers(),
        lambda each: each.list_workers(include_ended=True, limit=100),
        lambda each: each.list_jobs(JobFilter(), limit=100),
        lambda each: each.list_jobs(JobFilter(labels={"team": "1"}, tags=("a",)), limit=100),
        lambda each: each.list_jobs(JobFilter(search="STRASSE"), limit=100),
        lambda each: each.list_jobs(
            JobFilter(states=(JobState.QUEUED, JobState.FAILED, JobState.RUNNING)), limit=100
        ),
    ):
        assert await ask(store) == await ask(memory)
