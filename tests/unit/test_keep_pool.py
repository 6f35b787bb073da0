"""As many workers as the queue wants, a few warm ones, no idle and no old ones."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from hodei.application import keep_pool
from hodei.application.links import DrainOrder, Run
from hodei.domain.jobs.spec import Resources, Selector
from hodei.domain.placement.demand import Demand
from hodei.domain.placement.scaling import Waiting
from hodei.domain.workers.states import WorkerState
from hodei.kernel.ids import JobId, ProviderName
from hodei.ports.providers import ProviderUnavailableError
from support.builders import result, spec
from support.fake_provider import FakeProvider
from support.plane import RULES, Agent, Plane, running


@asynccontextmanager
async def pool(
    provider: FakeProvider, *, warm: int = 0, max_age_s: float = 3600.0
) -> AsyncIterator[Plane]:
    rules = replace(RULES, warm_workers=warm, max_age_s=max_age_s)
    async with running(Plane(provider, rules=rules), leases=False) as plane:
        yield plane


async def test_waiting_jobs_get_as_many_workers_as_their_slots_need() -> None:
    provider = FakeProvider(slots=2, max_workers=10)
    async with pool(provider) as plane:
        await plane.submit(*[spec()] * 5)
        await plane.settle()
        assert len(provider.requests) == 3


async def test_the_first_job_that_waits_ends_the_pause_between_two_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = FakeProvider(max_workers=10)
    async with pool(provider) as plane:
        monkeypatch.setattr(keep_pool, "_PAUSE_S", 3600.0)
        plane.fleet.changed()
        await plane.settle()
        await plane.submit()
        await plane.settle()
        assert len(provider.requests) == 1


async def test_a_new_kind_of_job_ends_the_pause_too(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = FakeProvider(slots=1, max_workers=10)
    async with pool(provider) as plane:
        monkeypatch.setattr(keep_pool, "_PAUSE_S", 3600.0)
        await plane.submit()
        await plane.settle()
        await plane.submit(spec(resources=Resources(cpu_millicores=100)))
        await plane.settle()
        assert len(provider.requests) == 2


async def test_so_does_a_worker_that_went_and_one_that_did_not_come_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = FakeProvider(slots=1, max_workers=1)
    async with pool(provider) as plane:
        monkeypatch.setattr(keep_pool, "_PAUSE_S", 3600.0)
        await plane.submit(*[spec()] * 3)
        await plane.settle()
        await plane.agent_of(provider)
        await plane.settle()
        await plane.ender.end(provider.requests[0].worker_id, why=None, message="it went")
        await plane.settle()
        assert len(provider.requests) == 2
        await plane.ender.end(provider.requests[1].worker_id, why=None, message="it went")
        await plane.settle()
        assert len(provider.requests) == 3


async def test_where_a_worker_is_full_or_idle_by_now_it_asks_what_waits_and_begins_nothing_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = FakeProvider(max_workers=10)
    async with pool(provider) as plane:
        asked: list[str] = []
        plane.pool.on_doubt(lambda: asked.append("what waits"))
        monkeypatch.setattr(plane.dispatcher, "notify", lambda: None)
        plane.pool.notify_of_load()
        await plane.settle()
        assert not asked, "nothing waits"
        monkeypatch.setattr(keep_pool, "_PAUSE_S", 0.0)
        waiting = Waiting(demand=Demand(), count=1, first_job=JobId("j"))
        plane.pool.waiting([waiting])
        plane.pool.notify_of_load()
        await plane.settle()
        assert (asked, provider.requests) == (["what waits"], [])
        plane.pool.waiting([waiting])
        await plane.settle()
        assert len(provider.requests) == 1


async def test_never_more_workers_than_the_provider_may_have() -> None:
    provider = FakeProvider(slots=1, max_workers=2)
    async with pool(provider) as plane:
        await plane.submit(*[spec()] * 9)
        await plane.settle()
        assert len(provider.requests) == 2


async def test_a_worker_that_comes_up_is_not_doubled_before_the_dispatcher_has_seen_it() -> None:
    provider = FakeProvider(slots=2, max_workers=10)
    async with pool(provider) as plane:
        await plane.submit()
        await plane.settle()
        await plane.agent_of(provider)
        await plane.settle()
        assert len(provider.requests) == 1


async def test_the_worker_says_for_which_job_it_was_wanted() -> None:
    provider = FakeProvider()
    async with pool(provider) as plane:
        [job_id] = await plane.submit()
        await plane.settle()
        assert (await plane.worker(provider.requests[0].worker_id)).for_job == job_id


async def test_jobs_that_no_worker_could_run_bring_none_up_and_say_why() -> None:
    provider = FakeProvider(resources=Resources(cpu_millicores=1000))
    async with pool(provider) as plane:
        [large, picky] = await plane.submit(
            spec(resources=Resources(cpu_millicores=4000)),
            spec(selector=Selector(match_labels={"zone": "moon"})),
        )
        for _ in range(3):
            plane.fleet.changed()
            await plane.settle()
        assert provider.requests == []
        assert "CPU" in plane.explain.explain(await plane.job(large))
        assert "zone" in plane.explain.explain(await plane.job(picky))


async def test_a_warm_worker_is_there_before_any_job_and_is_replaced_when_it_is_full() -> None:
    provider = FakeProvider(slots=1)
    async with pool(provider, warm=1) as plane:
        assert len(provider.requests) == 1
        await plane.agent_of(provider)
        await plane.submit()
        await plane.settle()
        assert len(provider.requests) == 2


async def test_an_idle_worker_beyond_the_warm_ones_is_drained_after_its_time() -> None:
    provider = FakeProvider(slots=1)
    async with pool(provider) as plane:
        await plane.submit(*[spec()] * 2)
        await plane.settle()
        agents = [await plane.agent_of(provider, index) for index in range(2)]
        await plane.settle()
        await finish(agents[0], plane)
        plane.clock.jump(RULES.idle_timeout_s - 1)
        await finish(agents[1], plane)
        assert [drained(agent) for agent in agents] == [False, False]
        plane.clock.jump(1)
        plane.fleet.changed()
        await plane.settle()
        assert [drained(agent) for agent in agents] == [True, False]


async def finish(agent: Agent, plane: Plane) -> None:
    for run in agent.link.of(Run):
        await agent.say(result(run.job))


def drained(agent: Agent) -> bool:
    return bool(agent.link.of(DrainOrder))


async def test_warm_workers_stay_however_long_they_are_idle() -> None:
    provider = FakeProvider(slots=1)
    async with pool(provider, warm=1, max_age_s=10_000_000) as plane:
        agent = await plane.agent_of(provider)
        plane.clock.jump(RULES.idle_timeout_s * 10)
        plane.fleet.changed()
        await plane.settle()
        assert not drained(agent)


async def test_old_workers_are_drained_one_at_a_time_also_when_they_are_always_busy() -> None:
    provider = FakeProvider(slots=1, max_workers=2)
    async with pool(provider) as plane:
        await plane.submit(*[spec()] * 2)
        await plane.settle()
        agents = [await plane.agent_of(provider, index) for index in range(2)]
        await plane.settle()
        plane.clock.jump(RULES.max_age_s)
        for _ in range(3):
            plane.fleet.changed()
            await plane.settle()
        assert [drained(agent) for agent in agents].count(True) == 1
        first = next(agent for agent in agents if drained(agent))
        await finish(first, plane)
        provider.crash(first.id, "exit code 0")
        await plane.settle()
        assert [drained(agent) for agent in agents] == [True, True]


async def test_a_provider_that_keeps_failing_is_left_alone_and_then_tried_with_one_worker() -> None:
    provider = FakeProvider(slots=1, max_workers=4)
    provider.on_provision = failing(100)
    async with pool(provider) as plane:
        await plane.submit(*[spec()] * 4)
        await plane.settle()
        failed = len(provider.requests)
        # The first four at once, and the second four that were begun before the fifth failed.
        assert 5 <= failed <= 8
        plane.fleet.changed()
        await plane.settle()
        assert len(provider.requests) == failed
        assert plane.pool.troubles(Demand()) == {
            ProviderName("fake"): "it is on fire; it is tried again at 2026-03-01T12:01:00Z"
        }
        plane.clock.jump(60)
        plane.fleet.changed()
        await plane.settle()
        assert len(provider.requests) == failed + 1
        provider.on_provision = failing(0)
        plane.clock.jump(60)
        plane.fleet.changed()
        await plane.settle()
        assert len(provider.requests) == failed + 2
        for expected in (3, 4, 5):
            await plane.agent_of(provider)
            await plane.settle()
            assert len(provider.requests) == failed + min(expected, 5)
        assert plane.pool.troubles(Demand()) == {}


async def test_a_provider_that_is_there_again_is_asked_at_once() -> None:
    provider = FakeProvider(slots=1, max_workers=4)
    provider.on_provision = failing(100)
    async with pool(provider) as plane:
        await plane.submit(*[spec()] * 4)
        await plane.settle()
        failed = len(provider.requests)
        provider.see(is_seen=False)
        await plane.settle()
        assert len(provider.requests) == failed
        provider.on_provision = failing(0)
        provider.see(is_seen=True)
        await plane.settle()
        assert len(provider.requests) == failed + 4
        assert plane.pool.troubles(Demand()) == {}


async def test_what_failed_before_a_provider_was_gone_is_not_held_against_it_afterwards() -> None:
    provider = FakeProvider(slots=1, max_workers=4)
    provider.on_provision = failing(4)
    provider.destroy_gate.clear()
    async with pool(provider) as plane:
        await plane.submit(*[spec()] * 4)
        await plane.settle()
        plane.clock.jump(1)
        provider.see(is_seen=True)
        await plane.settle()
        provider.destroy_gate.set()
        await plane.settle()
        assert len(provider.requests) == 8
        (condition,) = plane.pool.conditions()
        assert condition.breaker.failures == 0


def failing(times: int) -> Callable[[object], None]:
    left = [times]

    def fail(request: object) -> None:
        if left[0]:
            left[0] -= 1
            raise ProviderUnavailableError("it is on fire")

    return fail


async def test_a_store_that_is_away_is_not_held_against_the_provider() -> None:
    provider = FakeProvider(slots=1)
    async with pool(provider) as plane:
        await plane.submit()
        plane.store.failures = 3
        await plane.settle()
        for _ in range(3):
            await plane.pass_time(5)
        assert plane.store.failed == 3
        assert len(provider.requests) == 1
        assert plane.pool.troubles(Demand()) == {}


async def test_a_store_that_is_away_is_not_asked_again_at_once() -> None:
    provider = FakeProvider(slots=1)
    async with pool(provider) as plane:
        await plane.submit()
        plane.store.failures = 1000
        await plane.settle()
        assert plane.store.failed == 1


async def test_what_was_said_to_wait_before_a_worker_came_up_brings_no_other_up() -> None:
    provider = FakeProvider(slots=1)
    async with pool(provider, warm=1) as plane:
        await plane.agent_of(provider)
        await plane.settle()
        # A round of the dispatcher that had begun before the worker was there.
        plane.pool.waiting([Waiting(demand=Demand(), count=1, first_job=JobId("a"))])
        await plane.settle()
        assert len(provider.requests) == 1


async def test_a_run_that_an_operator_cancels_is_not_held_against_the_provider() -> None:
    provider = FakeProvider(slots=1, max_workers=1)
    async with pool(provider) as plane:
        await plane.submit()
        await plane.settle()
        client = plane.workflows.client
        run = await client.find(provider.requests[0].worker_id)
        await client.cancel(run.run_id, reason="too dear", by="me")
        await plane.settle()
        assert plane.pool.troubles(Demand()) == {}
        assert len(provider.requests) == 2


async def test_a_failed_worker_is_replaced_for_the_job_that_waits() -> None:
    provider = FakeProvider(slots=1)
    provider.on_provision = failing(2)
    async with pool(provider) as plane:
        await plane.submit()
        await plane.settle()
        assert len(provider.requests) == 3
        agent = await plane.agent_of(provider)
        await plane.settle()
        assert len(agent.link.of(Run)) == 1


async def test_a_closed_pool_begins_nothing_and_gives_up_what_was_begun() -> None:
    provider = FakeProvider(slots=1)
    async with pool(provider, warm=1) as plane:
        await plane.pool.close()
        await plane.submit()
        await plane.settle()
        assert len(provider.requests) == 1
        assert (await plane.worker(provider.requests[0].worker_id)).state is WorkerState.STARTING
