"""Queued jobs go to free slots: the right ones, in the right order, each once."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from hodei.application.links import Run
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.spec import Priority, Resources, Selector, Toleration
from hodei.domain.jobs.states import JobState
from hodei.domain.placement.taints import Taint
from hodei.kernel.ids import JobId
from hodei.ports.stores import Batch, StoreUnavailableError
from support.builders import result, spec, started
from support.flaky import FlakyStore
from support.plane import Agent, Plane, running


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with running(Plane()) as plane:
        yield plane


def runs(agent: Agent) -> list[JobId]:
    return [run.job.id for run in agent.link.of(Run)]


async def test_a_worker_never_gets_more_jobs_than_it_has_slots(plane: Plane) -> None:
    agent = await plane.static_agent(slots=2)
    await plane.submit(ids=("a", "b", "c"))
    await plane.settle()
    assert runs(agent) == ["a", "b"]
    assert (await plane.job(JobId("c"))).state is JobState.QUEUED
    job = await plane.job(JobId("a"))
    await agent.say(started(job), result(job))
    assert runs(agent) == ["a", "b", "c"]


async def test_the_highest_priority_goes_first_and_then_the_oldest(plane: Plane) -> None:
    await plane.submit(
        spec(), spec(priority=Priority.HIGH), spec(), spec(priority=Priority.LOW), ids=tuple("abcd")
    )
    agent = await plane.static_agent(slots=4)
    await plane.settle()
    assert runs(agent) == ["b", "a", "c", "d"]


async def test_jobs_that_a_dead_server_has_reserved_are_asked_for_again(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.application.dispatch._RESERVED_FOR_S", 0)
    plane.store.reservations = 3
    await plane.submit(ids=("a",))
    plane.dispatcher.look_anew()
    agent = await plane.static_agent(slots=1)
    await plane.settle()
    assert runs(agent) == ["a"]
    assert plane.store.reservations == 0


async def test_jobs_spread_over_the_least_loaded_workers(plane: Plane) -> None:
    agents = [await plane.static_agent(slots=2) for _ in range(2)]
    await plane.submit(ids=("a", "b"))
    await plane.settle()
    assert [len(runs(agent)) for agent in agents] == [1, 1]


async def test_a_region_is_preferred_and_a_soft_taint_avoided(plane: Plane) -> None:
    near = await plane.static_agent(labels={"hodei.region": "near"})
    soft = Taint(key="old", value="", effect="PreferNoSchedule")
    old = await plane.static_agent(labels={"hodei.region": "far"}, taints=(soft,))
    other = await plane.static_agent(labels={"hodei.region": "far"})
    await plane.submit(spec(preferred_region="near"), spec(preferred_region="near"), ids=("a", "b"))
    await plane.submit(spec(preferred_region="far"), ids=("c",))
    await plane.settle()
    assert [runs(agent) for agent in (near, old, other)] == [["a", "b"], [], ["c"]]


async def test_labels_and_taints_decide_who_may_run_a_job(plane: Plane) -> None:
    taint = Taint(key="gpu", value="yes", effect="NoSchedule")
    plain = await plane.static_agent(labels={"zone": "a"})
    tainted = await plane.static_agent(labels={"zone": "b"}, taints=(taint,))
    tolerant = spec(
        selector=Selector(match_labels={"zone": "b"}),
        tolerations=(Toleration(key="gpu", operator="Exists"),),
    )
    await plane.submit(
        spec(selector=Selector(match_labels={"zone": "b"})), tolerant, ids=("refused", "let-in")
    )
    await plane.settle()
    assert (runs(plain), runs(tainted)) == ([], ["let-in"])


async def test_a_job_that_has_no_room_beside_others_lets_smaller_ones_by(plane: Plane) -> None:
    agent = await plane.static_agent(slots=3, resources=Resources(cpu_millicores=1000))
    small, large = Resources(cpu_millicores=400), Resources(cpu_millicores=900)
    await plane.submit(
        spec(resources=small),
        spec(resources=large),
        spec(resources=large),
        spec(resources=small),
        ids=("s1", "l1", "l2", "s2"),
    )
    await plane.settle()
    assert runs(agent) == ["s1", "s2"]
    for job_id in ("s1", "s2"):
        job = await plane.job(JobId(job_id))
        await agent.say(started(job), result(job))
    assert runs(agent) == ["s1", "s2", "l1"]


async def test_others_of_a_commit_go_on_when_one_was_cancelled_meanwhile(plane: Plane) -> None:
    async def cancel(claimed: list[Job]) -> None:
        if (await plane.job(JobId("a"))).state is JobState.QUEUED:
            await plane.canceller.cancel(JobId("a"), by="me", message="")

    await plane.submit(ids=("a", "b"))
    plane.store.after_claim = cancel
    plane.dispatcher.look_anew()
    agent = await plane.static_agent()
    await plane.settle()
    assert runs(agent) == ["b"]
    assert (await plane.job(JobId("a"))).state is JobState.CANCELLED


async def test_a_store_that_is_away_delays_and_loses_and_doubles_nothing(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.application.dispatch._RETRY_AFTER_S", 0)
    monkeypatch.setattr("hodei.application.event_feed._RETRY_AFTER_S", 0)
    agent = await plane.static_agent()
    await plane.submit_elsewhere("a")
    plane.store.failures, plane.store.read_failures = 3, 3
    plane.dispatcher.look_anew()
    await plane.settle()
    assert plane.store.failed == 6
    assert runs(agent) == ["a"]
    assert [attempt.number for attempt in (await plane.job(JobId("a"))).attempts] == [1]


async def test_a_store_that_is_away_is_not_asked_at_every_event(plane: Plane) -> None:
    await plane.static_agent()
    await plane.submit(ids=("a",))
    plane.dispatcher.look_anew()
    plane.store.read_failures = 1000
    await plane.settle()
    for _ in range(20):
        plane.dispatcher.notify()
        await plane.settle()
    assert plane.store.failed == 1


async def test_a_worker_taken_down_since_the_round_began_gets_nothing(plane: Plane) -> None:
    agent = await plane.static_agent()
    other = await plane.static_agent()

    async def end(claimed: list[Job]) -> None:
        await plane.ender.end(agent.id, why=None, message="idle")

    plane.store.after_claim = end
    await plane.submit_elsewhere("a", "b")
    plane.dispatcher.look_anew()
    await plane.settle()
    assert runs(agent) == []
    assert sorted(runs(other)) == ["a", "b"]
    assert [len(job.attempts) for job in await plane.jobs()] == [1, 1]


def hold_assignments(plane: Plane) -> asyncio.Event:
    """Holds commits of assignments up until the event is set."""
    gate = asyncio.Event()

    async def hold(batch: Batch) -> None:
        if any(write.after.state is JobState.ASSIGNED for write in batch.jobs):
            await gate.wait()

    plane.store.before_commit = hold
    return gate


async def test_a_job_assigned_in_the_moment_of_its_workers_end_is_queued_again(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    gate = hold_assignments(plane)
    await plane.submit_elsewhere("a")
    plane.dispatcher.look_anew()
    await plane.settle()
    await plane.ender.end(agent.id, why=None, message="idle")
    gate.set()
    await plane.settle()
    job = await plane.job(JobId("a"))
    assert (job.state, job.used_attempts) == (JobState.QUEUED, 0)
    other = await plane.static_agent()
    await plane.settle()
    assert runs(other) == ["a"]


async def test_a_job_queued_and_assigned_at_once_is_queued_again_when_its_worker_ends_meanwhile(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    gate = hold_assignments(plane)

    async def submit() -> None:
        await plane.submit(ids=("a",))

    plane.run(submit())
    await plane.settle()
    await plane.ender.end(agent.id, why=None, message="idle")
    gate.set()
    await plane.settle()
    job = await plane.job(JobId("a"))
    assert (job.state, job.used_attempts, len(job.attempts)) == (JobState.QUEUED, 0, 1)


async def test_a_job_is_queued_and_assigned_in_one_commit_where_a_slot_is_free(
    plane: Plane,
) -> None:
    agent = await plane.static_agent(slots=1)
    before = plane.store.commits
    await plane.submit(ids=("a",))
    assert plane.store.commits - before == 1
    assert runs(agent) == ["a"]
    await plane.submit(ids=("b",))
    assert (await plane.job(JobId("b"))).state is JobState.QUEUED


async def test_what_another_server_queues_is_found_too(plane: Plane) -> None:
    agent = await plane.static_agent(slots=2)
    await plane.submit(ids=("a",))
    await plane.submit_elsewhere("b")
    await plane.settle()
    assert runs(agent) == ["a", "b"]


async def test_a_slot_that_a_submission_is_about_to_take_is_nobody_elses(plane: Plane) -> None:
    agent = await plane.static_agent(slots=1)
    gate = hold_assignments(plane)

    async def submit(job_id: str) -> None:
        await plane.submit(ids=(job_id,))

    plane.run(submit("a"))
    await plane.settle()
    await plane.submit(ids=("b",))
    gate.set()
    await plane.settle()
    assert runs(agent) == ["a"]


async def test_a_job_that_waits_goes_before_one_that_is_submitted(plane: Plane) -> None:
    await plane.submit(ids=("a",))
    agent = await plane.static_agent(slots=1)
    await plane.settle()
    await plane.submit(ids=("b",))
    await plane.submit(spec(priority=Priority.HIGH), ids=("c",))
    job = await plane.job(JobId("a"))
    await agent.say(started(job), result(job))
    assert runs(agent) == ["a", "c"]


async def test_what_waits_gets_the_slot_that_is_freed_in_the_moment_of_a_submission(
    plane: Plane,
) -> None:
    agent = await plane.static_agent(slots=1)
    await plane.submit(ids=("a",))
    await plane.submit(ids=("waits",))
    await agent.session.receive(result(await plane.job(JobId("a"))))
    await plane.submit(ids=("new",))
    await plane.settle()
    assert runs(agent) == ["a", "waits"]


async def test_a_job_that_another_server_ended_unheard_of_is_let_go(plane: Plane) -> None:
    await plane.submit(ids=("gone", "here"))
    await plane.settle()
    elsewhere = Plane(beside=plane)
    await elsewhere.canceller.cancel(JobId("gone"), by="me", message="")
    agent = await plane.static_agent(slots=2)
    await plane.settle()
    assert runs(agent) == ["here"]


async def finish(plane: Plane, agent: Agent, *job_ids: str) -> None:
    """Ends jobs, all of them before the server looks at any."""
    for job_id in job_ids:
        await agent.session.receive(result(await plane.job(JobId(job_id))))
    await plane.settle()


@pytest.fixture
def _short_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hodei.application.queue_head.MOST_AT_HAND", 3)


@pytest.mark.usefixtures("_short_head")
async def test_a_worker_that_comes_gets_what_goes_first_of_what_only_it_can_run() -> None:
    async with running(Plane(read_ahead=2)) as plane:
        near = await plane.static_agent(slots=1, labels={"zone": "a"})
        far_only = spec(priority=Priority.HIGH, selector=Selector(match_labels={"zone": "b"}))
        await plane.submit(far_only, *[spec()] * 6, ids=("far", *"123456"))
        await plane.settle()
        await finish(plane, near, "1")
        await finish(plane, near, "2")
        far = await plane.static_agent(slots=1, labels={"zone": "b"})
        await plane.settle()
        assert (runs(near), runs(far)) == (["1", "2", "3"], ["far"])


@pytest.mark.usefixtures("_short_head")
async def test_a_job_without_room_keeps_its_place_while_others_are_let_by() -> None:
    large = spec(priority=Priority.HIGH, resources=Resources(cpu_millicores=900))
    small = spec(resources=Resources(cpu_millicores=400))
    async with running(Plane(read_ahead=2)) as plane:
        agent = await plane.static_agent(slots=2, resources=Resources(cpu_millicores=1000))
        await plane.submit(small, ids=("s0",))
        await plane.submit(*[large] * 4, *[small] * 5, ids=("l1", "l2", "l3", "l4", *"12345"))
        await plane.settle()
        assert runs(agent) == ["s0", "1"]
        await finish(plane, agent, "s0", "1")
        assert runs(agent)[2:] == ["l1"]


async def test_a_refused_submission_keeps_no_slot(plane: Plane) -> None:
    agent = await plane.static_agent(slots=1)
    plane.store.failures = 1
    with pytest.raises(StoreUnavailableError):
        await plane.submit(ids=("a",))
    member = plane.fleet.get(agent.id)
    assert member is not None
    assert (member.free_slots, member.promised) == (1, {})


async def test_an_assignment_that_its_workers_end_overtakes_in_the_store_is_given_back_too(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    gate = hold_assignments(plane)
    await plane.submit_elsewhere("a")
    plane.dispatcher.look_anew()
    await plane.settle()
    commit = plane.store.before_commit

    async def let_it_by(batch: Batch) -> None:
        if batch.workers:
            gate.set()
            await plane.settle()
        await commit(batch)

    plane.store.before_commit = let_it_by
    await plane.ender.end(agent.id, why=None, message="idle")
    assert (await plane.job(JobId("a"))).state is JobState.QUEUED


async def test_a_job_assigned_while_its_workers_stream_was_down_is_sent_once_it_is_back(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    gate = hold_assignments(plane)
    await plane.submit_elsewhere("a")
    plane.dispatcher.look_anew()
    await plane.settle()
    await agent.disconnect()
    gate.set()
    await plane.settle()
    assert runs(agent) == []
    await agent.connect()
    assert runs(agent) == ["a"]


async def test_hundreds_of_jobs_on_many_workers_are_each_assigned_once(plane: Plane) -> None:
    agents = [await plane.static_agent(slots=16) for _ in range(4)]
    await plane.submit(*[spec()] * 300, ids=tuple(f"j{i}" for i in range(300)))
    await plane.settle()
    done: set[JobId] = set()
    while len(done) < 300:
        for agent in agents:
            for run in agent.link.of(Run):
                if run.job.id not in done:
                    done.add(run.job.id)
                    await agent.session.receive(result(run.job))
        await plane.settle()
    sent = [job_id for agent in agents for job_id in runs(agent)]
    assert sorted(sent) == sorted(done)
    assert all(job.state is JobState.SUCCEEDED for job in await plane.jobs())


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many jobs each read of the queue asked for."""
    asked: list[int] = []
    claimable = FlakyStore.claimable

    async def counting(store: FlakyStore, demand_ids: Sequence[str], *, limit: int) -> list[Job]:
        asked.append(limit)
        return await claimable(store, demand_ids, limit=limit)

    monkeypatch.setattr(FlakyStore, "claimable", counting)
    return asked


