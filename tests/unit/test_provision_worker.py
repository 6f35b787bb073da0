"""Bringing a worker up: recorded, made, waited for; and undone when a step fails."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hodei.application.provision_steps import Blame
from hodei.application.provision_worker import ProvisioningFailedError
from hodei.domain.workers.events import WorkerDrainRequested, WorkerProvisioned, WorkerStopped
from hodei.domain.workers.states import WorkerState
from hodei.kernel.ids import WorkerId
from hodei.ports.durable_rows import RunStatus
from hodei.ports.providers import ProviderUnavailableError, ProvisioningRefusedError
from hodei.ports.stores import Batch
from hodei.sagas.provision_worker import WorkerOrder
from support.fake_provider import FakeProvider
from support.plane import Plane, running

W = WorkerId("fake-1")


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider(slots=3, labels={"zone": "a"})


@pytest.fixture
async def plane(provider: FakeProvider) -> AsyncIterator[Plane]:
    async with running(Plane(provider)) as plane:
        yield plane


async def provision(plane: Plane, provider: FakeProvider, within_s: float = 5) -> None:
    await plane.provisioner.provision(
        WorkerOrder(worker_id=W, provider=provider.name, enroll_timeout_s=within_s)
    )


async def state(plane: Plane) -> WorkerState:
    return (await plane.worker(W)).state


async def test_a_worker_is_wanted_then_made_then_ready(
    plane: Plane, provider: FakeProvider
) -> None:
    provider.provision_gate.clear()
    task = plane.tasks.start(provision(plane, provider), name="provision")
    await plane.settle()
    assert await state(plane) is WorkerState.REQUESTED
    provider.provision_gate.set()
    await plane.settle()
    assert (await state(plane), task.done()) == (WorkerState.STARTING, False)
    await plane.agent_of(provider)
    await plane.settle()
    assert (await state(plane), task.done()) == (WorkerState.READY, True)
    assert (await plane.worker(W)).handle == {"pid": "4711"}


async def test_the_agent_is_told_where_to_enrol_and_by_what_to_know_the_server(
    plane: Plane, provider: FakeProvider
) -> None:
    plane.run(provision(plane, provider))
    await plane.settle()
    [request] = provider.requests
    told = request.bootstrap
    assert (told.worker_id, told.enroll_address, told.worker_address) == (W, "here:3", "here:2")
    assert (told.ca_fingerprint, told.slots, told.labels) == ("sha256:0", 3, {"zone": "a"})
    worker = await plane.worker(W)
    assert plane.passwords.recognise(W, told.otp) == worker.offer.otp_hmac
    assert told.otp not in repr(worker)


async def test_an_agent_may_be_ready_before_its_provider_has_answered(
    plane: Plane, provider: FakeProvider
) -> None:
    provider.provision_gate.clear()
    task = plane.tasks.start(provision(plane, provider), name="provision")
    await plane.settle()
    await plane.agent_of(provider)
    provider.provision_gate.set()
    await plane.settle()
    assert task.done()
    worker = await plane.worker(W)
    assert (worker.state, worker.handle) == (WorkerState.READY, {"pid": "4711"})


@pytest.mark.parametrize("error", [ProviderUnavailableError, ProvisioningRefusedError])
async def test_a_provider_that_cannot_leaves_a_lost_worker_that_says_why(
    plane: Plane,
    provider: FakeProvider,
    error: type[ProviderUnavailableError] | type[ProvisioningRefusedError],
) -> None:
    def fail(request: object) -> None:
        raise error("no such image")

    provider.on_provision = fail
    with pytest.raises(ProvisioningFailedError, match="no such image"):
        await provision(plane, provider)
    worker = await plane.worker(W)
    assert worker.state is WorkerState.LOST
    assert worker.reason is not None
    assert worker.reason.message == "no such image"
    assert plane.fleet.get(W) is None
    # It may have made something before it failed.
    assert provider.destroyed == [W]


async def test_a_worker_that_never_connects_is_taken_down_and_named_with_its_doors(
    plane: Plane, provider: FakeProvider
) -> None:
    with pytest.raises(
        ProvisioningFailedError, match=r"not enrolled at here:3.*here:2 within 0.01 s"
    ):
        await provision(plane, provider, within_s=0.01)
    assert await state(plane) is WorkerState.LOST
    assert provider.instances == {}


async def test_a_worker_that_somebody_drains_as_it_starts_is_not_waited_for_until_the_timeout(
    plane: Plane, provider: FakeProvider
) -> None:
    task = plane.tasks.start(_provision_and_note(plane, provider), name="provision")
    await plane.settle()
    await plane.drainer.drain(W, by="me")
    await plane.ender.end(W, why=None, message="drained")
    await plane.settle()
    assert task.done()


async def _provision_and_note(plane: Plane, provider: FakeProvider) -> None:
    with pytest.raises(ProvisioningFailedError, match="ended as it started"):
        await provision(plane, provider)


async def test_an_instance_made_for_a_worker_that_has_ended_meanwhile_is_destroyed(
    plane: Plane, provider: FakeProvider
) -> None:
    provider.provision_gate.clear()
    task = plane.tasks.start(_provision_and_note(plane, provider), name="provision")
    await plane.settle()
    await plane.ender.end(W, why=None, message="no longer wanted")
    provider.provision_gate.set()
    await plane.settle()
    assert task.done()
    assert provider.instances == {}
    assert provider.destroyed == [W, W]


async def test_a_store_that_is_away_is_waited_for_and_not_held_against_the_provider(
    plane: Plane, provider: FakeProvider
) -> None:
    plane.store.failures = 1
    task = plane.tasks.start(provision(plane, provider), name="provision")
    await plane.settle()
    assert provider.requests == []
    await plane.pass_time(1)
    await plane.agent_of(provider)
    await plane.settle()
    assert task.done()
    assert await state(plane) is WorkerState.READY


async def test_a_stop_in_the_middle_leaves_what_the_next_start_goes_on_with(
    plane: Plane, provider: FakeProvider
) -> None:
    task = plane.tasks.start(provision(plane, provider), name="provision")
    await plane.settle()
    task.cancel()
    await plane.settle()
    await plane.close()
    plane.restart()
    await plane.load()
    agent = await plane.agent_of(provider)
    await plane.settle()
    assert await state(plane) is WorkerState.READY
    assert agent.id in provider.instances


async def test_a_worker_that_somebody_drains_as_it_starts_is_undone_and_nobody_is_to_blame(
    plane: Plane, provider: FakeProvider
) -> None:
    task = plane.tasks.start(_provision_in_vain(plane, provider, "drained by me"), name="provision")
    await plane.settle()
    await plane.drainer.drain(W, by="me")
    await plane.settle()
    assert task.done()
    assert await state(plane) is WorkerState.TERMINATED
    assert provider.destroyed == [W]


async def test_a_run_that_is_cancelled_leaves_nothing_and_nobody_is_to_blame(
    plane: Plane, provider: FakeProvider
) -> None:
    task = plane.tasks.start(_provision_in_vain(plane, provider, "too dear"), name="provision")
    await plane.settle()
    run = await plane.workflows.client.find(W)
    await plane.workflows.client.cancel(run.run_id, reason="too dear", by="me")
    await plane.settle()
    assert task.done()
    assert await state(plane) is WorkerState.TERMINATED
    assert provider.destroyed == [W]


async def _provision_in_vain(plane: Plane, provider: FakeProvider, why: str) -> None:
    with pytest.raises(ProvisioningFailedError, match=why) as raised:
        await provision(plane, provider)
    assert raised.value.blame is Blame.NOBODY


async def test_an_instance_that_ends_as_it_starts_is_told_with_what_its_provider_saw(
    plane: Plane, provider: FakeProvider
) -> None:
    task = plane.tasks.start(_provision_and_note(plane, provider), name="provision")
    await plane.settle()
    provider.crash(W, "exit code 3")
    await plane.settle()
    assert task.done()
    worker = await plane.worker(W)
    assert worker.reason is not None
    assert "exit code 3" in worker.reason.message


async def test_an_end_that_was_told_before_the_instance_was_written_down_is_not_missed(
    plane: Plane, provider: FakeProvider
) -> None:
    async def crash(batch: Batch) -> None:
        for write in batch.workers:
            if any(isinstance(each, WorkerProvisioned) for each in write.events):
                plane.store.before_commit = _nothing
                provider.crash(W, "exit code 3")
                await plane.settle()

    plane.store.before_commit = crash
    with pytest.raises(ProvisioningFailedError, match="exit code 3") as raised:
        await provision(plane, provider)
    assert raised.value.blame is Blame.WORKER


async def test_the_end_of_an_instance_whose_server_died_is_nobodys_fault_and_another_is_made(
    plane: Plane, provider: FakeProvider
) -> None:
    """As of a container whose server died before it had told it the password."""
    provider.provision_gate.clear()
    plane.run(provision(plane, provider))
    await plane.settle()
    await plane.close()
    plane.restart()
    await plane.load()
    plane.run_all()
    stopped = WorkerStopped(reason="its agent was told nothing", exit_code=2)
    await plane.journal.change_worker(W, lambda _: [stopped])
    provider.provision_gate.set()
    await plane.pass_time(7)
    await plane.pass_time(1)
    assert len(provider.requests) == 2
    assert provider.requests[0].bootstrap.otp == provider.requests[1].bootstrap.otp
    await plane.agent_of(provider)
    await plane.settle()
    assert await state(plane) is WorkerState.READY
    assert (await plane.workflows.client.find(W)).status is RunStatus.COMPLETED


async def test_an_instance_whose_password_was_used_is_not_made_again(
    plane: Plane, provider: FakeProvider
) -> None:
    """Another one with the same password would be turned away, with an alarm."""
    provider.provision_gate.clear()
    plane.run(_provision_in_vain(plane, provider, "its agent is not there any more"))
    await plane.settle()
    await plane.enrol(W)
    await plane.close()
    plane.restart()
    await plane.load()
    plane.run_all()
    provider.provision_gate.set()
    await plane.pass_time(7)
    await plane.pass_time(1)
    assert len(provider.requests) == 1
    assert await state(plane) is WorkerState.TERMINATED


async def test_a_worker_that_comes_in_the_moment_it_is_given_up_has_come(
    plane: Plane, provider: FakeProvider
) -> None:
    """The commit that gives it up meets that of its stream."""
    task = plane.tasks.start(provision(plane, provider, within_s=0.01), name="provision")
    plane.run(_come_when_given_up(plane, provider))
    await task
    assert await state(plane) is WorkerState.READY
    assert provider.destroyed == []


async def _come_when_given_up(plane: Plane, provider: FakeProvider) -> None:
    given_up = asyncio.Event()

    async def overtake(batch: Batch) -> None:
        for write in batch.workers:
            if any(isinstance(each, WorkerDrainRequested) for each in write.events):
                plane.store.before_commit = _nothing
                await plane.agent_of(provider)
                given_up.set()

    plane.store.before_commit = overtake
    await given_up.wait()


async def _nothing(_: Batch) -> None:
    pass


async def test_an_invited_worker_has_a_password_of_its_own_and_no_instance(
    plane: Plane, provider: FakeProvider
) -> None:
    told = await plane.inviter.invite(
        name="mine", labels={"a": "b"}, worker_id=WorkerId("static-1")
    )
    worker = await plane.worker(WorkerId("static-1"))
    assert (worker.provider, worker.state) == ("static", WorkerState.REQUESTED)
    assert (told.name, told.labels) == ("mine", {"a": "b"})
    assert plane.passwords.recognise(worker.id, told.otp) == worker.offer.otp_hmac
    assert plane.passwords.recognise(W, told.otp) != worker.offer.otp_hmac
    assert provider.requests == []
