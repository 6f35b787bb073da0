"""Workers are made for the kind of job that waits; what cannot be made ends the jobs that need it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from hodei.application.links import DrainOrder, Output, Run
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import Resources
from hodei.domain.jobs.states import JobState
from hodei.domain.placement.fit import Containers
from hodei.domain.placement.kinds import WorkerKind
from hodei.domain.workers.events import WorkerFirstOutput
from hodei.domain.workers.states import WorkerState
from hodei.durable.runner.client import StartRequest
from hodei.kernel.ids import JobId, Position, WorkerId
from hodei.ports.providers import (
    KindUnavailableError,
    ProviderUnavailableError,
    ProvisioningRefusedError,
)
from hodei.sagas.provision_worker import NAME, WorkerOrder
from support.builders import chunk, result, spec, started
from support.fake_provider import FakeProvider
from support.plane import RULES, Plane, running

DEBIAN = WorkerKind(image="debian:12")


def containers(name: str = "docker", **changes: object) -> FakeProvider:
    plain: dict[str, object] = {"slots": 1, "max_workers": 10, "max_jobs_per_worker": 1}
    return FakeProvider(
        name,
        containers=Containers(has_default_image=True, takes_jobs_without_image=False),
        **(plain | changes),
    )


@asynccontextmanager
async def pool(
    *providers: FakeProvider, warm: dict[WorkerKind, int] | None = None
) -> AsyncIterator[Plane]:
    rules = replace(RULES, warm_workers=0, warm_kinds=warm or {})
    async with running(Plane(*providers, rules=rules), leases=False) as plane:
        yield plane


async def reason_of(plane: Plane, job_id: JobId) -> tuple[JobState, str, str]:
    job = await plane.job(job_id)
    return (
        job.state,
        job.reason.code if job.reason else "",
        job.reason.message if job.reason else "",
    )


async def test_each_kind_of_waiting_job_gets_workers_of_its_own() -> None:
    provider = containers()
    async with pool(provider) as plane:
        small = spec(image="debian:12", resources=Resources(memory_bytes=2**26))
        await plane.submit(*[spec(image="debian:12")] * 2, small, spec(image="alpine:3"))
        await plane.settle()
        made = [request.kind for request in provider.requests]
        assert sorted(map(str, made)) == sorted(
            map(
                str,
                [
                    DEBIAN,
                    DEBIAN,
                    WorkerKind(image="debian:12", memory_bytes=2**26),
                    WorkerKind(image="alpine:3"),
                ],
            )
        )
        worker = await plane.worker(provider.requests[0].worker_id)
        assert (worker.kind, worker.max_jobs) == (provider.requests[0].kind, 1)


async def test_an_image_is_fetched_before_the_worker_has_a_row() -> None:
    provider = containers()
    provider.prepare_gate.clear()
    async with pool(provider) as plane:
        await plane.submit(spec(image="debian:12"))
        await plane.settle()
        assert provider.prepared == [DEBIAN]
        assert plane.fleet.members() == []
        # However long it takes, it is asked for once.
        plane.fleet.changed()
        await plane.settle()
        provider.prepare_gate.set()
        await plane.settle()
        assert len(provider.requests) == 1


async def test_a_kind_that_failed_while_its_provider_was_going_is_made_once_it_is_there_again() -> (
    None
):
    provider = containers()

    def fail(_: object) -> None:
        raise KindUnavailableError("the engine is being stopped")

    provider.on_provision = fail
    async with pool(provider) as plane:
        await plane.submit(spec(image="debian:12"))
        await plane.settle()
        failed = len(provider.requests)
        provider.on_provision = lambda _: None
        provider.see(is_seen=True)
        await plane.settle()
        assert len(provider.requests) == failed + 1
        assert [each.troubled_kinds for each in plane.pool.conditions()] == [[]]


async def test_nothing_is_prepared_for_a_kind_that_lacks_nothing() -> None:
    provider = containers()
    provider.has_all = True
    async with pool(provider) as plane:
        await plane.submit(spec(image="debian:12"))
        await plane.settle()
        assert [request.kind for request in provider.requests] == [DEBIAN]
        assert provider.prepared == []


async def test_what_an_earlier_life_began_is_gone_on_with_and_no_other_is_begun() -> None:
    provider = containers()
    provider.prepare_gate.clear()
    async with pool(provider) as plane:
        await plane.submit(spec(image="debian:12"))
        await plane.settle()
        await plane.close()
        plane.restart()
        await plane.load()
        plane.run_all(leases=False)
        await plane.settle()
        assert provider.prepared == [DEBIAN]
        # The step is free again once its server has been silent for long enough.
        await plane.pass_time(7)
        await plane.pass_time(1)
        assert provider.prepared == [DEBIAN, DEBIAN]
        provider.prepare_gate.set()
        await plane.settle()
        assert len(provider.requests) == 1
        assert provider.requests[0].kind == DEBIAN


async def test_what_a_server_began_and_did_not_live_to_move_is_gone_on_with_too() -> None:
    provider = containers(max_workers=1)
    plane = Plane(provider, rules=replace(RULES, warm_workers=0))
    order = WorkerOrder(
        worker_id=WorkerId("docker-1"), provider=provider.name, kind=DEBIAN, enroll_timeout_s=60
    )
    begun = StartRequest(
        type=NAME, workflow_id=order.worker_id, request_id=order.worker_id, arguments=(order, False)
    )
    await plane.workflows.client.start(begun)
    assert await plane.provisioner.under_way() == [order]
    async with running(plane, leases=False):
        await plane.submit(spec(image="debian:12"))
        await plane.settle()
        assert [each.worker_id for each in provider.requests] == [order.worker_id]


async def test_a_worker_gets_one_job_and_is_told_to_leave_after_it() -> None:
    provider = containers(slots=4)
    async with pool(provider) as plane:
        await plane.submit(*[spec(image="debian:12")] * 2)
        await plane.settle()
        first = await plane.agent_of(provider, 0)
        await plane.settle()
        assert len(first.link.of(Run)) == 1
        assert first.link.of(DrainOrder) == [DrainOrder(terminate=True)]
        orders = [type(order) for order in first.link.sent if type(order) in {Run, DrainOrder}]
        assert orders == [Run, DrainOrder]
        assert (await plane.worker(first.id)).state is WorkerState.DRAINING


async def test_a_worker_that_may_have_two_jobs_leaves_after_the_second() -> None:
    provider = containers(max_jobs_per_worker=2, max_workers=1)
    async with pool(provider) as plane:
        await plane.submit(*[spec(image="debian:12")] * 3)
        await plane.settle()
        agent = await plane.agent_of(provider, 0)
        await plane.settle()
        for _ in range(2):
            job = agent.link.of(Run)[-1].job
            await agent.say(started(job), result(job))
        assert len(agent.link.of(Run)) == 2
        assert len(agent.link.of(DrainOrder)) == 1


async def test_a_restarted_server_does_not_give_a_used_worker_another_job() -> None:
    provider = containers()
    async with pool(provider) as plane:
        await plane.submit(spec(image="debian:12"))
        await plane.settle()
        agent = await plane.agent_of(provider, 0)
        await plane.settle()
        assert (await plane.store.load_worker(agent.id)).state is WorkerState.DRAINING


@pytest.mark.parametrize("when", ["on_prepare", "on_provision"])
async def test_what_can_never_be_made_ends_the_jobs_that_need_it_at_once(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A queue longer than its head is looked at ten times a second at most.
    monkeypatch.setattr("hodei.application.dispatch._LOOK_AGAIN_S", 0)
    provider = containers()

    def refuse(_: object) -> None:
        raise ProvisioningRefusedError("image: there is no such image")

    setattr(provider, when, refuse)
    async with pool(provider) as plane:
        jobs = await plane.submit(*[spec(image="debain:12")] * 300, spec(image="x"))
        await plane.settle()
        for job_id in (jobs[0], jobs[299], jobs[300]):
            assert await reason_of(plane, job_id) == (
                JobState.FAILED,
                ReasonCode.PROVISIONING_FAILED,
                "image: there is no such image",
            )
        # Not the provider's fault: it goes on for others, and for the same when it is mended.
        setattr(provider, when, lambda _: None)
        [again] = await plane.submit(spec(image="debain:12"))
        await plane.settle()
        assert (await plane.job(again)).state is JobState.QUEUED
        assert any(
            each.worker.kind == WorkerKind(image="debain:12") for each in plane.fleet.members()
        )


async def test_a_kind_that_one_provider_refuses_is_made_by_the_next() -> None:
    first, second = containers("docker"), containers("docker2")

    def refuse(_: object) -> None:
        raise ProvisioningRefusedError("no")

    first.on_prepare = refuse
    async with pool(first, second) as plane:
        [job_id] = await plane.submit(spec(image="debian:12"))
        await plane.settle()
        assert (await plane.job(job_id)).state is JobState.QUEUED
        assert [request.kind for request in second.requests] == [DEBIAN]
        assert len(first.prepared) == 1


async def test_an_image_that_cannot_be_had_now_is_tried_again_and_holds_up_no_other() -> None:
    provider = containers()

    def fail(kind: WorkerKind | None) -> None:
        if kind == DEBIAN:
            raise KindUnavailableError("image: its registry cannot be reached")

    provider.on_prepare = fail
    async with pool(provider) as plane:
        jobs = await plane.submit(*[spec(image="debian:12")] * 9, spec(image="alpine:3"))
        await plane.settle()
        tries = provider.prepared.count(DEBIAN)
        assert (await plane.job(jobs[0])).state is JobState.QUEUED
        assert "registry" in plane.explain.explain(await plane.job(jobs[0]))
        assert [request.kind for request in provider.requests] == [WorkerKind(image="alpine:3")]
        provider.on_prepare = lambda kind: None
        plane.clock.jump(61)
        plane.fleet.changed()
        await plane.settle()
        assert provider.prepared.count(DEBIAN) > tries
        assert DEBIAN in [request.kind for request in provider.requests]


async def test_an_engine_that_is_away_ends_no_job() -> None:
    provider = containers()

    def fail(_: object) -> None:
        raise ProviderUnavailableError("the engine is gone")

    provider.on_prepare = fail
    async with pool(provider) as plane:
        [job_id] = await plane.submit(spec(image="debian:12"))
        await plane.settle()
        assert (await plane.job(job_id)).state is JobState.QUEUED
        assert "the engine is gone" in plane.explain.explain(await plane.job(job_id))


async def test_workers_that_end_as_they_start_are_not_made_for_ever() -> None:
    provider = containers(max_workers=1)
    async with pool(provider) as plane:
        [job_id] = await plane.submit(spec(image="debian:12"))
        for index in range(3):
            await plane.settle()
            worker_id = provider.requests[index].worker_id
            await plane.ender.end(worker_id, why=None, message="its container ran out of memory")
        await plane.settle()
        state, code, message = await reason_of(plane, job_id)
        assert (state, code) == (JobState.FAILED, ReasonCode.PROVISIONING_FAILED)
        assert "out of memory" in message
        assert len(provider.requests) == 3


async def test_warm_workers_are_kept_by_kind() -> None:
    provider = containers()
    async with pool(provider, warm={DEBIAN: 2}) as plane:
        await plane.settle()
        assert [request.kind for request in provider.requests] == [DEBIAN, DEBIAN]
        agent = await plane.agent_of(provider, 0)
        await plane.settle()
        await plane.submit(spec(image="debian:12"))
        await plane.settle()
        # The one that has a job is replaced at once, not when the job has ended.
        assert len(agent.link.of(Run)) == 1
        assert len(provider.requests) == 3


async def test_the_first_output_of_a_worker_is_in_its_history_once() -> None:
    provider = containers()
    async with pool(provider) as plane:
        await plane.submit(spec(image="debian:12"))
        await plane.settle()
        agent = await plane.agent_of(provider, 0)
        await plane.settle()
        job = agent.link.of(Run)[0].job
        await agent.say(started(job), Output(chunks=(chunk(job, b"a"),)))
        await agent.say(Output(chunks=(chunk(job, b"b", offset=1),)))
        events = await plane.store.read_events(
            after=Position(0), limit=100, streams=[f"worker:{agent.id}"]
        )
        told = [each.event for each in events if isinstance(each.event, WorkerFirstOutput)]
        assert told == [WorkerFirstOutput(job_id=job.id)]


async def test_a_container_has_what_it_was_made_with_whatever_its_agent_sees_of_the_host() -> None:
    provider = containers()
    async with pool(provider) as plane:
        await plane.submit(spec(image="debian:12", resources=Resources(memory_bytes=2**26)))
        await plane.settle()
        host = Resources(cpu_millicores=64_000, memory_bytes=2**40, gpu_count=8)
        agent = await plane.agent_of(provider, 0, resources=host)
        has = (await plane.worker(agent.id)).resources
        assert (has.memory_bytes, has.cpu_millicores, has.gpu_count) == (2**26, 64_000, 0)
