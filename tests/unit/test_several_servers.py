"""Several servers on one store: streams here, decisions there, and what becomes of the dead."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from hodei.application.links import (
    SUPERSEDED,
    Cancel,
    DrainOrder,
    HeldAttempt,
    Run,
    Servers,
    Welcome,
)
from hodei.application.pool import PoolRules
from hodei.application.standing import NoPlaceError
from hodei.domain.cluster.duties import CLOCK, UPKEEP, host_duty, provider_duty
from hodei.domain.jobs.events import JobAssigned, JobSucceeded
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.states import JobState
from hodei.domain.workers.states import WorkerState
from hodei.kernel.ids import JobId, ProviderName, WorkerId
from hodei.ports.stores import Batch, StoredEvent, StoreUnavailableError
from support.builders import result, spec, started
from support.fake_provider import FakeProvider
from support.plane import ENROLL_TIMEOUT_S, LEASE_S, LOOK_EVERY_S, Agent, Plane
from support.signals import Air

SERVER_LEASE_S = 15.0
STATIC = provider_duty(ProviderName("static"))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("event_feed", "session", "dispatch", "end_worker"):
        monkeypatch.setattr(f"hodei.application.{module}._RETRY_AFTER_S", 0)
    for module in ("keep_pool", "watch_workers"):
        monkeypatch.setattr(f"hodei.application.{module}._PAUSE_S", 0)


@pytest.fixture
def air() -> Air:
    return Air()


@pytest.fixture
async def pair(air: Air) -> AsyncIterator[tuple[Plane, Plane]]:
    a = Plane(air=air, name="a")
    b = Plane(air=air, name="b", beside=a)
    async for each in _running(a, b):
        yield each


async def _running(a: Plane, b: Plane) -> AsyncIterator[tuple[Plane, Plane]]:
    for plane in (a, b):
        await plane.load()
        plane.run_all()
    await a.keep()
    await b.keep()
    yield a, b
    for plane in (a, b):
        await plane.close()


def judge_of(*planes: Plane) -> tuple[Plane, Plane]:
    """The server that judges workers that were started by hand, and another."""
    [judge] = [plane for plane in planes if plane.standing.has(STATIC)]
    [other] = [plane for plane in planes if plane is not judge]
    return judge, other


async def nothing(batch: Batch) -> None:
    pass


async def moved(agent: Agent, to: Plane, *held: HeldAttempt) -> Agent:
    """The same agent, on another server."""
    agent = Agent(to, agent.id, agent.has)
    await agent.connect(*held)
    await to.settle()
    return agent


class TestWorkers:
    async def test_get_jobs_of_any_server_from_the_one_that_has_their_stream(
        self, pair: tuple[Plane, Plane]
    ) -> None:
        a, b = pair
        agent = await b.static_agent()
        [job_id] = await a.submit()
        await a.settle()
        [order] = agent.link.of(Run)
        assert order.job.id == job_id
        await agent.say(started(order.job), result(order.job))
        assert (await a.journal.shown_job(job_id)).state is JobState.SUCCEEDED
        assert a.journal.held == b.journal.held == {}

    async def test_are_told_by_their_server_what_another_was_asked_for(
        self, pair: tuple[Plane, Plane]
    ) -> None:
        a, b = pair
        agent = await b.static_agent()
        [job_id] = await a.submit()
        await a.settle()
        await a.canceller.cancel(job_id, by="me", message="")
        await a.drainer.drain(agent.id, by="me")
        await a.settle()
        [cancel] = agent.link.of(Cancel)
        assert (cancel.job_id, cancel.attempt) == (job_id, 1)
        assert agent.link.of(DrainOrder) == [DrainOrder(terminate=True)]

    async def test_that_miss_an_order_are_told_when_they_are_back(
        self, pair: tuple[Plane, Plane]
    ) -> None:
        a, b = pair
        agent = await b.static_agent()
        [job_id] = await a.submit()
        await a.settle()
        held = agent.holds(await a.job(job_id))
        await agent.disconnect()
        await a.canceller.cancel(job_id, by="me", message="")
        await a.drainer.drain(agent.id, by="me")
        agent = await moved(agent, a, held)
        assert [each.job_id for each in agent.link.of(Cancel)] == [job_id]
        assert agent.link.of(DrainOrder) == [DrainOrder(terminate=True)]

    async def test_move_to_another_server_with_what_they_hold(
        self, pair: tuple[Plane, Plane], air: Air
    ) -> None:
        a, b = pair
        agent = await a.static_agent(slots=2)
        await b.settle()
        # The other server has not heard of the job yet when the agent comes with it.
        air.is_silent = True
        [job_id] = await a.submit()
        await a.settle()
        job = agent.link.of(Run)[0].job
        await agent.say(started(job))
        before = agent.link
        agent = await moved(agent, b, agent.holds(job))
        [welcome] = agent.link.of(Welcome)
        assert [(each.job_id, each.keep) for each in welcome.verdicts] == [(job_id, True)]
        assert agent.link.of(Run) == []
        air.is_silent = False
        a.journal.feed.look()
        await a.settle()
        assert before.closed == SUPERSEDED
        await agent.say(result(job))
        assert (await a.job(job_id)).state is JobState.SUCCEEDED
        assert len((await a.job(job_id)).attempts) == 1

    async def test_that_have_moved_get_from_their_new_server_what_the_old_one_still_gave_them(
        self, pair: tuple[Plane, Plane], air: Air
    ) -> None:
        a, b = pair
        agent = await a.static_agent()
        await b.settle()
        old = agent.link

        async def move_first(batch: Batch) -> None:
            nonlocal agent
            if batch.jobs[0].after.current is not None:
                a.shared_store.before_commit = nothing
                air.is_silent = True
                agent = Agent(b, agent.id, agent.has)
                await agent.connect()

        # The moment before the assignment is stored, which a has decided on.
        a.shared_store.before_commit = move_first
        [job_id] = await a.submit()
        await a.settle()
        assert (await a.job(job_id)).state is JobState.ASSIGNED
        assert agent.link.of(Run) == []
        b.journal.feed.look()
        await b.settle()
        assert [each.job.id for each in agent.link.of(Run)] == [job_id]
        assert (old.closed, old.of(Run)) == (SUPERSEDED, [])

    async def test_that_a_server_has_not_heard_of_are_not_refused(
        self, pair: tuple[Plane, Plane], air: Air
    ) -> None:
        a, b = pair
        air.is_silent = True
        worker_id = await a.invite()
        assert b.fleet.get(worker_id) is None
        agent = await b.connect(worker_id)
        assert len(agent.link.of(Welcome)) == 1


class TestTheQueue:
    async def test_of_one_server_is_that_of_all(self, pair: tuple[Plane, Plane], air: Air) -> None:
        a, b = pair
        [job_id] = await a.submit()
        await a.settle()
        waiting = [each.first_job for each in b.pool._waiting]
        air.is_silent = True
        agent = await a.static_agent()
        await a.settle()
        await agent.say(result(agent.link.of(Run)[0].job))
        # The whole of it is told at once: there is no job to be loaded any more.
        b.journal.feed.look()
        await b.settle()
        assert (waiting, b.pool._waiting) == ([job_id], [])


class TestHintsThatAreAllLost:
    async def test_delay_what_they_tell_of_and_change_nothing(
        self, air: Air, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for wait in ("_ACTIVE_S", "_IDLE_S"):
            monkeypatch.setattr(f"hodei.application.event_feed.{wait}", 0.001)
        air.is_silent = True
        air.brings_along = False
        a = Plane(air=air, name="a")
        b = Plane(air=air, name="b", beside=a)
        async for _ in _running(a, b):
            for plane in (a, b):
                plane.run(plane.journal.feed.run(lambda: 0.5))
            agent = await b.static_agent()
            is_given, is_done = told(b, JobAssigned), told(a, JobSucceeded)
            [job_id] = await a.submit()
            async with asyncio.timeout(10):
                await is_given.wait()
                [order] = agent.link.of(Run)
                await agent.session.receive(started(order.job))
                await agent.session.receive(result(order.job))
                await is_done.wait()
            assert (await a.journal.shown_job(job_id)).state is JobState.SUCCEEDED
            assert a.journal.held == b.journal.held == {}


def told(plane: Plane, kind: type) -> asyncio.Event:
    """Is set once the server has told its parts of such an event."""
    seen = asyncio.Event()

    def look(events: Sequence[StoredEvent]) -> None:
        if any(isinstance(each.event, kind) for each in events):
            seen.set()

    plane.bus.listen(look)
    return seen


class TestSilence:
    async def test_of_a_worker_is_no_matter_of_a_server_that_does_not_hear_it(
        self, pair: tuple[Plane, Plane], air: Air
    ) -> None:
        judge, other = judge_of(*pair)
        agent = await other.static_agent()
        await judge.settle()
        for _ in range(20):
            air.clock.jump(SERVER_LEASE_S - 5)
            member = other.fleet.get(agent.id)
            assert member is not None
            member.last_seen = air.clock.monotonic()
            judge.watch.notify()
            await judge.keep()
            await other.keep()
        assert agent.link.closed is None
        assert (await judge.worker(agent.id)).state is WorkerState.READY

    async def test_of_a_worker_is_told_by_its_server_and_judged_from_its_last_word(
        self, pair: tuple[Plane, Plane], air: Air
    ) -> None:
        judge, other = judge_of(*pair)
        agent = await other.static_agent()
        [job_id] = await other.submit(spec(disconnect_timeout_s=20.0))
        await other.settle()
        for _ in range(7):
            # The servers themselves are heard.
            air.clock.jump(10)
            await judge.keep()
            await other.keep()
        other.watch.notify()
        judge.watch.notify()
        await other.settle()
        assert agent.link.closed is None
        air.clock.jump(LEASE_S + 20 - 70)
        other.watch.notify()
        await other.settle()
        assert agent.link.closed == "it was silent for its lease of 60 s"
        await agent.disconnect()
        judge.watch.notify()
        await judge.settle()
        assert (await judge.worker(agent.id)).state is WorkerState.LOST
        assert (await judge.job(job_id)).state is JobState.QUEUED

    @pytest.mark.parametrize("first", ["judge", "stream"])
    async def test_of_a_worker_is_none_while_the_whole_installation_was_paused(
        self, pair: tuple[Plane, Plane], air: Air, first: str
    ) -> None:
        judge, other = judge_of(*pair)
        agent = await other.static_agent()
        await judge.settle()
        air.clock.jump(LEASE_S + 1)
        for plane in pair:
            plane.sleep(LEASE_S + 1)
        # What each server comes to first is a matter of chance.
        if first == "judge":
            judge.watch.notify()
            await judge.settle()
        await agent.disconnect()
        assert not (await judge.worker(agent.id)).connected
        for _ in range(2):
            for plane in pair:
                plane.watch.notify()
                await plane.keep(times=2)
        assert (await judge.worker(agent.id)).state is WorkerState.READY
        agent = await moved(agent, judge)
        assert len(agent.link.of(Welcome)) == 1
        assert (await judge.worker(agent.id)).state is WorkerState.READY

    async def test_of_a_server_begins_the_leases_of_its_workers(
        self, pair: tuple[Plane, Plane], air: Air
    ) -> None:
        judge, other = judge_of(*pair)
        agent = await other.static_agent()
        [job_id] = await other.submit()
        await other.settle()
        await other.die()
        await judge.keep(times=2)
        worker = await judge.worker(agent.id)
        assert (worker.connected, worker.state) == (False, WorkerState.READY)
        air.clock.jump(LEASE_S - 1)
        judge.watch.notify()
        await judge.settle()
        agent = await moved(agent, judge, agent.holds(await judge.job(job_id), started=False))
        assert [each.keep for each in agent.link.of(Welcome)[0].verdicts] == [True]
        assert (await judge.job(job_id)).state is JobState.ASSIGNED

    async def test_of_a_worker_whose_stream_ended_while_the_store_was_away_is_counted_all_the_same(
        self, pair: tuple[Plane, Plane]
    ) -> None:
        judge, other = judge_of(*pair)
        agent = await other.static_agent()
        await judge.settle()
        other.shared_store.failures = 1
        with pytest.raises(StoreUnavailableError):
            await agent.disconnect()
        assert (await judge.worker(agent.id)).connected
        await other.keep()
        assert not (await judge.worker(agent.id)).connected
        member = judge.fleet.get(agent.id)
        assert member is not None
        assert not member.is_connected


class TestAServerThatJoins:
    async def test_is_known_to_the_workers_of_the_others_at_once(
        self, air: Air, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Nobody would look by itself before the test is over.
        monkeypatch.setattr("hodei.application.hold_duties._LOOK_EVERY_S", 1000)
        a = Plane(air=air, name="a")
        await a.load()
        assert a.hold is not None
        a.run(a.hold.run())
        agent = await a.static_agent()
        assert [each.worker_addresses for each in agent.link.of(Servers)] == [("here:2",)]

        b = Plane(air=air, name="b", beside=a)
        await b.load()
        await a.settle()

        assert [each.name for each in a.standing.others.values()] == ["b"]
        assert agent.link.of(Servers)[-1].worker_addresses == ("here:2", "b:2")
        for plane in (a, b):
            await plane.close()


class TestDuties:
    async def test_are_each_of_one_server(self, pair: tuple[Plane, Plane]) -> None:
        a, b = pair
        assert a.standing.duties & b.standing.duties == set()
        assert a.standing.duties | b.standing.duties == {
            CLOCK,
            UPKEEP,
            STATIC,
            host_duty("a"),
            host_duty("b"),
        }
        assert host_duty("a") in a.standing.duties
        assert host_duty("b") in b.standing.duties

    async def test_of_a_dead_server_are_taken_at_the_second_look(
        self, pair: tuple[Plane, Plane], air: Air
    ) -> None:
        a, b = pair
        everything = a.standing.duties | b.standing.duties
        await a.die()
        await b.keep()
        # However often it looks in between: a session that was only cut needs a moment to be back.
        air.clock.jump(LOOK_EVERY_S - 0.1)
        await b.keep()
        assert b.standing.duties < everything
        air.clock.jump(0.1)
        await b.keep()
        assert b.standing.duties == everything
        assert list(b.standing.others) == []

    async def test_of_a_server_that_does_not_run_are_taken_after_its_lease(
        self, pair: tuple[Plane, Plane], air: Air
    ) -> None:
        a, b = pair
        everything = a.standing.duties | b.standing.duties
        for _ in range(2):
            air.clock.jump(SERVER_LEASE_S / 2 - 0.1 - LOOK_EVERY_S)
            await b.keep(times=2)
        assert b.standing.duties < everything
        air.clock.jump(1)
        await b.keep()
        assert b.standing.duties == everything

    async def test_are_handed_over_by_a_server_that_drains(self, pair: tuple[Plane, Plane]) -> None:
        a, b = pair
        everything = a.standing.duties | b.standing.duties
        assert a.hold is not None
        a.run(a.hold.drain())
        await a.settle()
        await a.keep()
        assert a.standing.duties == set()
        await b.keep()
        assert b.standing.duties == everything
        assert len(a.tasks) == len(b.tasks)  # the drain has returned

    async def test_on_a_host_go_back_to_its_server_when_it_is_started_again(
        self, pair: tuple[Plane, Plane], air: Air
    ) -> None:
        a, b = pair
        await a.die()
        await b.keep(times=2)
        assert host_duty("a") in b.standing.duties
        again = Plane(air=air, name="a", beside=b)
        await again.load()
        await b.keep()
        await again.keep()
        assert host_duty("a") not in b.standing.duties
        assert host_duty("a") in again.standing.duties
        await again.close()

    async def test_of_the_clock_move_jobs_on_once(self, pair: tuple[Plane, Plane]) -> None:
        a, b = pair
        await a.submit(spec(deadline_s=5.0), ids=("late",))
        idle = b if a.standing.has(CLOCK) else a
        await idle.die()
        keeper = b if idle is a else a
        keeper.clock.jump(6)
        keeper.due.notify()
        await keeper.settle()
        assert (await keeper.job(JobId("late"))).state is JobState.TIMED_OUT

    async def test_that_are_not_ones_own_are_left_alone(self, pair: tuple[Plane, Plane]) -> None:
        a, b = pair
        keeper, idle = (a, b) if a.standing.has(CLOCK) else (b, a)
        await keeper.tasks.close()
        await idle.submit(spec(deadline_s=5.0), ids=("late",))
        idle.clock.jump(6)
        idle.due.notify()
        await idle.settle()
        assert (await idle.job(JobId("late"))).state is JobState.QUEUED


class TestAPlaceThatIsLost:
    async def test_takes_everything_with_it_that_only_a_member_may_do(
        self, pair: tuple[Plane, Plane], air: Air, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("hodei.application.session._RETRY_AFTER_S", 1000)
        a, b = pair
        agent = await a.static_agent()
        [job_id] = await a.submit()
        await a.settle()
        job = agent.link.of(Run)[0].job
        me = a.standing.me
        # It does not run for a while; the other goes on.
        for _ in range(3):
            air.clock.jump(SERVER_LEASE_S / 2)
            await b.keep()
        assert a.standing.me == me
        # What comes first when it runs again is a result.
        await agent.session.receive(result(job))
        await a.settle()
        assert (await b.job(job_id)).state is JobState.ASSIGNED
        await a.keep()
        assert agent.link.closed == "this server has lost its place"
        assert a.standing.me is None
        with pytest.raises(NoPlaceError):
            await a.connect(agent.id)
        await a.keep()
        assert a.standing.me not in {None, me}
        agent = await moved(agent, b, agent.holds(job))
        await agent.say(result(job))
        assert (await b.job(job_id)).state is JobState.SUCCEEDED
        assert len((await b.job(job_id)).attempts) == 1

    async def test_is_let_go_before_others_may_take_it_when_the_store_does_not_answer(
        self, pair: tuple[Plane, Plane], air: Air, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        a, b = pair
        assert a.membership is not None
        assert a.hold is not None

        async def fail(**_: object) -> bool:
            raise StoreUnavailableError("it does not answer")

        # The lease counts from the last time that it was renewed.
        air.clock.jump(6)
        await a.keep()
        monkeypatch.setattr(a.membership, "renew", fail)
        air.clock.jump(SERVER_LEASE_S - 2.1)
        with pytest.raises(StoreUnavailableError):
            await a.hold.keep()
        assert a.standing.me is not None
        air.clock.jump(0.2)
        with pytest.raises(StoreUnavailableError):
            await a.hold.keep()
        assert a.standing.me is None
        assert a.standing.duties == set()
        await b.keep()
        assert b.standing.duties != set()


class TestPools:
    @pytest.fixture
    async def pools(self, air: Air) -> AsyncIterator[tuple[Plane, Plane, FakeProvider]]:
        """Two servers that can both make workers of one provider, which is nobody's host."""
        provider = FakeProvider(is_on_this_host=False, max_workers=3)
        rules = PoolRules(
            warm_workers=1,
            idle_timeout_s=300.0,
            max_age_s=3600.0,
            enroll_timeout_s=ENROLL_TIMEOUT_S,
        )
        a = Plane(provider, air=air, name="a", rules=rules)
        b = Plane(provider, air=air, name="b", beside=a, rules=rules)
        async for one, other in _running(a, b):
            keeper = one if one.standing.has(provider_duty(provider.name)) else other
            yield keeper, other if keeper is one else one, provider

    async def test_are_kept_by_one_server_whatever_server_has_the_streams(
        self, pools: tuple[Plane, Plane, FakeProvider]
    ) -> None:
        keeper, other, provider = pools
        assert len(provider.requests) == 1
        agent = await other.agent_of(provider)
        await other.submit(*[spec()] * 2)
        await other.settle()
        assert len(agent.link.of(Run)) == 2
        # Both slots are taken: a warm one is wanted, and asked for once.
        await keeper.keep()
        assert len(provider.requests) == 2
        assert provider.requests[1].bootstrap.worker_address.split(",") == [
            "here:2",
            f"{other.name}:2",
        ]

    async def test_go_on_with_the_next_server(
        self, pools: tuple[Plane, Plane, FakeProvider]
    ) -> None:
        keeper, other, provider = pools
        agent = await other.agent_of(provider)
        await keeper.die()
        await other.keep(times=2)
        await other.settle()
        provider.crash(agent.id)
        await other.settle()
        assert (await other.worker(agent.id)).state is WorkerState.LOST
        assert len(provider.requests) == 2

    async def test_are_looked_through_by_whoever_gains_them(
        self, pools: tuple[Plane, Plane, FakeProvider]
    ) -> None:
        keeper, other, provider = pools
        agent = await other.agent_of(provider)
        await other.settle()
        await keeper.die()
        # Nobody sees it end.
        del provider.instances[agent.id]
        await other.keep(times=2)
        await other.settle()
        assert (await other.worker(agent.id)).reason.code is ReasonCode.WORKER_LOST

    async def test_lose_no_instance_whose_row_has_not_been_heard_of(
        self, pools: tuple[Plane, Plane, FakeProvider], air: Air
    ) -> None:
        keeper, other, provider = pools
        await other.agent_of(provider)
        await keeper.settle()
        air.is_silent = True
        # The last that the keeper asked for before it died.
        await keeper.submit(*[spec()] * 3)
        await keeper.settle()
        made = set(provider.instances)
        assert len(made) > 1
        assert not all(other.fleet.get(each) for each in made)
        await keeper.die()
        await other.keep(times=2)
        await other.settle()
        assert made <= set(provider.instances)


