"""What every `Membership` owes its servers, whatever keeps it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from dev_db import Cluster
from hodei.adapters.memory import MemoryCluster, MemoryMembership
from hodei.adapters.postgres import PostgresMembership
from hodei.domain.cluster.duties import CLOCK, UPKEEP, Ownership
from hodei.kernel.ids import ServerId
from hodei.ports.cluster import Membership, ServerEntry, ServerNameTakenError, ServerSeen
from support.chance import JumpingClock

LEASE_S = 15.0


class Site(Protocol):
    """Where servers share something."""

    def server(self) -> Membership:
        """One more process."""
        ...

    async def kill(self, server: Membership) -> None:
        """Its process dies: nothing of it is left, and it says nothing more."""
        ...

    async def silence(self, server: ServerId, seconds: float) -> None:
        """So long ago it was heard of last."""
        ...


@dataclass
class MemorySite:
    clock: JumpingClock = field(default_factory=JumpingClock)

    def __post_init__(self) -> None:
        self.cluster = MemoryCluster(self.clock)

    def server(self) -> Membership:
        return MemoryMembership(self.cluster)

    async def kill(self, server: Membership) -> None:
        await server.close()

    async def silence(self, server: ServerId, seconds: float) -> None:
        self.cluster.servers[server].beat -= seconds


@dataclass
class PostgresSite:
    url: str
    cluster: Cluster
    made: list[Membership] = field(default_factory=list[Membership])

    def server(self) -> Membership:
        self.made.append(PostgresMembership(self.url, server="of a test"))
        return self.made[-1]

    async def kill(self, server: Membership) -> None:
        await server.close()

    async def silence(self, server: ServerId, seconds: float) -> None:
        statement = (
            f"UPDATE servers SET heartbeat_at = heartbeat_at - interval '{seconds} s'"
            f" WHERE id = '{server}'"
        )
        await asyncio.to_thread(self.cluster.ask, statement, database="tests")


@pytest.fixture(params=["memory", "postgres"])
async def site(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    if request.param == "memory":
        yield MemorySite()
        return
    monkeypatch.setattr("hodei.adapters.postgres.membership._SETTLED_S", 0)
    url: str = request.getfixturevalue("postgres_url")
    made = PostgresSite(url, request.getfixturevalue("postgres"))
    yield made
    for each in made.made:
        await each.close()


def entry(id_: str, name: str = "a") -> ServerEntry:
    return ServerEntry(
        id=ServerId(id_),
        name=name,
        version="1.2.3",
        address="here:1",
        worker_address="here:2",
        enroll_address="here:3",
        offers=(CLOCK, UPKEEP),
    )


async def joined(site: Site, id_: str, name: str) -> Membership:
    server = site.server()
    await server.join(entry(id_, name), lease_s=LEASE_S)
    return server


async def seen_by(server: Membership, id_: str) -> ServerSeen:
    [found] = [each for each in (await server.look()).servers if each.entry.id == id_]
    return found


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    """What a dead process leaves behind is noticed soon, and nothing tells of it."""
    async with asyncio.timeout(5):
        while not await look():
            pass


@asynccontextmanager
async def dead(
    site: Site, watcher: Membership, server: Membership, id_: str
) -> AsyncIterator[None]:
    await site.kill(server)

    async def is_gone() -> bool:
        return not (await seen_by(watcher, id_)).has_session

    await until(is_gone)
    yield


async def test_who_joins_is_seen_as_it_says_of_itself(site: Site) -> None:
    a = await joined(site, "a-1", "a")
    b = await joined(site, "b-1", "b")
    for server in (a, b):
        first, second = (await server.look()).servers
        assert (first.entry, second.entry) == (entry("a-1", "a"), entry("b-1", "b"))
        assert first.has_session
        assert (first.is_draining, first.streams, first.ended_at) == (False, 0, None)
        assert 0 <= first.silent_s < LEASE_S
        assert first.started_at <= first.heartbeat_at <= (await server.look()).at


async def test_a_heartbeat_tells_how_the_server_is(site: Site) -> None:
    a = await joined(site, "a-1", "a")
    await site.silence(ServerId("a-1"), 5)
    assert (await seen_by(a, "a-1")).silent_s >= 5
    assert await a.renew(streams=3, is_draining=True)
    seen = await seen_by(a, "a-1")
    assert (seen.streams, seen.is_draining, seen.silent_s < 5) == (3, True, True)


async def test_a_name_is_of_one_living_server(site: Site) -> None:
    a = await joined(site, "a-1", "a")
    with pytest.raises(ServerNameTakenError, match="'a'"):
        await joined(site, "a-2", "a")
    assert [each.entry.id for each in (await a.look()).servers] == ["a-1"]
    await a.leave()
    await joined(site, "a-3", "a")


async def test_a_server_that_is_started_again_takes_the_place_of_its_dead_self(site: Site) -> None:
    a, b = await joined(site, "a-1", "a"), await joined(site, "b-1", "b")
    assert await a.take(CLOCK, epoch=0)
    await site.kill(a)
    again = await joined(site, "a-2", "a")
    assert (await seen_by(b, "a-1")).ended_at is not None
    assert await again.take(CLOCK, epoch=1)


async def test_a_server_that_was_silent_for_its_lease_can_be_started_elsewhere(site: Site) -> None:
    a = await joined(site, "a-1", "a")
    await site.silence(ServerId("a-1"), LEASE_S + 1)
    await joined(site, "a-2", "a")
    assert not await a.renew(streams=0, is_draining=False)


async def test_one_process_joins_again_in_another_life(site: Site) -> None:
    a = await joined(site, "a-1", "a")
    await a.join(entry("a-2", "a"), lease_s=LEASE_S)
    assert (await seen_by(a, "a-1")).ended_at is not None
    assert (await seen_by(a, "a-2")).ended_at is None
    assert await a.renew(streams=0, is_draining=False)


async def test_a_duty_is_taken_once_and_each_time_at_a_higher_epoch(site: Site) -> None:
    a, b = await joined(site, "a-1", "a"), await joined(site, "b-1", "b")
    took = [await each.take(CLOCK, epoch=0) for each in (a, b)]
    assert took == [True, False]
    assert (await b.look()).duties == {CLOCK: Ownership(owner=ServerId("a-1"), epoch=1)}
    assert not await b.take(CLOCK, epoch=1)
    await b.give_up(CLOCK)
    assert not await b.take(CLOCK, epoch=1)
    await a.give_up(CLOCK)
    await a.give_up(CLOCK)
    assert (await b.look()).duties[CLOCK].owner is None
    assert await b.take(CLOCK, epoch=1)
    assert (await a.look()).duties == {CLOCK: Ownership(owner=ServerId("b-1"), epoch=2)}
    await b.give_up(CLOCK)
    # Whoever looked too long ago looks again.
    assert not await a.take(CLOCK, epoch=1)
    assert await a.take(CLOCK, epoch=2)


async def test_of_many_that_want_a_duty_at_once_one_gets_it(site: Site) -> None:
    servers = [await joined(site, f"{name}-1", name) for name in "abcd"]
    async with asyncio.TaskGroup() as group:
        takes = [group.create_task(each.take(UPKEEP, epoch=0)) for each in servers]
    assert sorted(each.result() for each in takes) == [False, False, False, True]


async def test_a_server_whose_process_is_dead_is_ended_and_its_duties_are_free(site: Site) -> None:
    a, b = await joined(site, "a-1", "a"), await joined(site, "b-1", "b")
    await a.take(CLOCK, epoch=0)
    async with dead(site, b, a, "a-1"):
        assert not await b.take(CLOCK, epoch=1)
        assert await b.expel(ServerId("a-1"), lease_s=LEASE_S)
        assert await b.take(CLOCK, epoch=1)


async def test_a_server_that_is_silent_for_its_lease_is_ended_and_one_that_is_not_is_kept(
    site: Site,
) -> None:
    a, b = await joined(site, "a-1", "a"), await joined(site, "b-1", "b")
    await site.silence(ServerId("a-1"), LEASE_S - 5)
    assert not await b.expel(ServerId("a-1"), lease_s=LEASE_S)
    assert await a.renew(streams=0, is_draining=False)
    await site.silence(ServerId("a-1"), LEASE_S + 1)
    assert await b.expel(ServerId("a-1"), lease_s=LEASE_S)
    assert await b.expel(ServerId("a-1"), lease_s=LEASE_S)
    # It lives, after all: it is told so, and gets nothing.
    assert not await a.renew(streams=0, is_draining=False)
    assert not await a.take(CLOCK, epoch=0)
    assert (await seen_by(a, "a-1")).ended_at is not None


async def test_who_leaves_gives_up_everything(site: Site) -> None:
    a, b = await joined(site, "a-1", "a"), await joined(site, "b-1", "b")
    await a.take(CLOCK, epoch=0)
    await a.leave()
    await a.leave()
    assert (await seen_by(b, "a-1")).ended_at is not None
    assert (await b.look()).duties[CLOCK].owner is None
    assert await b.take(CLOCK, epoch=1)
    never = site.server()
    await never.leave()
    await never.close()
