"""Providers come, go and stand aside while a server runs, and several of them share the work."""

from dataclasses import replace

from hodei.application.pool_condition import Terms
from hodei.domain.jobs.states import JobState
from hodei.domain.placement.breaker import OPENS_AFTER
from hodei.domain.placement.fit import Containers
from hodei.domain.placement.selection import Strategy
from hodei.domain.workers.states import WorkerState
from hodei.kernel.ids import ProviderName
from hodei.ports.providers import ProviderUnavailableError
from support.builders import result, spec, started
from support.fake_provider import FakeProvider
from support.plane import RULES, Plane, running


async def test_a_closed_provider_makes_no_workers_and_its_idle_ones_leave() -> None:
    provider = FakeProvider(slots=1, max_workers=3)
    rules = replace(RULES, warm_workers=1)
    async with running(Plane(provider, rules=rules), leases=False) as plane:
        idle = await plane.agent_of(provider)
        plane.roster.set_terms(provider.name, Terms(closed="is disabled", drains=True))
        await plane.settle()
        await plane.submit()
        await plane.settle()

        assert (await plane.worker(idle.id)).state is WorkerState.DRAINING
        assert len(provider.requests) == 1
        [pending] = [plane.explain.explain(job) for job in await plane.jobs()]
        assert pending == "provider fake is disabled"

        plane.roster.set_terms(provider.name, Terms())
        await plane.settle()
        assert len(provider.requests) == 2


async def test_a_busy_worker_of_a_closed_provider_ends_its_job_first() -> None:
    provider = FakeProvider(slots=1, max_workers=1)
    async with running(Plane(provider), leases=False) as plane:
        [job_id] = await plane.submit()
        await plane.settle()
        agent = await plane.agent_of(provider)
        await plane.settle()
        plane.roster.set_terms(provider.name, Terms(closed="is disabled", drains=True))
        await plane.settle()

        assert (await plane.worker(agent.id)).state is WorkerState.DRAINING
        await agent.say(started(await plane.job(job_id)), result(await plane.job(job_id)))
        assert (await plane.job(job_id)).state is JobState.SUCCEEDED


async def test_a_worker_that_was_on_its_way_to_a_closed_provider_leaves_once_it_is_there() -> None:
    provider = FakeProvider(slots=1, max_workers=1)
    async with running(Plane(provider), leases=False) as plane:
        await plane.submit()
        await plane.settle()
        plane.roster.set_terms(provider.name, Terms(closed="is disabled", drains=True))
        agent = await plane.agent_of(provider)
        await plane.settle()

        assert (await plane.worker(agent.id)).state is WorkerState.DRAINING


async def test_jobs_go_to_the_next_provider_once_the_circuit_of_the_first_is_open() -> None:
    first, second = FakeProvider("first"), FakeProvider("second")

    def fail(request: object) -> None:
        raise ProviderUnavailableError("its engine is gone")

    first.on_provision = fail
    async with running(Plane(first, second), leases=False) as plane:
        plane.roster.set_terms(first.name, Terms(priority=1))
        [job_id] = await plane.submit()
        await plane.settle()

        assert len(first.requests) >= OPENS_AFTER
        assert len(second.requests) == 1
        found = plane.explain_job.explain(await plane.job(job_id)).candidates
        assert [each.name for each in found[:2]] == ["first", "second"]
        assert found[0].now == (
            "its circuit breaker is open; it failed last: its engine is gone; "
            "it is tried again at 2026-03-01T12:01:00Z"
        )


async def test_of_two_that_could_make_a_worker_it_is_told_which_is_asked_first() -> None:
    plane = Plane(FakeProvider("a", max_workers=2), FakeProvider("b", max_workers=3))
    await plane.load()
    plane.roster.set_terms(ProviderName("b"), Terms(priority=1))
    [job_id] = await plane.submit()
    found = plane.explain_job.explain(await plane.job(job_id)).candidates
    await plane.close()

    assert [(each.name, each.now) for each in found] == [
        ("b", "it may make 3 more workers"),
        ("a", "it may make 2 more workers; it is asked after b (first-available)"),
    ]


async def test_workers_are_made_in_turns() -> None:
    a, b = FakeProvider("a", slots=1), FakeProvider("b", slots=1)
    plane = Plane(a, b, strategy=Strategy.ROUND_ROBIN)
    async with running(plane, leases=False):
        for count in (1, 2, 3, 4):
            await plane.submit()
            await plane.settle()
            assert len(a.requests) + len(b.requests) == count

        assert (len(a.requests), len(b.requests)) == (2, 2)


async def test_a_provider_that_took_the_place_of_another_knows_what_is_on_its_way() -> None:
    def images() -> FakeProvider:
        kinds = Containers(has_default_image=True, takes_jobs_without_image=True)
        return FakeProvider(slots=1, max_workers=1, containers=kinds)

    before, after = images(), images()
    before.prepare_gate.clear()
    async with running(Plane(before), leases=False) as plane:
        await plane.submit(spec(image="debian:12"))
        await plane.settle()
        # Its image is being fetched: there is no row yet that would tell of it.
        assert (len(before.prepared), plane.fleet.members()) == (1, [])
        plane.roster.put(after, RULES, Terms())
        await plane.settle()

        assert (len(before.prepared), after.prepared) == (1, [])
