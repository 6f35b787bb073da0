"""What a server knows of its workers, from events and from what it sees."""

import pytest

from hodei.domain.workers.states import WorkerState
from support.builders import result, spec, started
from support.plane import Air, Plane, running


@pytest.fixture
async def plane():
    async with running(Plane()) as plane:
        yield plane


async def test_a_worker_has_a_slot_less_for_each_job_until_its_result(plane: Plane) -> None:
    agent = await plane.static_agent(slots=3)
    member = plane.fleet.get(agent.id)
    assert member is not None
    assert member.free_slots == 3
    [job_id] = await plane.submit()
    await plane.settle()
    assert (member.free_slots, list(member.jobs)) == (2, [job_id])
    job = await plane.job(job_id)
    await agent.say(started(job))
    assert member.free_slots == 2
    plane.clock.jump(7)
    await agent.say(result(job))
    assert (member.free_slots, member.jobs) == (3, {})
    assert member.idle_since == plane.clock.monotonic()


async def test_a_worker_without_a_stream_or_draining_or_ending_has_no_slot(plane: Plane) -> None:
    agent = await plane.static_agent()
    member = plane.fleet.get(agent.id)
    assert member is not None
    member.is_ending = True
    assert (member.free_slots, member.is_coming) == (0, False)
    member.is_ending = False
    await agent.disconnect()
    assert (member.free_slots, member.is_coming) == (0, True)
    await agent.connect()
    assert (member.free_slots, member.is_coming) == (2, False)
    plane.clock.jump(5)
    await plane.drainer.drain(agent.id, by="me")
    assert (member.free_slots, member.is_coming) == (0, False)
    assert member.draining_since == plane.clock.monotonic()


async def test_a_worker_that_has_ended_is_no_member(plane: Plane) -> None:
    agent = await plane.static_agent()
    await plane.ender.end(agent.id, why=None, message="done")
    assert plane.fleet.get(agent.id) is None
    assert (await plane.worker(agent.id)).state is WorkerState.TERMINATED


async def test_a_start_gives_every_worker_a_whole_lease_and_knows_what_it_holds(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    [job_id] = await plane.submit(spec(disconnect_timeout_s=90.0))
    await plane.settle()
    await plane.drainer.drain(agent.id, by="me")
    plane.clock.jump(1000)
    plane.restart()
    await plane.load()
    member = plane.fleet.get(agent.id)
    assert member is not None
    assert list(member.jobs) == [job_id]
    assert plane.fleet.silence_s(member) == 0
    assert plane.fleet.outlives_server_s(member) == 90.0
    assert member.draining_since == plane.clock.monotonic()
    assert member.link is None


class Told:
    """What the listeners of a fleet were called for since it was last asked."""

    def __init__(self, plane: Plane) -> None:
        self._names: list[str] = []
        plane.fleet.on_change(lambda: self._names.append("change"))
        plane.fleet.on_load(lambda: self._names.append("load"))
        plane.fleet.on_slots(lambda: self._names.append("slots"))

    async def since(self, plane: Plane) -> set[str]:
        """Their names, once everything that goes on is over."""
        await plane.settle()
        names, self._names = set(self._names), []
        return names


async def test_of_jobs_at_another_server_only_the_load_of_its_workers_is_told() -> None:
    air = Air()
    async with (
        running(Plane(air=air), leases=False) as a,
        running(Plane(air=air, name="b", beside=a), leases=False) as b,
    ):
        agent = await a.static_agent(slots=1)
        await b.journal.feed.refresh()
        await b.settle()
        told = Told(b)
        [job_id] = await a.submit()
        await a.settle()
        assert await told.since(b) == {"load"}, "it is full"
        await agent.say(result(await a.job(job_id)))
        assert await told.since(b) == {"load"}, "it is idle"


async def test_who_gives_jobs_is_told_of_a_slot_and_who_takes_down_of_a_drained_worker(
    plane: Plane,
) -> None:
    agent = await plane.static_agent(slots=2)
    first, second = await plane.submit(*[spec()] * 2)
    await plane.settle()
    told = Told(plane)
    await agent.say(result(await plane.job(first)))
    assert "change" not in await told.since(plane)
    await plane.drainer.drain(agent.id, by="me")
    await told.since(plane)
    await agent.say(result(await plane.job(second)))
    assert "change" in await told.since(plane)
