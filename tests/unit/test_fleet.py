"""What a server knows of its workers, from events and from what it sees."""

import pytest

from hodei.domain.workers.states import WorkerState
from support.builders import result, spec, started
from support.plane import Plane, running


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