class TestHosts:
    @pytest.fixture
    async def hosts(self, air: Air) -> AsyncIterator[tuple[Plane, Plane]]:
        """Two servers with a provider of the same name each, which see their own host only."""
        a = Plane(FakeProvider(), air=air, name="a")
        b = Plane(FakeProvider(), air=air, name="b", beside=a)
        async for pair in _running(a, b):
            yield pair

    async def test_are_not_looked_for_elsewhere(self, hosts: tuple[Plane, Plane]) -> None:
        a, _ = hosts
        await a.submit()
        await a.settle()
        ours = [each for plane in hosts for each in plane.providers[0].instances]
        assert ours != []
        for plane in hosts:
            await plane.watch.reconcile(plane.providers[0])
        await a.settle()
        assert [each for plane in hosts for each in plane.providers[0].instances] == ours
        for worker_id in ours:
            worker = await a.worker(worker_id)
            assert worker.state is WorkerState.STARTING
            assert worker_id in hosts[worker.home == "b"].providers[0].instances

    async def test_that_are_gone_keep_their_jobs_until_the_agents_must_have_ended_them(
        self, hosts: tuple[Plane, Plane], air: Air
    ) -> None:
        a, b = hosts
        [job_id] = await a.submit(spec(disconnect_timeout_s=100.0))
        await a.settle()
        home, other = (a, b) if a.providers[0].instances else (b, a)
        agent = await home.agent_of(home.providers[0])
        await home.settle()
        await agent.say(started(await home.job(job_id)))
        await home.die()
        await other.keep(times=2)
        assert host_duty(home.name) in other.standing.duties
        await self._wait(other, air, LEASE_S + 99)
        assert (await other.job(job_id)).state is JobState.RUNNING
        await self._wait(other, air, 2)
        assert (await other.worker(WorkerId(agent.id))).state is WorkerState.LOST
        assert (await other.job(job_id)).state is not JobState.RUNNING
        assert agent.id not in other.providers[0].destroyed

    async def _wait(self, plane: Plane, air: Air, seconds: float) -> None:
        while seconds > 0:
            air.clock.jump(min(seconds, 5.0))
            seconds -= 5.0
            await plane.keep()
        plane.watch.notify()
        await plane.settle()
