"""A clean stop leaves no local worker behind, and gives jobs the time to end."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from hodei.application.links import DrainOrder, Run
from hodei.application.provision_worker import ProvisioningFailedError
from hodei.application.stop_workers import StopWorkers
from hodei.domain.cluster.duties import Duty
from hodei.domain.jobs.states import JobState
from hodei.domain.placement.kinds import WorkerKind
from hodei.domain.workers.states import WorkerState
from hodei.kernel.ids import WorkerId
from hodei.ports.durable_rows import RunStatus
from hodei.sagas.provision_worker import WorkerOrder
from support.builders import result
from support.fake_provider import FakeProvider
from support.plane import Agent, Plane, running


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider(slots=1)


@pytest.fixture
async def plane(provider: FakeProvider) -> AsyncIterator[Plane]:
    async with running(Plane(provider)) as plane:
        yield plane


@pytest.fixture
def stopper(plane: Plane, provider: FakeProvider) -> StopWorkers:
    return StopWorkers(
        bus=plane.bus,
        fleet=plane.fleet,
        pool=plane.pool,
        hands=plane.hands,
        ender=plane.ender,
        providers={provider.name: provider},
    )


async def busy(plane: Plane, provider: FakeProvider) -> Agent:
    await plane.submit()
    await plane.settle()
    agent = await plane.agent_of(provider)
    await plane.settle()
    assert agent.link.of(Run)
    return agent


async def test_workers_are_drained_and_waited_for_until_their_jobs_have_ended(
    plane: Plane, provider: FakeProvider, stopper: StopWorkers
) -> None:
    agent = await busy(plane, provider)
    job = agent.link.of(Run)[0].job
    stop = plane.tasks.start(stopper.stop(grace_s=30), name="stop")
    await plane.settle()
    assert [order.terminate for order in agent.link.of(DrainOrder)] == [True]
    await agent.say(result(job))
    assert not stop.done()
    provider.crash(agent.id, "exit code 0")
    await plane.settle()
    assert stop.done()
    assert (await plane.job(job.id)).state is JobState.SUCCEEDED
    assert (await plane.worker(agent.id)).state is WorkerState.TERMINATED


async def test_after_the_grace_what_is_left_is_taken_down_and_its_job_is_queued_again(
    plane: Plane, provider: FakeProvider, stopper: StopWorkers
) -> None:
    agent = await busy(plane, provider)
    await stopper.stop(grace_s=0)
    assert provider.instances == {}
    assert (await plane.job(agent.link.of(Run)[0].job.id)).state is JobState.QUEUED


async def test_a_worker_on_its_way_is_taken_down_at_once(
    plane: Plane, provider: FakeProvider, stopper: StopWorkers
) -> None:
    await plane.submit()
    await plane.settle()
    await stopper.stop(grace_s=30)
    assert provider.instances == {}
    assert plane.fleet.members() == []


async def _begin(plane: Plane, order: WorkerOrder) -> None:
    with suppress(ProvisioningFailedError):
        await plane.provisioner.provision(order)


async def test_what_is_only_prepared_is_called_off(
    plane: Plane, provider: FakeProvider, stopper: StopWorkers
) -> None:
    provider.prepare_gate.clear()
    order = WorkerOrder(
        worker_id=WorkerId("fake-1"),
        provider=provider.name,
        kind=WorkerKind(image="debian:12"),
        enroll_timeout_s=60.0,
    )
    # As the pool finds it that starts after it was begun.
    plane.run(_begin(plane, order))
    await plane.settle()
    plane.standing.assign(frozenset({Duty("any")}))
    await plane.settle()
    stop = plane.tasks.start(stopper.stop(grace_s=0), name="stop")
    await plane.settle()
    # It is asked to stop at its next sign of life.
    provider.prepare_gate.set()
    await plane.settle()
    assert stop.done()
    assert (await plane.workflows.client.find("fake-1")).status is RunStatus.CANCELLED
    assert provider.requests == []


async def test_an_end_that_is_under_way_is_waited_for(
    plane: Plane, provider: FakeProvider, stopper: StopWorkers
) -> None:
    agent = await busy(plane, provider)
    provider.destroy_gate.clear()
    provider.crash(agent.id)
    await plane.settle()
    stop = plane.tasks.start(stopper.stop(grace_s=0), name="stop")
    await plane.settle()
    assert not stop.done()
    provider.destroy_gate.set()
    await plane.settle()
    assert stop.done()
    assert plane.fleet.members() == []


async def test_a_failed_provisioning_that_the_stop_cut_short_is_undone(
    plane: Plane, provider: FakeProvider, stopper: StopWorkers
) -> None:
    provider.destroy_gate.clear()

    def fail(request: object) -> None:
        provider.destroy_gate.clear()
        raise TimeoutError

    provider.on_provision = fail
    await plane.submit()
    await plane.settle()
    stop = plane.tasks.start(stopper.stop(grace_s=0), name="stop")
    await plane.settle()
    assert not stop.done()
    provider.destroy_gate.set()
    await plane.settle()
    assert stop.done()
    assert plane.fleet.members() == []


async def test_workers_of_other_hosts_are_left_to_run(plane: Plane, stopper: StopWorkers) -> None:
    agent = await plane.static_agent()
    await stopper.stop(grace_s=30)
    assert (await plane.worker(agent.id)).state is WorkerState.READY
    assert agent.link.of(DrainOrder) == []
