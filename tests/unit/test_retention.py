"""What is over for long is let go of; what is not stays, whatever its age."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from structlog.testing import capture_logs

from conformance.durable_stores_under_test import R1, R2, evolved, run_row, write
from hodei.adapters.memory import MemoryDurableStore
from hodei.application import retention as module
from hodei.application.links import Output, Run
from hodei.application.retention import Retention, RetentionRules
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import RetryPolicy
from hodei.domain.logs import LogEntry
from hodei.kernel.errors import NotFoundError
from hodei.kernel.ids import BEFORE_THE_FIRST, JobId
from hodei.ports.durable_rows import RunStatus
from hodei.ports.logs import LogStoreUnavailableError
from hodei.ports.stores import Removed, StoredEvent, StoreUnavailableError
from support.builders import chunk, result, spec, started
from support.plane import Agent, Plane, running

HOUR = 3600.0
RULES = RetentionRules(jobs_s=10 * HOUR, logs_s=5 * HOUR, logs_bytes=0, runs_s=20 * HOUR)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_PAUSE_S", 0)


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with running(Plane()) as plane:
        yield plane


def retention(plane: Plane, rules: RetentionRules = RULES, **parts: object) -> Retention:
    return Retention(
        history=plane.store,
        jobs=plane.store,
        logs=plane.logs,
        runs=parts.pop("runs", None) or MemoryDurableStore(plane.clock),
        counters=plane.counters,
        clock=plane.clock,
        rules=rules,
        **parts,
    )


async def run_job(plane: Plane, agent: Agent, job_id: str, data: bytes) -> Job:
    """Starts a job that says something."""
    await plane.submit(spec(), ids=(job_id,))
    await plane.settle()
    job = agent.link.of(Run)[-1].job
    await agent.say(started(job), Output(chunks=(chunk(job, data, offset=0),)))
    return job


async def end_job(agent: Agent, job: Job, data: bytes) -> None:
    await agent.say(result(job, stdout_bytes=len(data)))


async def output(plane: Plane, job_id: str) -> list[LogEntry]:
    return await plane.logs.read(JobId(job_id), after_sequence=0, max_bytes=2**20)


async def events(plane: Plane, after: int = BEFORE_THE_FIRST) -> list[StoredEvent]:
    return await plane.store.read_events(after=after, limit=10_000)


async def test_a_job_goes_with_its_events_and_its_output(plane: Plane) -> None:
    agent = await plane.static_agent()
    await end_job(agent, await run_job(plane, agent, "old", b"abc"), b"abc")
    plane.clock.jump(HOUR)
    await end_job(agent, await run_job(plane, agent, "new", b"def"), b"def")
    plane.clock.jump(9.5 * HOUR)

    with capture_logs() as said:
        await retention(plane).look()

    with pytest.raises(NotFoundError):
        await plane.journal.job(JobId("old"))
    assert (await plane.journal.job(JobId("new"))).is_terminal
    streams = {each.stream for each in await events(plane)}
    assert "job:old" not in streams
    assert "job:new" in streams
    assert [each.job_id for each in await plane.logs.outputs(after="", limit=9)] == ["new"]
    (line,) = [each for each in said if each["event"] == "old_jobs_let_go"]
    assert (line["jobs"], line["workers"]) == (1, 0)
    counts = plane.counters.snapshot()
    assert (counts["jobs_let_go"], counts["events_let_go"]) == (1, line["events"])


async def test_output_goes_before_its_job_and_its_end_is_remembered(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await run_job(plane, agent, "a", b"abc")
    await end_job(agent, job, b"abc")
    plane.clock.jump(6 * HOUR)

    await retention(plane).look()

    assert await output(plane, "a") == []
    assert (await plane.journal.job(JobId("a"))).is_terminal
    assert await plane.logs.last_sequence(JobId("a")) == 3
    assert plane.counters.snapshot()["log_segments_let_go"] == 1


async def test_a_job_that_has_not_ended_is_not_touched_whatever_its_age(plane: Plane) -> None:
    agent = await plane.static_agent()
    await run_job(plane, agent, "running", b"abc")
    await plane.submit(spec(), ids=("queued",))
    await plane.settle()
    plane.clock.jump(1000 * HOUR)
    before = await events(plane)

    await retention(plane, RetentionRules(jobs_s=1, logs_s=1, logs_bytes=1, runs_s=1)).look()

    assert await events(plane) == before
    assert [each.chunk.data for each in await output(plane, "running")] == [b"abc"]


async def test_a_job_that_waits_for_its_next_attempt_keeps_the_output_of_the_last(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    retry = RetryPolicy(max_attempts=2, initial_backoff_s=100 * HOUR, max_backoff_s=100 * HOUR)
    await plane.submit(spec(retry=retry), ids=("a",))
    await plane.settle()
    job = agent.link.of(Run)[-1].job
    await agent.say(started(job), Output(chunks=(chunk(job, b"oops", offset=0),)))
    await agent.say(result(job, ReasonCode.NON_ZERO_EXIT_CODE, stdout_bytes=4))
    plane.clock.jump(50 * HOUR)

    await retention(plane).look()

    assert [each.chunk.data for each in await output(plane, "a")] == [b"oops"]


async def test_beyond_its_size_the_oldest_output_goes_before_its_time(plane: Plane) -> None:
    agent = await plane.static_agent()
    for number in range(5):
        job = await run_job(plane, agent, f"job-{number}", b"x" * 100)
        if number != 1:
            await end_job(agent, job, b"x" * 100)
        plane.clock.jump(60)

    await retention(
        plane, RetentionRules(jobs_s=HOUR, logs_s=HOUR, logs_bytes=250, runs_s=HOUR)
    ).look()

    kept = [number for number in range(5) if await output(plane, f"job-{number}")]
    # The second still runs.
    assert kept == [1, 3, 4]


async def test_workers_that_are_gone_for_long_go_as_well(plane: Plane) -> None:
    agent = await plane.static_agent()
    worker_id = agent.identity.worker_id
    await plane.ender.end(worker_id, why=None, message="done")
    await plane.settle()
    assert await plane.store.load_worker(worker_id) is not None
    plane.clock.jump(11 * HOUR)

    await retention(plane).look()

    assert await plane.store.load_worker(worker_id) is None
    assert plane.counters.snapshot()["workers_let_go"] == 1


async def ended_jobs(plane: Plane, count: int) -> None:
    ids = tuple(f"job-{number}" for number in range(count))
    await plane.submit(*(spec() for _ in ids), ids=ids)
    for each in ids:
        await plane.canceller.cancel(JobId(each), by="tester", message="")


async def test_many_go_a_hundred_at_a_time_so_that_commits_get_their_turn(plane: Plane) -> None:
    await ended_jobs(plane, 250)
    plane.clock.jump(11 * HOUR)
    sizes: list[int] = []
    remove = plane.store.remove

    async def counted(streams: tuple[str, ...], *, ended_before: datetime) -> Removed:
        sizes.append(len(streams))
        return await remove(streams, ended_before=ended_before)

    plane.store.remove = counted  # type: ignore[method-assign]
    await retention(plane).look()

    assert sizes == [100, 100, 50]
    assert await events(plane) == []


async def test_readers_from_an_old_position_go_on_with_what_there_is(plane: Plane) -> None:
    await ended_jobs(plane, 3)
    old = (await events(plane))[2].position
    plane.clock.jump(11 * HOUR)
    await ended_jobs_named(plane, "late")

    await retention(plane).look()

    followed = plane.follower.follow_all(after=old, follow=False)
    told = [each async for together in followed for each in together]
    assert {each.stream for each in told} == {"job:late"}
    assert [each.version for each in told] == list(range(1, len(told) + 1))
    gone = plane.follower.follow_job(JobId("job-1"), after=old, follow=True, with_workers=False)
    with pytest.raises(NotFoundError, match="job-1"):
        await anext(gone)


async def ended_jobs_named(plane: Plane, job_id: str) -> None:
    await plane.submit(spec(), ids=(job_id,))
    await plane.canceller.cancel(JobId(job_id), by="tester", message="")


async def test_a_server_that_is_not_on_duty_leaves_it_to_the_one_that_is(plane: Plane) -> None:
    agent = await plane.static_agent()
    await end_job(agent, await run_job(plane, agent, "a", b"abc"), b"abc")
    await plane.ender.end(agent.id, why=None, message="done")
    plane.clock.jump(11 * HOUR)
    before = await events(plane)
    duty = [False]

    await retention(plane, is_on_duty=lambda: duty[0]).look()
    assert await events(plane) == before
    assert [each.chunk.data for each in await output(plane, "a")] == [b"abc"]

    duty[0] = True
    await retention(plane, is_on_duty=lambda: duty[0]).look()
    assert await events(plane) == []


async def test_a_store_that_is_away_delays_it_and_no_more(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await plane.static_agent()
    await end_job(agent, await run_job(plane, agent, "a", b"abc"), b"abc")
    plane.clock.jump(11 * HOUR)

    async def away(*_: object, **__: object) -> Removed:
        raise StoreUnavailableError("the disk is full")

    async def logs_away(*_: object, **__: object) -> int:
        raise LogStoreUnavailableError("the disk is full")

    with monkeypatch.context() as broken, capture_logs() as said:
        broken.setattr(plane.store, "remove", away)
        broken.setattr(plane.logs, "delete_before", logs_away)
        await retention(plane).look()
    assert [each["event"] for each in said] == ["retention_delayed"] * 2
    assert (await plane.journal.job(JobId("a"))).is_terminal

    # As after a crash between the two: the output is gone, the job is found by itself.
    await retention(plane).look()
    with pytest.raises(NotFoundError):
        await plane.journal.job(JobId("a"))


async def test_it_looks_at_the_start_and_goes_on(plane: Plane) -> None:
    await ended_jobs(plane, 1)
    plane.clock.jump(11 * HOUR)
    task = plane.tasks.start(retention(plane).run(), name="retention")
    await plane.settle()
    assert await events(plane) == []
    assert not task.done()


async def test_a_run_that_has_ended_goes_when_its_own_time_is_over(plane: Plane) -> None:
    runs = MemoryDurableStore(plane.clock)
    now = plane.clock.now()
    row = run_row(R1, started_at=now)
    await write(runs, new_runs=(row, run_row(R2, started_at=now)))
    await write(runs, runs=(evolved(row, status=RunStatus.FAILED, closed_at=now),))

    plane.clock.jump(19 * HOUR)
    await retention(plane, runs=runs).look()
    assert await runs.load_run(R1) is not None

    plane.clock.jump(2 * HOUR)
    with capture_logs() as said:
        await retention(plane, runs=runs).look()
    assert await runs.load_run(R1) is None
    # What has not ended stays, whatever its age.
    assert await runs.load_run(R2) is not None
    assert [each["runs"] for each in said if each["event"] == "old_runs_let_go"] == [1]
    assert plane.counters.snapshot()["runs_let_go"] == 1


async def test_runs_are_the_affair_of_the_server_on_duty(plane: Plane) -> None:
    runs = MemoryDurableStore(plane.clock)
    row = run_row(R1)
    await write(runs, new_runs=(row,))
    await write(runs, runs=(evolved(row, status=RunStatus.FAILED, closed_at=row.started_at),))
    plane.clock.jump(1_000_000 * HOUR)

    await retention(plane, runs=runs, is_on_duty=lambda: False).look()

    assert await runs.load_run(R1) is not None
