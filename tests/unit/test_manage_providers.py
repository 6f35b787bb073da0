"""Operators add, change, switch and remove providers while servers run."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from hodei.domain.jobs.states import JobState
from hodei.domain.placement.health import ProviderState
from hodei.domain.providers.change import ProviderChange
from hodei.domain.providers.record import ProviderMode, ProviderType
from hodei.domain.workers.states import WorkerState
from hodei.kernel.errors import (
    AlreadyExistsError,
    InvalidFieldsError,
    NotFoundError,
    WrongStateError,
)
from hodei.kernel.ids import ProviderName
from hodei.ports.providers import ProviderUnavailableError
from support.builders import spec, started
from support.fake_provider import FakeProvider
from support.plane import Plane, running
from support.signals import Air

BOX = ProviderName("box")
FAKE = ProviderName("fake")


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with running(Plane(FakeProvider(max_workers=0)), leases=False) as plane:
        yield plane


async def add(plane: Plane, name: str = "box", *, enabled: bool = True, **options: str) -> None:
    change = ProviderChange(options=options)
    await plane.manage.add(name, ProviderType.TEST, change, is_enabled=enabled)


async def state(plane: Plane, name: str = "box") -> tuple[ProviderState, str]:
    found = {each.name: each for each in await plane.list_providers.list()}[ProviderName(name)]
    return found.state, found.problem


async def busy_box(plane: Plane) -> tuple[FakeProvider, str]:
    """The box with a worker that has a job."""
    await add(plane)
    [job_id] = await plane.submit(spec(preferred_provider="box"))
    await plane.settle()
    box = plane.maker.of("box")
    agent = await plane.agent_of(box)
    await plane.settle()
    await agent.say(started(await plane.job(job_id)))
    return box, agent.id


class TestAdd:
    async def test_an_added_provider_makes_workers_at_once(self, plane: Plane):
        assert "box" not in plane.roster.known
        await add(plane)

        assert await state(plane) == (ProviderState.HEALTHY, "")
        assert "box" in plane.roster.known
        await plane.submit(spec(preferred_provider="box"))
        await plane.settle()
        assert len(plane.maker.of("box").requests) == 1

    async def test_it_is_there_after_a_restart(self, plane: Plane):
        await add(plane)
        await plane.close()
        plane.restart()
        async with running(plane, leases=False):
            await plane.keeper.look()
            assert await state(plane) == (ProviderState.HEALTHY, "")

    async def test_a_name_is_given_once(self, plane: Plane):
        await add(plane)
        for name in ("box", "fake"):
            with pytest.raises(AlreadyExistsError, match="choose another name"):
                await add(plane, name)

    @pytest.mark.parametrize("name", ["", "Box", "a" * 41, "1st", "a_b", "docker", "k8s", "static"])
    async def test_names_that_could_be_taken_for_something_else_are_refused(
        self, plane: Plane, name: str
    ):
        with pytest.raises(InvalidFieldsError, match="name"):
            await add(plane, name)

    async def test_what_is_wrong_with_its_options_is_told_and_nothing_is_stored(self, plane: Plane):
        with pytest.raises(InvalidFieldsError, match=r"options\.broken"):
            await add(plane, broken="1")

        assert await plane.store.provider_records() == []

    async def test_one_that_cannot_be_used_is_refused_with_what_to_do(self, plane: Plane):
        plane.maker.on_make = lambda provider: setattr(provider, "problem", "its engine is gone")
        with pytest.raises(WrongStateError, match=r"its engine is gone .*add it disabled"):
            await add(plane)

        assert await plane.store.provider_records() == []
        await add(plane, enabled=False)
        assert await state(plane) == (ProviderState.DISABLED, "")

    async def test_one_whose_workers_could_not_reach_the_server_is_refused(self, plane: Plane):
        def no_way() -> None:
            raise ProviderUnavailableError("server_host: say by which address")

        plane.maker.on_way = no_way
        with pytest.raises(WrongStateError, match="server_host"):
            await add(plane)


class TestDisable:
    async def test_its_job_ends_and_then_its_worker_leaves(self, plane: Plane):
        box, worker_id = await busy_box(plane)
        await plane.manage.disable(BOX)
        await plane.submit(spec(preferred_provider="box"))
        await plane.settle()

        assert await state(plane) == (ProviderState.DISABLED, "")
        [member] = plane.roster.workers_of(BOX)
        assert (member.worker.id, member.worker.state) == (worker_id, WorkerState.DRAINING)
        first, second = await plane.jobs()
        assert (first.state, second.state) == (JobState.RUNNING, JobState.QUEUED)
        assert len(box.requests) == 1
        assert "is disabled; hodei providers enable box" in plane.explain.explain(second)

        await plane.manage.enable(BOX)
        await plane.settle()
        assert len(box.requests) == 2

    async def test_a_provider_of_the_settings_is_switched_too_and_stays_so(self, plane: Plane):
        await plane.manage.disable(FAKE)
        assert await state(plane, "fake") == (ProviderState.DISABLED, "")
        await plane.close()
        plane.restart()
        async with running(plane, leases=False):
            await plane.keeper.look()
            assert await state(plane, "fake") == (ProviderState.DISABLED, "")
            await plane.manage.enable(FAKE)
            assert await state(plane, "fake") == (ProviderState.HEALTHY, "")

    async def test_enabling_one_that_cannot_be_used_is_refused(self, plane: Plane):
        await add(plane, enabled=False)
        plane.maker.on_make = lambda provider: setattr(provider, "problem", "its engine is gone")

        with pytest.raises(WrongStateError, match=r"its engine is gone .*it stays disabled"):
            await plane.manage.enable(BOX)
        assert await state(plane) == (ProviderState.DISABLED, "")


class TestUpdate:
    async def test_new_options_are_for_new_workers(self, plane: Plane):
        await add(plane)
        before = plane.maker.of("box")
        await plane.manage.update(BOX, ProviderChange(options={"slots": "7"}), version=1)

        assert plane.maker.of("box") is not before
        assert plane.roster.providers[BOX].capabilities().slots_per_worker == 7
        [record] = await plane.store.provider_records()
        assert (record.version, record.options) == (2, {"slots": "7"})

    async def test_workers_that_are_on_their_way_come_first(self, plane: Plane):
        await add(plane)
        before = plane.maker.of("box")
        before.provision_gate.clear()
        await plane.submit(spec(preferred_provider="box"))
        await plane.settle()
        await plane.manage.update(BOX, ProviderChange(options={"slots": "7"}), version=0)

        assert plane.roster.providers[BOX] is before
        assert "is being changed" in (await state(plane))[1]
        before.provision_gate.set()
        await plane.settle()
        await plane.agent_of(before)
        await plane.settle()
        await plane.keeper.look()
        assert plane.roster.providers[BOX].capabilities().slots_per_worker == 7
        assert await state(plane) == (ProviderState.HEALTHY, "")

    async def test_workers_that_are_there_go_on(self, plane: Plane):
        box, worker_id = await busy_box(plane)
        await plane.manage.update(BOX, ProviderChange(options={"slots": "2"}), version=0)
        # The new one knows the instances of the one before, as real ones do.
        after = plane.maker.of("box")
        await plane.settle()

        assert after is not box
        [member] = plane.roster.workers_of(BOX)
        assert (member.worker.id, member.worker.state) == (worker_id, WorkerState.READY)

    async def test_workers_go_on_while_their_provider_cannot_be_used(self, plane: Plane):
        _, worker_id = await busy_box(plane)
        [record] = await plane.store.provider_records()

        def no_way() -> None:
            raise ProviderUnavailableError("the engine is gone")

        plane.maker.on_way = no_way
        # As another server has changed it, which could use it.
        changed = record.changed(plane.clock.now(), options={"slots": "2"})
        assert await plane.store.put_provider(changed)
        await plane.keeper.look()
        await plane.settle()

        assert (await state(plane))[0] is ProviderState.UNAVAILABLE
        [member] = plane.roster.workers_of(BOX)
        assert (member.worker.id, member.worker.state) == (worker_id, WorkerState.READY)

    async def test_workers_that_are_there_take_no_jobs_that_it_does_not_take_any_more(
        self, plane: Plane
    ):
        await add(plane, slots="3")
        await plane.submit(spec(preferred_provider="box"))
        await plane.settle()
        await plane.agent_of(plane.maker.of("box"))
        await plane.submit(spec(preferred_provider="box"))
        await plane.settle()
        assert {job.state for job in await plane.jobs()} == {JobState.ASSIGNED}
        options = {"slots": "3", "required_labels": "env=prod"}
        await plane.manage.update(BOX, ProviderChange(options=options), version=0)
        [job_id] = await plane.submit(spec(preferred_provider="box"))
        await plane.settle()

        job = await plane.job(job_id)
        assert job.state is JobState.QUEUED
        assert "only jobs that ask for its label env=prod" in plane.explain.explain(job)
        considered = plane.explain_job.explain(job).candidates
        provider, worker = [each for each in considered if each.provider == "box"]
        assert worker.misfits == provider.misfits != []

    async def test_of_two_changes_of_what_was_read_the_second_is_refused(self, plane: Plane):
        await add(plane)
        await plane.manage.update(BOX, ProviderChange(priority=1), version=1)

        with pytest.raises(WrongStateError, match="changed by somebody else"):
            await plane.manage.update(BOX, ProviderChange(priority=2), version=1)

    async def test_it_does_not_move_away_from_its_workers(self, plane: Plane):
        await busy_box(plane)
        with pytest.raises(WrongStateError, match="has 1 workers where it is now"):
            await plane.manage.update(BOX, ProviderChange(options={"host": "b"}), version=0)

    async def test_the_settings_decide_about_what_is_theirs(self, plane: Plane):
        await plane.manage.update(FAKE, ProviderChange(priority=4), version=0)
        assert [each.name for each in plane.roster.pools()] == ["fake"]
        pool = plane.roster.pool(FAKE)
        assert pool is not None
        assert pool.terms.priority == 4
        with pytest.raises(InvalidFieldsError, match=r"options: .*server's settings"):
            await plane.manage.update(FAKE, ProviderChange(options={"slots": "1"}), version=0)


class TestRemove:
    async def test_without_workers_it_is_gone_at_once(self, plane: Plane):
        await add(plane)
        assert await plane.manage.remove(BOX, force=False) == 0

        assert await plane.store.provider_records() == []
        assert BOX not in plane.roster.providers
        await add(plane)

    async def test_with_workers_it_is_refused_with_what_is_allowed(self, plane: Plane):
        await busy_box(plane)
        with pytest.raises(WrongStateError, match=r"has 1 workers, 1 of them .*disable .*--force"):
            await plane.manage.remove(BOX, force=False)

        assert await state(plane) == (ProviderState.HEALTHY, "")

    async def test_by_force_it_is_gone_with_its_last_worker(self, plane: Plane):
        box, worker_id = await busy_box(plane)
        assert await plane.manage.remove(BOX, force=True) == 1

        assert (await state(plane))[0] is ProviderState.LEAVING
        with pytest.raises(WrongStateError, match="is being removed"):
            await plane.manage.enable(BOX)
        [job] = await plane.jobs()
        member = plane.fleet.get(plane.roster.workers_of(BOX)[0].worker.id)
        assert member is not None
        box.crash(member.worker.id)
        await plane.settle()
        await plane.keeper.look()
        assert worker_id == member.worker.id
        assert BOX not in plane.roster.providers
        assert await plane.store.provider_records() == []
        assert (await plane.job(job.id)).state is JobState.FAILED

    async def test_those_of_the_settings_are_not_for_removal(self, plane: Plane):
        with pytest.raises(WrongStateError, match=r"settings \(fake.enabled\)"):
            await plane.manage.remove(FAKE, force=True)

    async def test_what_is_not_there_is_not_found(self, plane: Plane):
        with pytest.raises(NotFoundError, match="hodei providers list"):
            await plane.manage.remove(BOX, force=False)


class TestStart:
    async def test_one_that_cannot_be_started_says_why_and_is_tried_again(self, plane: Plane):
        await add(plane)
        await plane.close()
        plane.restart()
        ways: list[str] = ["the engine is gone"]

        def way() -> None:
            if ways:
                raise ProviderUnavailableError(ways[0])

        plane.maker.on_way = way
        async with running(plane, leases=False):
            await plane.keeper.look()
            [job_id] = await plane.submit(spec(preferred_provider="box"))
            await plane.settle()
            assert await state(plane) == (
                ProviderState.UNAVAILABLE,
                "it cannot be used here: the engine is gone",
            )
            assert "the engine is gone" in plane.explain.explain(await plane.job(job_id))
            ways.clear()
            await plane.keeper.look()
            await plane.settle()
            assert await state(plane) == (ProviderState.HEALTHY, "")
            assert len(plane.maker.of("box").requests) == 1

    async def test_a_record_that_this_server_cannot_read_is_told_of(self, plane: Plane):
        await add(plane)
        [record] = await plane.store.provider_records()
        bad = replace(record, version=2, options={"broken": "1"})
        assert await plane.store.put_provider(bad)
        await plane.keeper.look()

        found, problem = await state(plane)
        assert (found, problem) == (
            ProviderState.UNAVAILABLE,
            "options.broken: is broken: mend it",
        )


class TestTest:
    async def test_what_is_behind_it_is_told(self, plane: Plane):
        assert await plane.manage.test(FAKE) == {"version": "fake"}

    async def test_why_it_cannot_be_used_is_told(self, plane: Plane):
        await add(plane)
        plane.maker.of("box").problem = "its engine is gone"
        with pytest.raises(ProviderUnavailableError, match=r"its engine is gone"):
            await plane.manage.test(BOX)


class TestSeveralServers:
    async def test_every_server_follows_each_change(self):
        air = Air()
        a = Plane(air=air, name="a")
        async with (
            running(a, leases=False),
            running(Plane(air=air, name="b", beside=a), leases=False) as b,
        ):
            await add(a)
            await b.settle()
            assert BOX in b.roster.providers
            await b.manage.disable(BOX)
            await a.settle()
            pool = a.roster.pool(BOX)
            assert pool is not None
            assert "is disabled" in pool.terms.closed
            await a.manage.remove(BOX, force=False)
            # As it does a moment after it has seen that the box is leaving.
            await b.keeper.look()
            assert BOX not in b.roster.providers
            assert b.keeper.records == {}

    async def test_it_is_not_forgotten_while_another_server_has_a_worker_of_it(self):
        air = Air()
        a = Plane(air=air, name="a")
        async with (
            running(a, leases=False),
            running(Plane(air=air, name="b", beside=a), leases=False) as b,
        ):
            await add(a)
            await b.settle()
            await b.keep()
            await b.submit(spec(preferred_provider="box"))
            await b.settle()
            await a.settle()
            workers = a.roster.workers_of(BOX)
            assert "b" in {each.worker.home for each in workers}

            assert await a.manage.remove(BOX, force=True) == len(workers)
            [record] = await a.store.provider_records()
            assert record.mode is ProviderMode.LEAVING
