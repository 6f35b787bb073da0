"""Bringing a worker up: recorded, made, waited for; and undone when a step fails."""

from collections.abc import AsyncIterator

import pytest

from hodei.application.provision_worker import ProvisioningFailedError
from hodei.domain.workers.states import WorkerState
from hodei.kernel.ids import WorkerId
from hodei.ports.providers import ProviderUnavailableError, ProvisioningRefusedError
from hodei.ports.stores import StoreUnavailableError
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
    await plane.provisioner.provision(W, provider, for_job=None, enroll_timeout_s=within_s)


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
    with pytest.raises(ProvisioningFailedError, match=r"not enrolled at here:3.*here:2 within 0 s"):
        await provision(plane, provider, within_s=0)
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


async def test_a_store_that_is_away_is_told_apart_from_a_provider_in_trouble(
    plane: Plane, provider: FakeProvider
) -> None:
    plane.store.failures = 1
    with pytest.raises(StoreUnavailableError):
        await provision(plane, provider)
    assert provider.requests == []


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


async def test_an_invited_worker_has_a_password_of_its_own_and_no_instance(
    plane: Plane, provider: FakeProvider
) -> None:
    told = await plane.provisioner.invite(
        name="mine", labels={"a": "b"}, worker_id=WorkerId("static-1")
    )
    worker = await plane.worker(WorkerId("static-1"))
    assert (worker.provider, worker.state) == ("static", WorkerState.REQUESTED)
    assert (told.name, told.labels) == ("mine", {"a": "b"})
    assert plane.passwords.recognise(worker.id, told.otp) == worker.offer.otp_hmac
    assert plane.passwords.recognise(W, told.otp) != worker.offer.otp_hmac
    assert provider.requests == []
