"""A job that waits says why, in a sentence that helps."""

from collections.abc import AsyncIterator

import pytest

from hodei.domain.jobs.spec import Resources, Selector
from hodei.kernel.ids import JobId
from hodei.ports.providers import ProviderUnavailableError
from support.builders import spec, started
from support.fake_provider import FakeProvider
from support.plane import Plane, running


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider(slots=1, max_workers=1, resources=Resources(cpu_millicores=2000))


@pytest.fixture
async def plane(provider: FakeProvider) -> AsyncIterator[Plane]:
    async with running(Plane(provider), leases=False) as plane:
        yield plane


async def why(plane: Plane, job_id: JobId) -> str:
    return plane.explain.explain(await plane.job(job_id))


async def test_a_worker_on_its_way_is_the_reason_until_the_job_runs(
    plane: Plane, provider: FakeProvider
) -> None:
    [job_id] = await plane.submit()
    await plane.settle()
    assert await why(plane, job_id) == "a worker for it is on its way"
    agent = await plane.agent_of(provider)
    await plane.settle()
    job = await plane.job(job_id)
    assert plane.explain.explain(job) == ""
    await agent.say(started(job))
    assert await why(plane, job_id) == ""


async def test_all_slots_taken_and_no_more_workers_allowed_is_said_with_numbers(
    plane: Plane, provider: FakeProvider
) -> None:
    await plane.submit()
    await plane.settle()
    await plane.agent_of(provider)
    [waits] = await plane.submit()
    await plane.settle()
    assert "all 1 slots of the 1 workers" in await why(plane, waits)


async def test_what_no_worker_has_is_named_for_workers_and_providers(
    plane: Plane, provider: FakeProvider
) -> None:
    agent = await plane.static_agent(labels={"zone": "a"})
    [large, picky] = await plane.submit(
        spec(resources=Resources(gpu_count=1)), spec(selector=Selector(match_labels={"zone": "b"}))
    )
    await plane.settle()
    assert f"worker {agent.id}: it has 0 GPUs, not 1" in await why(plane, large)
    assert "provider fake: it has 0 GPUs" in await why(plane, large)
    assert "its label zone is 'a', not 'b'" in await why(plane, picky)


async def test_of_a_job_that_names_its_provider_the_others_are_not_spoken_of(plane: Plane) -> None:
    agent = await plane.static_agent()
    gpu = Resources(gpu_count=1)
    by_name, by_type = await plane.submit(
        spec(resources=gpu, preferred_provider="fake"),
        spec(resources=gpu, preferred_provider="test"),
    )
    await plane.settle()
    for job_id in (by_name, by_type):
        said = await why(plane, job_id)
        assert "provider fake: it has 0 GPUs, not 1" in said
        assert agent.id not in said


async def test_a_provider_in_trouble_says_what_it_said(
    plane: Plane, provider: FakeProvider
) -> None:
    def fail(request: object) -> None:
        raise ProviderUnavailableError("its disk is full")

    provider.on_provision = fail
    [job_id] = await plane.submit()
    await plane.settle()
    assert await why(plane, job_id) == (
        "provider fake failed last: its disk is full; it is tried again at 2026-03-01T12:01:00Z"
    )


async def test_no_room_beside_what_runs_is_said(plane: Plane) -> None:
    await plane.static_agent(slots=2, resources=Resources(cpu_millicores=1000))
    large = spec(resources=Resources(cpu_millicores=900), preferred_provider="static")
    await plane.submit(large)
    [waits] = await plane.submit(large)
    await plane.settle()
    assert "room beside what runs" in await why(plane, waits)


async def test_long_lists_of_reasons_are_cut(plane: Plane) -> None:
    for _ in range(5):
        await plane.static_agent()
    [job_id] = await plane.submit(spec(resources=Resources(gpu_count=1)))
    await plane.settle()
    assert "and 3 more" in await why(plane, job_id)
