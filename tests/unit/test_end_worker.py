"""The end of a worker: its jobs are given back with it, and not before nothing of it can run."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from hodei.application.links import Output, Run
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode, reason
from hodei.domain.jobs.spec import RetryPolicy
from hodei.domain.jobs.states import AttemptState, JobState
from hodei.domain.workers.events import WorkerStopped
from hodei.domain.workers.states import WorkerState
from hodei.kernel.ids import BEFORE_THE_FIRST
from hodei.ports.providers import Handle, InstanceStopped, ProviderUnavailableError
from hodei.ports.stores import Batch
from support.builders import chunk, result, spec, started
from support.fake_provider import FakeProvider
from support.plane import Agent, Plane, running

LOST = reason(ReasonCode.WORKER_LOST, "it was silent")


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider(slots=2)


@pytest.fixture
async def plane(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plane]:
    monkeypatch.setattr("hodei.application.end_worker._RETRY_AFTER_S", 0)
    async with running(Plane(provider)) as plane:
        yield plane


async def given(plane: Plane, provider: FakeProvider, **definition: object) -> tuple[Agent, Job]:
    """A worker that was provisioned for a job and was told to run it."""
    await plane.submit(spec(**definition))
    await plane.settle()
    agent = await plane.agent_of(provider)
    await plane.settle()
    return agent, agent.link.of(Run)[-1].job


async def test_a_job_that_had_not_started_is_queued_again_without_using_up_a_retry(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    await plane.ender.end(agent.id, why=LOST, message="it was silent")
    again = await plane.job(job.id)
    assert again.attempts[0].state is AttemptState.LOST
    assert again.used_attempts == 0
    assert again.state is JobState.QUEUED
    assert provider.destroyed == [agent.id]
    assert (await plane.worker(agent.id)).state is WorkerState.LOST


async def test_a_job_that_ran_is_retried_or_fails_as_lost(
    plane: Plane, provider: FakeProvider
) -> None:
    once = spec()
    twice = spec(retry=RetryPolicy(max_attempts=2, initial_backoff_s=0))
    await plane.submit(once, twice, ids=("once", "twice"))
    await plane.settle()
    agent = await plane.agent_of(provider)
    await plane.settle()
    jobs = {run.job.id: run.job for run in agent.link.of(Run)}
    await agent.say(*map(started, jobs.values()))
    await plane.ender.end(agent.id, why=LOST, message="it was silent")
    await plane.settle()
    failed, retried = [await plane.job(job_id) for job_id in sorted(jobs)]
    assert (failed.state, failed.reason.code if failed.reason else "") == (
        JobState.FAILED,
        ReasonCode.WORKER_LOST,
    )
    assert (retried.state, retried.used_attempts) == (JobState.QUEUED, 1)


async def test_the_jobs_are_given_back_in_the_commit_that_ends_the_worker(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    batches: list[Batch] = []

    async def note(batch: Batch) -> None:
        batches.append(batch)

    plane.store.before_commit = note
    await plane.ender.end(agent.id, why=LOST, message="it was silent")
    first = batches[0]
    assert [write.after.id for write in first.workers] == [agent.id]
    assert [write.after.id for write in first.jobs] == [job.id]


async def test_nothing_is_given_back_before_the_destruction_is_confirmed(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    await agent.say(started(job))
    provider.destroy_gate.clear()
    plane.run(plane.ender.end(agent.id, why=LOST, message="it was silent"))
    await plane.settle()
    assert agent.link.closed is not None
    assert (await plane.job(job.id)).state is JobState.RUNNING
    provider.destroy_gate.set()
    await plane.settle()
    assert (await plane.job(job.id)).state is JobState.FAILED


async def test_a_provider_that_cannot_confirm_is_asked_again(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    provider.on_destroy = _failing(3)
    await plane.ender.end(agent.id, why=LOST, message="it was silent")
    assert provider.destroyed == [agent.id]
    assert (await plane.job(job.id)).state is JobState.QUEUED


def _failing(times: int) -> Callable[[Handle], None]:
    left = [times]

    def fail(handle: Handle) -> None:
        if left[0]:
            left[0] -= 1
            raise ProviderUnavailableError("something does not die")

    return fail


async def test_a_destruction_that_is_never_confirmed_is_given_up_when_the_agent_must_have_ended(
    plane: Plane, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its agent ends the job after 90 s without a server; it has been silent for more than both.
    agent, job = await given(plane, provider, disconnect_timeout_s=90.0)
    await agent.say(started(job))
    plane.clock.jump(60.0 + 90.0 + 1)
    monkeypatch.setattr("hodei.application.end_worker._CONFIRM_WITHIN_S", 0.0)
    provider.destroy_gate.clear()
    await plane.ender.end(agent.id, why=LOST, message="it was silent")
    assert (await plane.job(job.id)).state is JobState.FAILED
    assert (await plane.worker(agent.id)).state is WorkerState.LOST


async def test_a_destruction_is_waited_for_as_long_as_the_agent_may_run_the_job(
    plane: Plane, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, job = await given(plane, provider, disconnect_timeout_s=90.0)
    await agent.say(started(job))
    plane.clock.jump(60.0 + 90.0 - 1)
    monkeypatch.setattr("hodei.application.end_worker._CONFIRM_WITHIN_S", 0.0)
    provider.destroy_gate.clear()
    plane.run(plane.ender.end(agent.id, why=LOST, message="it was silent"))
    await plane.settle()
    assert (await plane.job(job.id)).state is JobState.RUNNING


async def test_a_second_end_waits_for_the_first(plane: Plane, provider: FakeProvider) -> None:
    agent, _ = await given(plane, provider)
    provider.destroy_gate.clear()
    ends = [
        plane.tasks.start(plane.ender.end(agent.id, why=why, message="m"), name="end")
        for why in (LOST, None)
    ]
    await plane.settle()
    assert [end.done() for end in ends] == [False, False]
    provider.destroy_gate.set()
    await plane.settle()
    assert [end.done() for end in ends] == [True, True]
    assert provider.destroyed == [agent.id]
    await plane.ender.end(agent.id, why=None, message="once more")


async def test_an_end_that_was_cancelled_can_be_begun_again(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    provider.destroy_gate.clear()
    end = plane.tasks.start(plane.ender.end(agent.id, why=LOST, message="m"), name="end")
    await plane.settle()
    end.cancel()
    await plane.settle()
    member = plane.fleet.get(agent.id)
    assert member is not None
    assert not member.is_ending
    provider.destroy_gate.set()
    await plane.ender.end(agent.id, why=LOST, message="m")
    assert (await plane.worker(agent.id)).state is WorkerState.LOST
    assert (await plane.job(job.id)).state is JobState.QUEUED


async def test_a_result_that_commits_while_its_worker_is_given_up_counts(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    await agent.say(started(job))
    plane.store.gate.clear()
    await agent.say(result(job))
    plane.run(plane.ender.end(agent.id, why=LOST, message="it was silent"))
    await plane.settle()
    plane.store.gate.set()
    await plane.settle()
    ended = await plane.job(job.id)
    assert (ended.state, [each.state for each in ended.attempts]) == (
        JobState.SUCCEEDED,
        [AttemptState.SUCCEEDED],
    )
    assert (await plane.worker(agent.id)).state is WorkerState.LOST


async def test_an_attempt_that_was_heard_of_is_not_taken_for_one_that_never_began(
    provider: FakeProvider,
) -> None:
    async with running(Plane(provider, linger_s=1000)) as plane:
        agent, job = await given(plane, provider)
        await agent.say(started(job), Output(chunks=(chunk(job, b"hello\n"),)))
        assert (await plane.job(job.id)).state is JobState.ASSIGNED
        await plane.ender.end(agent.id, why=LOST, message="signal 9")
        ended = await plane.job(job.id)
    assert (ended.state, ended.used_attempts) == (JobState.FAILED, 1)


async def test_an_end_waits_for_what_the_stream_still_stores(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    plane.logs.gate.clear()
    await agent.say(
        started(job), Output(chunks=(chunk(job, b"bye\n"),)), result(job, stdout_bytes=4)
    )
    agent.drop()
    plane.run(plane.ender.end(agent.id, why=LOST, message="signal 9"))
    await plane.settle()
    assert provider.destroyed == [agent.id]
    assert not (await plane.worker(agent.id)).has_ended
    plane.logs.gate.set()
    await plane.settle()
    assert (await plane.job(job.id)).state is JobState.SUCCEEDED
    assert (await plane.worker(agent.id)).has_ended


async def test_an_end_does_not_wait_for_ever_for_a_stream_that_hangs(
    plane: Plane, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.application.end_worker._HEARD_WITHIN_S", 0)
    agent, job = await given(plane, provider)
    agent.link.on_close = lambda: None
    await plane.ender.end(agent.id, why=LOST, message="it was silent")
    assert (await plane.worker(agent.id)).has_ended
    assert (await plane.job(job.id)).state is JobState.QUEUED


async def test_a_store_that_is_away_delays_the_end_and_loses_nothing(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    plane.store.failures, plane.store.read_failures = 2, 2
    await plane.ender.end(agent.id, why=LOST, message="it was silent")
    assert plane.store.failed == 4
    assert (await plane.job(job.id)).state is JobState.QUEUED
    assert plane.fleet.get(agent.id) is None


async def test_what_the_provider_saw_is_in_the_history(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, _ = await given(plane, provider)
    stopped = InstanceStopped(worker_id=agent.id, reason="signal 9", exit_code=None)
    await plane.ender.end(agent.id, why=LOST, message="signal 9", stopped=stopped)
    events = await plane.store.read_events(
        after=BEFORE_THE_FIRST, limit=100, streams=[f"worker:{agent.id}"]
    )
    assert WorkerStopped(reason="signal 9", exit_code=None) in [each.event for each in events]


async def test_what_the_provider_saw_is_told_before_the_instance_is_removed(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    await agent.say(started(job))
    provider.destroy_gate.clear()
    provider.crash(agent.id, "its container was paused")
    await plane.settle()

    async def stops() -> list[object]:
        events = await plane.store.read_events(
            after=BEFORE_THE_FIRST, limit=100, streams=[f"worker:{agent.id}"]
        )
        return [each.event for each in events if isinstance(each.event, WorkerStopped)]

    assert await stops() == [WorkerStopped(reason="its container was paused", exit_code=1)]
    assert (await plane.job(job.id)).state is JobState.RUNNING
    provider.destroy_gate.set()
    await plane.settle()
    assert len(await stops()) == 1
    assert (await plane.worker(agent.id)).has_ended


async def test_a_worker_that_came_back_after_its_end_was_seen_is_told_of_by_its_next_end(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    await agent.say(started(job))
    instance = provider.instances[agent.id]
    provider.destroy_gate.clear()
    provider.crash(agent.id, "its container was paused")
    await plane.settle()
    # The server dies before it is removed, and somebody lets it go on.
    await plane.close()
    provider.instances[agent.id] = instance
    provider.destroy_gate.set()
    plane.restart()
    await plane.load()
    plane.run_all()
    await plane.settle()
    await agent.connect(agent.holds(job))
    provider.crash(agent.id, "signal 9")
    await plane.settle()
    lost = await plane.job(job.id)
    assert lost.reason is not None
    assert lost.reason.message.endswith("was lost: signal 9")


async def test_a_worker_of_a_provider_that_is_gone_ends_without_it(plane: Plane) -> None:
    agent = await plane.static_agent()
    async with asyncio.timeout(1):
        await plane.ender.end(agent.id, why=None, message="done")
    assert (await plane.worker(agent.id)).state is WorkerState.TERMINATED


async def test_a_job_whose_container_ran_out_of_memory_is_told_so(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider, retry=RetryPolicy(max_attempts=1))
    await agent.say(started(job))
    provider.crash(agent.id, "its container ran out of memory", out_of_memory=True)
    await plane.settle()

    done = await plane.job(job.id)
    assert done.state is JobState.FAILED
    assert done.reason is not None
    assert done.reason.code is ReasonCode.OUT_OF_MEMORY
    assert "ran out of memory" in done.reason.message


async def test_an_attempt_that_ran_out_of_memory_is_retried_where_the_job_says_so(
    plane: Plane, provider: FakeProvider
) -> None:
    only_memory = RetryPolicy(
        max_attempts=2, initial_backoff_s=0, retry_on=frozenset({ReasonCode.OUT_OF_MEMORY})
    )
    agent, job = await given(plane, provider, retry=only_memory)
    await agent.say(started(job))
    provider.crash(agent.id, out_of_memory=True)
    await plane.settle()

    again = await plane.job(job.id)
    assert not again.is_terminal
    assert again.used_attempts == 1
