"""What providers have and no worker: shown, removed, and left alone where it is somebody's by then."""

from collections.abc import AsyncIterator

import pytest

from hodei.application.clean_up_orphans import CleanUpFailedError
from hodei.kernel.ids import WorkerId
from hodei.ports.providers import Handle, ProviderUnavailableError, ProvisioningRefusedError
from hodei.sagas.provision_worker import WorkerOrder
from support.fake_provider import FakeProvider
from support.plane import Plane, running

ORPHAN = WorkerId("fake-of-old")


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider()


@pytest.fixture
async def plane(provider: FakeProvider) -> AsyncIterator[Plane]:
    async with running(Plane(provider)) as plane:
        handle = Handle(provider=provider.name, worker_id=ORPHAN, data={"pid": "7"})
        provider.instances[ORPHAN] = handle
        yield plane


async def test_a_look_shows_what_would_be_removed_and_leaves_it(
    plane: Plane, provider: FakeProvider
) -> None:
    [outcome] = await plane.cleaner.look(provider)
    assert (outcome.orphan.worker_id, outcome.orphan.data) == (ORPHAN, {"pid": "7"})
    assert not outcome.is_removed
    assert (set(provider.instances), provider.destroyed) == ({ORPHAN}, [])


async def test_what_no_row_tells_of_is_removed_and_workers_are_left_alone(
    plane: Plane, provider: FakeProvider
) -> None:
    order = WorkerOrder(worker_id=WorkerId("fake-1"), provider=provider.name, enroll_timeout_s=60.0)
    plane.run(plane.provisioner.provision(order))
    await plane.settle()
    await plane.agent_of(provider)
    [outcome] = await plane.cleaner.clean_up(provider)
    assert outcome.is_removed
    assert set(provider.instances) == {WorkerId("fake-1")}
    assert await plane.cleaner.clean_up(provider) == []


async def test_one_that_a_worker_has_by_the_time_it_would_be_removed_is_left_alone(
    plane: Plane, provider: FakeProvider
) -> None:
    found = await plane.cleaning.look(None, plane.cleaner.order(provider))
    await plane.inviter.invite(name="", labels={}, worker_id=ORPHAN)
    assert not await plane.cleaning.remove(None, found.orphans[0])
    assert provider.destroyed == []


async def test_one_that_cannot_be_removed_is_named_with_the_reason(
    plane: Plane, provider: FakeProvider
) -> None:
    def refuse(_: Handle) -> None:
        raise ProvisioningRefusedError("it is write-protected")

    provider.on_destroy = refuse
    [outcome] = await plane.cleaner.clean_up(provider)
    assert (outcome.is_removed, outcome.message) == (False, "it is write-protected")


async def test_a_provider_that_is_away_is_asked_again_and_then_said_to_be_away(
    plane: Plane, provider: FakeProvider
) -> None:
    def fail() -> None:
        raise ProviderUnavailableError("its daemon does not answer")

    provider.on_list = fail
    task = plane.tasks.start(_clean_up_in_vain(plane, provider), name="clean up")
    for _ in range(5):
        await plane.settle()
        assert not task.done()
        await plane.pass_time(15)
    await plane.settle()
    assert task.done()


async def _clean_up_in_vain(plane: Plane, provider: FakeProvider) -> None:
    with pytest.raises(CleanUpFailedError, match="fake was not cleaned up: its daemon does not"):
        await plane.cleaner.clean_up(provider)


async def test_two_who_ask_at_once_get_the_outcome_of_one_run(
    plane: Plane, provider: FakeProvider
) -> None:
    provider.destroy_gate.clear()
    first = await plane.cleaner.begin(provider)
    await plane.settle()
    assert await plane.cleaner.begin(provider) == first
    provider.destroy_gate.set()
    await plane.settle()
    assert provider.destroyed == [ORPHAN]
    assert await plane.cleaner.begin(provider) != first
