"""A provider says how it is, and why it is not well."""

import asyncio
from datetime import timedelta

import pytest

from hodei.application.list_providers import ListedProvider
from hodei.domain.placement.breaker import OPEN_FOR_S, OPENS_AFTER, BreakerState
from hodei.domain.placement.fit import Containers
from hodei.domain.placement.health import ProviderState
from hodei.domain.providers.record import ProviderType
from hodei.domain.workers.states import WorkerState
from hodei.ports.providers import KindUnavailableError, ProviderUnavailableError
from support.builders import spec
from support.fake_provider import FakeProvider
from support.plane import Plane, running


async def listed(plane: Plane) -> ListedProvider:
    [found] = await plane.list_providers.list()
    return found


def fail(request: object) -> None:
    raise ProviderUnavailableError("its disk is full")


async def test_a_provider_that_is_well_has_nothing_to_say() -> None:
    async with running(Plane(FakeProvider(max_workers=3)), leases=False) as plane:
        found = await listed(plane)
        assert (found.name, found.type, found.max_workers) == ("fake", ProviderType.TEST, 3)
        assert (found.state, found.problem) == (ProviderState.HEALTHY, "")
        assert (found.breaker, found.open_until) == (BreakerState.CLOSED, None)
        assert found.has_capacity
        assert found.is_kept_here


async def test_workers_are_counted_by_the_states_that_people_see() -> None:
    provider = FakeProvider(slots=1, max_workers=2)
    async with running(Plane(provider), leases=False) as plane:
        await plane.static_agent()
        await plane.submit(spec(preferred_provider="fake"), spec(preferred_provider="fake"))
        await plane.settle()
        await plane.agent_of(provider, 0)
        await plane.settle()
        found = await listed(plane)
        assert found.workers == {WorkerState.BUSY: 1, WorkerState.STARTING: 1}
        assert (found.active_workers, found.has_capacity) == (2, False)


async def test_what_a_provider_says_of_itself_makes_it_unavailable() -> None:
    provider = FakeProvider()
    async with running(Plane(provider), leases=False) as plane:
        provider.problem = "its engine is gone"
        found = await listed(plane)
        assert (found.state, found.problem) == (ProviderState.UNAVAILABLE, "its engine is gone")
        assert not found.has_capacity


async def test_a_provider_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent(FakeProvider):
        async def health(self) -> str:
            await asyncio.Event().wait()
            return ""

    monkeypatch.setattr("hodei.application.list_providers._HEALTH_WITHIN_S", 0.01)
    async with running(Plane(Silent()), leases=False) as plane:
        found = await listed(plane)
        assert found.state is ProviderState.UNAVAILABLE
        assert "has not answered" in found.problem


async def test_failures_in_a_row_open_its_breaker_and_after_a_minute_it_is_on_trial() -> None:
    provider = FakeProvider()
    provider.on_provision = fail
    async with running(Plane(provider), leases=False) as plane:
        await plane.submit()
        await plane.settle()
        found = await listed(plane)
        assert found.failures >= OPENS_AFTER
        assert (found.state, found.problem) == (ProviderState.UNAVAILABLE, "its disk is full")
        assert found.breaker is BreakerState.OPEN
        assert found.open_until == plane.clock.now() + timedelta(seconds=OPEN_FOR_S)
        plane.clock.jump(OPEN_FOR_S)
        found = await listed(plane)
        assert (found.breaker, found.open_until) == (BreakerState.HALF_OPEN, None)
        assert (found.state, found.problem) == (ProviderState.DEGRADED, "its disk is full")


async def test_a_kind_that_cannot_be_made_is_named_with_its_reason_and_next_try() -> None:
    provider = FakeProvider(
        containers=Containers(has_default_image=True, takes_jobs_without_image=True)
    )

    def refuse(request: object) -> None:
        raise KindUnavailableError("the registry is away")

    provider.on_provision = refuse
    async with running(Plane(provider), leases=False) as plane:
        await plane.submit(spec(image="debian:12"))
        await plane.settle()
        found = await listed(plane)
        assert found.state is ProviderState.DEGRADED
        assert found.breaker is BreakerState.CLOSED
        [kind] = found.troubled_kinds
        assert (kind.kind, kind.message) == ("image debian:12", "the registry is away")
        assert kind.next_try_at == plane.clock.now() + timedelta(seconds=OPEN_FOR_S)
