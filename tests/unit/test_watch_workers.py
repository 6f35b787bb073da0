"""Workers that are gone are noticed: by their provider's word, by their silence, at the start."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hodei.application.links import Heartbeat, Run, Usage
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.states import JobState
from hodei.domain.workers.events import WorkerHealthChanged
from hodei.domain.workers.states import WorkerState
from hodei.kernel.ids import Position, WorkerId
from hodei.ports.providers import Handle, ProviderUnavailableError
from support.builders import result, spec, started
from support.fake_provider import FakeProvider
from support.plane import ENROLL_TIMEOUT_S, LEASE_S, Agent, Plane, running


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider(slots=1)


@pytest.fixture
async def plane(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plane]:
    monkeypatch.setattr("hodei.application.watch_workers._RETRY_AFTER_S", 0)
    monkeypatch.setattr("hodei.application.end_worker._RETRY_AFTER_S", 0)
    async with running(Plane(provider)) as plane:
        yield plane


async def given(plane: Plane, provider: FakeProvider, **definition: object) -> tuple[Agent, Job]:
    """A worker of the provider that runs a job."""
    await plane.submit(spec(**definition))
    await plane.settle()
    agent = await plane.agent_of(provider)
    await plane.settle()
    job = agent.link.of(Run)[-1].job
    await agent.say(started(job))
    return agent, job


async def pass_time(plane: Plane, seconds: float) -> None:
    plane.clock.jump(seconds)
    plane.watch.notify()
    await plane.settle()


async def why(plane: Plane, worker_id: WorkerId) -> tuple[WorkerState, str]:
    worker = await plane.worker(worker_id)
    return worker.state, worker.reason.code if worker.reason else ""


async def test_an_instance_that_ends_is_a_lost_worker_at_once(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    provider.crash(agent.id, "signal 9")
    await plane.settle()
    assert await why(plane, agent.id) == (WorkerState.LOST, ReasonCode.WORKER_LOST)
    lost = await plane.job(job.id)
    assert lost.state is JobState.FAILED
    assert lost.reason is not None
    assert "signal 9" in lost.reason.message
    assert provider.destroyed == [agent.id]


async def test_an_instance_that_ends_before_its_agent_connected_is_a_failed_provisioning(
    plane: Plane, provider: FakeProvider
) -> None:
    await plane.submit()
    await plane.settle()
    worker_id = provider.requests[0].worker_id
    provider.crash(worker_id, "no such library")
    await plane.settle()
    assert await why(plane, worker_id) == (WorkerState.LOST, ReasonCode.PROVISIONING_FAILED)


async def test_a_drained_worker_that_ends_has_ended_as_intended(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    await plane.drainer.drain(agent.id, by="me")
    await agent.say(result(job))
    provider.crash(agent.id, "exit code 0")
    await plane.settle()
    assert await why(plane, agent.id) == (WorkerState.TERMINATED, "")


async def test_a_silent_worker_is_lost_after_its_lease_and_not_before(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    await agent.disconnect()
    await pass_time(plane, LEASE_S - 1)
    assert (await plane.worker(agent.id)).state is WorkerState.READY
    await pass_time(plane, 1)
    assert await why(plane, agent.id) == (WorkerState.LOST, ReasonCode.WORKER_LOST)
    assert (await plane.job(job.id)).state is JobState.FAILED


async def test_a_server_that_did_not_run_for_a_while_judges_nobody_by_that_time(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    # As after SIGSTOP and SIGCONT: both clocks have gone on, and nothing was read meanwhile.
    plane.sleep(LEASE_S + 1)
    await pass_time(plane, LEASE_S + 1)
    assert (await plane.job(job.id)).state is JobState.RUNNING
    await pass_time(plane, LEASE_S - 1)
    assert (await plane.job(job.id)).state is JobState.RUNNING
    # It is heard again from then on, or it is not.
    await pass_time(plane, 2)
    assert await why(plane, agent.id) == (WorkerState.LOST, ReasonCode.WORKER_LOST)


async def test_every_word_of_a_worker_renews_its_lease(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, _ = await given(plane, provider)
    for _ in range(5):
        await pass_time(plane, LEASE_S - 1)
        await agent.say(Heartbeat(usage=Usage()))
    assert (await plane.worker(agent.id)).state is WorkerState.READY


async def test_a_worker_that_nobody_can_confirm_gone_is_given_the_time_its_jobs_may_run_on(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    [job_id] = await plane.submit(spec(disconnect_timeout_s=100.0))
    await plane.settle()
    await agent.disconnect()
    await pass_time(plane, LEASE_S + 99)
    assert (await plane.job(job_id)).state is JobState.ASSIGNED
    await pass_time(plane, 1)
    assert await why(plane, agent.id) == (WorkerState.LOST, ReasonCode.WORKER_LOST)
    assert (await plane.job(job_id)).state is JobState.QUEUED


async def test_a_worker_whose_saga_was_terminated_is_taken_down_when_it_does_not_come(
    plane: Plane, provider: FakeProvider
) -> None:
    await plane.submit()
    await plane.settle()
    worker_id = provider.requests[0].worker_id
    client = plane.workflows.client
    run = await client.find(worker_id)
    await client.terminate(run.run_id, reason="as the test says", by="me")
    await pass_time(plane, ENROLL_TIMEOUT_S + 119)
    assert (await plane.worker(worker_id)).state is WorkerState.STARTING
    await pass_time(plane, 1)
    assert await why(plane, worker_id) == (WorkerState.LOST, ReasonCode.PROVISIONING_FAILED)
    assert worker_id in provider.destroyed


async def test_an_invitation_that_nobody_takes_up_ends_with_its_password(plane: Plane) -> None:
    worker_id = WorkerId("static-1")
    await plane.inviter.invite(name="", labels={}, worker_id=worker_id)
    await plane.settle()
    await pass_time(plane, 299)
    assert (await plane.worker(worker_id)).state is WorkerState.REQUESTED
    await pass_time(plane, 1)
    assert (await plane.worker(worker_id)).state is WorkerState.LOST


async def test_somebodys_own_worker_ends_with_its_stream_once_it_is_drained(plane: Plane) -> None:
    agent = await plane.static_agent()
    await plane.drainer.drain(agent.id, by="me")
    await plane.settle()
    assert (await plane.worker(agent.id)).state is WorkerState.DRAINING
    await agent.disconnect()
    await plane.settle()
    assert await why(plane, agent.id) == (WorkerState.TERMINATED, "")


async def test_a_drained_worker_gets_some_time_to_end_by_itself_however_long_it_was_idle(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    await agent.say(result(job))
    for _ in range(20):
        await pass_time(plane, 30)
        await agent.say(Heartbeat(usage=Usage()))
    await plane.drainer.drain(agent.id, by="me")
    await pass_time(plane, 29)
    assert (await plane.worker(agent.id)).state is WorkerState.DRAINING
    assert agent.link.closed is None
    await pass_time(plane, 1)
    assert await why(plane, agent.id) == (WorkerState.TERMINATED, "")


async def test_a_start_judges_no_lease_before_it_has_renewed_each(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    await plane.close()
    plane.clock.jump(10_000)
    plane.restart()
    await plane.load()
    plane.run_all()
    await plane.settle()
    await pass_time(plane, LEASE_S - 1)
    assert (await plane.worker(agent.id)).state is WorkerState.READY
    await agent.connect(agent.holds(job))
    assert (await plane.job(job.id)).state is JobState.RUNNING


async def test_a_start_finds_instances_that_ended_and_ends_those_that_no_row_tells_of(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    await plane.close()
    del provider.instances[agent.id]
    orphan = Handle(provider=provider.name, worker_id=WorkerId("orphan"), data={})
    provider.instances[orphan.worker_id] = orphan
    plane.restart()
    await plane.load()
    plane.run_all()
    await plane.settle()
    assert "orphan" in provider.destroyed
    assert await why(plane, agent.id) == (WorkerState.LOST, ReasonCode.WORKER_LOST)
    assert (await plane.job(job.id)).state is JobState.FAILED


async def given_without_a_handle(plane: Plane, provider: FakeProvider) -> tuple[Agent, Job]:
    """A worker that runs a job, and whose server dies before it has the provider's answer."""
    provider.provision_gate.clear()
    agent, job = await given(plane, provider)
    await plane.close()
    provider.provision_gate.set()
    assert (await plane.worker(agent.id)).handle is None
    return agent, job