async def run_one_after_the_other(plane: Plane, agent: Agent, *ids: str) -> None:
    for job_id in ids:
        await plane.settle()
        await finish(plane, agent, job_id)


async def test_a_shared_queue_of_short_jobs_is_not_read_for_each(
    monkeypatch: pytest.MonkeyPatch, claims: list[int]
) -> None:
    monkeypatch.setattr("hodei.application.read_ahead._WITHIN_S", 1000)
    monkeypatch.setattr("hodei.application.dispatch.RESERVED_S", 1000)
    async with running(Plane(read_ahead=0)) as plane:
        agent = await plane.static_agent(slots=1)
        await plane.submit(*[spec()] * 9, ids=tuple("123456789"))
        plane.dispatcher.look_anew()
        await run_one_after_the_other(plane, agent, *"123456789")
        assert runs(agent) == list("123456789")
    # Each time as many more as were given away by then.
    assert len(claims) < 6


async def test_what_was_read_ahead_is_not_given_away_once_others_may_have_it(
    monkeypatch: pytest.MonkeyPatch, claims: list[int]
) -> None:
    monkeypatch.setattr("hodei.application.read_ahead._WITHIN_S", 1000)
    monkeypatch.setattr("hodei.application.dispatch.RESERVED_S", -1)
    async with running(Plane(read_ahead=0)) as plane:
        agent = await plane.static_agent(slots=1)
        await plane.submit(*[spec()] * 300, ids=tuple(map(str, range(300))))
        plane.dispatcher.look_anew()
        await run_one_after_the_other(plane, agent, *"012345")
    assert len(claims) > 5
