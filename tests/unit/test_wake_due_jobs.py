"""Jobs move on when their time has come."""

from collections.abc import AsyncIterator

import pytest

from hodei.application.links import Cancel, Run
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import RetryPolicy
from hodei.domain.jobs.states import JobState
from hodei.kernel.ids import JobId
from hodei.ports.stores import Batch
from support.builders import result, spec, started
from support.plane import Agent, Plane, running

TWICE = RetryPolicy(max_attempts=2, initial_backoff_s=10, jitter=0)


@pytest.fixture
async def plane(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plane]:
    async with running(Plane(), leases=False) as plane:
        yield plane


async def pass_time(plane: Plane, seconds: float) -> None:
    plane.clock.jump(seconds)
    plane.due.notify()
    await plane.settle()


async def given(plane: Plane, agent: Agent, **definition: object) -> Job:
    await plane.submit(spec(**definition))
    await plane.settle()
    job = agent.link.of(Run)[-1].job
    await agent.say(started(job))
    return job


async def test_a_retry_waits_for_its_backoff_and_then_runs(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent, retry=TWICE)
    await agent.say(result(job, ReasonCode.NON_ZERO_EXIT_CODE))
    waiting = await plane.job(job.id)
    assert waiting.state is JobState.PENDING
    assert "2026-03-01T12:00:10.000Z" in plane.explain.explain(waiting)
    await pass_time(plane, 9.5)
    assert (await plane.job(job.id)).state is JobState.PENDING
    await pass_time(plane, 0.5)
    assert (await plane.job(job.id)).state is JobState.ASSIGNED
    assert [run.job.attempts[-1].number for run in agent.link.of(Run)] == [1, 2]


async def test_many_retries_that_are_due_together_share_commits(plane: Plane) -> None:
    agent = await plane.static_agent(slots=50)
    await plane.submit(*[spec(retry=TWICE)] * 50)
    await plane.settle()
    await agent.say(*[result(run.job, ReasonCode.NON_ZERO_EXIT_CODE) for run in agent.link.of(Run)])
    before = plane.store.commits
    await pass_time(plane, 10)
    # One to queue them all again, one to assign them all.
    assert plane.store.commits - before == 2
    assert len(agent.link.of(Run)) == 100


async def test_a_queued_job_past_its_deadline_is_over(plane: Plane) -> None:
    [job_id] = await plane.submit(spec(deadline_s=5))
    await pass_time(plane, 5)
    job = await plane.job(job_id)
    assert (job.state, job.reason.code if job.reason else "") == (
        JobState.TIMED_OUT,
        ReasonCode.DEADLINE_EXCEEDED,
    )


async def test_a_job_cancelled_as_it_falls_due_does_not_hold_up_the_others(plane: Plane) -> None:
    await plane.submit(spec(deadline_s=5), spec(deadline_s=5), ids=("a", "b"))
    await plane.settle()

    async def cancel(batch: Batch) -> None:
        plane.store.before_commit = _nothing
        await plane.canceller.cancel(JobId("a"), by="me", message="")

    plane.store.before_commit = cancel
    await pass_time(plane, 5)
    assert [job.state for job in await plane.jobs()] == [JobState.CANCELLED, JobState.TIMED_OUT]


async def _nothing(_: object) -> None:
    pass


async def test_a_worker_is_told_of_a_deadline_once_on_each_of_its_streams(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent, deadline_s=5)
    await pass_time(plane, 5)
    await pass_time(plane, 1)
    assert [each.reason_code for each in agent.link.of(Cancel)] == [ReasonCode.DEADLINE_EXCEEDED]
    # Whether it arrived is not known.
    await agent.disconnect()
    await agent.connect(agent.holds(job))
    await pass_time(plane, 1)
    await pass_time(plane, 1)
    assert len(agent.link.of(Cancel)) == 1
    await agent.say(result(job, ReasonCode.DEADLINE_EXCEEDED))
    assert (await plane.job(job.id)).state is JobState.TIMED_OUT


async def test_no_attempt_follows_that_would_begin_after_the_deadline(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent, deadline_s=5, retry=TWICE)
    await agent.say(result(job, ReasonCode.NON_ZERO_EXIT_CODE))
    assert (await plane.job(job.id)).state is JobState.TIMED_OUT


async def test_a_store_that_is_away_delays_and_loses_nothing(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.application.wake_due_jobs._RETRY_AFTER_S", 0)
    [job_id] = await plane.submit(spec(deadline_s=5))
    await plane.settle()
    plane.store.failures, plane.store.read_failures = 2, 2
    await pass_time(plane, 5)
    assert plane.store.failed == 4
    assert (await plane.job(job_id)).state is JobState.TIMED_OUT


async def test_a_job_past_its_deadline_that_still_runs_does_not_keep_the_loop_busy(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    await given(plane, agent, deadline_s=5)
    await pass_time(plane, 5)
    reads = plane.store.reads
    await plane.settle()
    assert plane.store.reads == reads
    assert len(agent.link.of(Cancel)) == 1