async def test_a_start_writes_down_the_instance_that_came_up_while_its_server_died(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given_without_a_handle(plane, provider)
    provider.instances[agent.id] = Handle(
        provider=provider.name, worker_id=agent.id, data={"pid": "4711"}
    )
    plane.restart()
    await plane.load()
    plane.run_all()
    await plane.settle()
    assert (await plane.worker(agent.id)).handle == {"pid": "4711"}
    assert (await plane.job(job.id)).state is JobState.RUNNING


async def test_a_start_ends_a_worker_whose_instance_was_never_written_down_and_is_gone(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given_without_a_handle(plane, provider)
    plane.restart()
    await plane.load()
    plane.run_all()
    await plane.settle()
    assert await why(plane, agent.id) == (WorkerState.LOST, ReasonCode.WORKER_LOST)
    assert (await plane.job(job.id)).state is JobState.FAILED


async def test_a_provider_that_cannot_be_asked_is_asked_again(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, _ = await given(plane, provider)
    asked = [0]

    def away() -> None:
        asked[0] += 1
        if asked[0] <= 3:
            raise ProviderUnavailableError("it does not answer")

    provider.on_list = away
    del provider.instances[agent.id]
    provider.lose_sight()
    await plane.settle()
    assert asked == [4]
    assert (await plane.worker(agent.id)).state is WorkerState.LOST


async def test_a_leftover_that_takes_long_to_die_does_not_delay_the_next_event(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, _ = await given(plane, provider)
    orphan = Handle(provider=provider.name, worker_id=WorkerId("orphan"), data={})
    provider.instances[orphan.worker_id] = orphan
    provider.destroy_gate.clear()
    provider.lose_sight()
    provider.crash(agent.id)
    await plane.settle()
    assert plane.fleet.get(agent.id).is_ending  # pyright: ignore[reportOptionalMemberAccess]


async def test_what_is_being_taken_down_at_a_stop_is_gone_on_with_by_the_next_start(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    provider.destroy_gate.clear()
    provider.crash(agent.id)
    await plane.settle()
    await plane.close()
    assert (await plane.job(job.id)).state is JobState.RUNNING
    provider.destroy_gate.set()
    plane.restart()
    await plane.load()
    plane.run_all()
    await plane.settle()
    assert (await plane.job(job.id)).state is JobState.FAILED


async def test_a_provider_that_loses_sight_says_so_in_its_workers_histories_and_ends_nothing(
    plane: Plane, provider: FakeProvider
) -> None:
    agent, job = await given(plane, provider)
    provider.see(is_seen=False)
    provider.see(is_seen=False)
    await plane.settle()
    assert (await plane.worker(agent.id)).is_unseen
    assert (await plane.job(job.id)).state is JobState.RUNNING
    provider.see(is_seen=True)
    await plane.settle()
    worker = await plane.worker(agent.id)
    assert (worker.is_unseen, worker.state) == (False, WorkerState.READY)
    events = await plane.store.read_events(
        after=Position(0), limit=100, streams=[f"worker:{agent.id}"]
    )
    told = [each.event for each in events if isinstance(each.event, WorkerHealthChanged)]
    assert [each.is_seen for each in told] == [False, True]


async def test_what_no_row_tells_of_is_swept_also_when_no_event_said_so(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.application.watch_workers._RECONCILE_EVERY_S", 0.02)
    swept = asyncio.Event()
    provider.on_destroy = lambda _: swept.set()
    async with running(Plane(provider)) as plane:
        orphan = WorkerId("nobody-knows")
        provider.instances[orphan] = Handle(provider=provider.name, worker_id=orphan, data={})
        async with asyncio.timeout(5):
            await swept.wait()
        await plane.tasks.close()
