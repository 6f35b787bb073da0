"""Cancelling, timing out and recovering a job are one decision and one commit each, wherever the
server dies: what is missing afterwards is found again by looking. See ADR 16.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest

from hodei.application.links import Cancel, Run
from hodei.domain.jobs.events import (
    JobCancelled,
    JobFailed,
    JobRetried,
    JobSucceeded,
    JobTimedOut,
)
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.states import JobState
from hodei.domain.workers.events import WorkerLost, WorkerStopped
from hodei.domain.workers.states import WorkerState
from hodei.kernel.errors import UnavailableError
from hodei.kernel.ids import BEFORE_THE_FIRST, JobId
from hodei.ports.stores import Batch
from support.builders import result, spec, started
from support.fake_provider import FakeProvider
from support.plane import RULES, Agent, Plane, running

SEEN = {"lost": "signal 9", "memory": "its memory was used up"}
"""What the provider says of the end of an instance, by what a test does to it."""
NOT_THERE = "its agent is not there any more"
"""What the next life of the server sees of it."""

_ENDS = (JobCancelled, JobFailed, JobSucceeded, JobTimedOut)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A job that runs on a worker."""

    plane: Plane
    provider: FakeProvider
    agent: Agent
    job: Job


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    provider = FakeProvider(slots=1, max_workers=1)
    async with running(Plane(provider), leases=False) as plane:
        await plane.submit(spec(deadline_s=60.0), ids=("a",))
        await plane.settle()
        agent = await plane.agent_of(provider)
        await plane.settle()
        job = agent.link.of(Run)[-1].job
        await agent.say(started(job))
        yield Scene(plane=plane, provider=provider, agent=agent, job=await plane.job(job.id))


async def cancel(scene: Scene) -> None:
    """As a client that asks again until it has its answer."""
    with suppress(UnavailableError):
        await scene.plane.canceller.cancel(scene.job.id, by="me", message="")
    await scene.plane.settle()


async def reach_the_deadline(scene: Scene) -> None:
    scene.plane.clock.jump(60.0)
    scene.plane.due.notify()
    await scene.plane.settle()


async def lose_the_worker(scene: Scene) -> None:
    if scene.agent.id in scene.provider.instances:
        scene.provider.crash(scene.agent.id, SEEN["lost"])
    await scene.plane.settle()


async def run_out_of_memory(scene: Scene) -> None:
    if scene.agent.id in scene.provider.instances:
        scene.provider.crash(scene.agent.id, SEEN["memory"], out_of_memory=True)
    await scene.plane.settle()


Cause = Callable[[Scene], Awaitable[None]]
CAUSES: dict[str, Cause] = {
    "cancel": cancel,
    "deadline": reach_the_deadline,
    "lost": lose_the_worker,
    "memory": run_out_of_memory,
}


async def answer(scene: Scene) -> None:
    """The agent, if it lives, does as it is told, and sends its result until it is taken."""
    orders = scene.agent.link.of(Cancel)
    if orders and scene.agent.id in scene.provider.instances:
        with suppress(UnavailableError):
            await scene.agent.say(result(scene.job, orders[-1].reason_code))


def die_at(plane: Plane, commit: int, *, is_written: bool) -> Callable[[], bool]:
    """Has the store refuse everything from a commit on; returns whether it has got there."""
    seen = [0]

    async def count(_: Batch) -> None:
        seen[0] += 1
        if seen[0] == commit and is_written:
            plane.store.unknown = 1
        elif seen[0] >= commit:
            plane.store.failures = 1

    plane.store.before_commit = count
    return lambda: seen[0] >= commit


async def nothing(_: Batch) -> None:
    pass


async def revive(scene: Scene) -> None:
    """Another life of the server, to which the agent comes with what it holds."""
    plane = scene.plane
    await plane.close()
    plane.store.before_commit, plane.store.failures, plane.store.unknown = nothing, 0, 0
    plane.restart(RULES)
    await plane.load()
    plane.run_all(leases=False)
    await plane.settle()
    if scene.agent.id in scene.provider.instances:
        now = await plane.job(scene.job.id)
        held = () if now.current is None else (scene.agent.holds(scene.job),)
        await scene.agent.connect(*held)
    # As its next look would, a second later.
    plane.due.notify()
    await plane.settle()


async def assert_nothing_is_left(scene: Scene, why: str) -> None:
    """The worker has ended once, for the reason that was known first."""
    worker = await scene.plane.worker(scene.agent.id)
    assert (worker.state, worker.reason and worker.reason.message) == (WorkerState.LOST, why)
    assert scene.agent.id in scene.provider.destroyed
    assert scene.agent.id not in scene.provider.instances
    assert scene.plane.fleet.get(scene.agent.id) is None
    events = await scene.plane.store.read_events(
        after=BEFORE_THE_FIRST, limit=1_000, streams=[f"worker:{scene.agent.id}"]
    )
    assert sum(isinstance(each.event, WorkerStopped) for each in events) == 1
    assert sum(isinstance(each.event, WorkerLost) for each in events) == 1


@pytest.mark.parametrize("is_written", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("commit", range(1, 5))
async def test_a_job_ends_once_wherever_its_server_dies(
    scene: Scene, cause: str, commit: int, *, is_written: bool
) -> None:
    die_at(scene.plane, commit, is_written=is_written)
    await CAUSES[cause](scene)
    await answer(scene)
    await revive(scene)
    if cause == "cancel":
        await cancel(scene)
    await answer(scene)
    await scene.plane.settle()

    events = [
        each.event
        for each in await scene.plane.store.read_events(
            after=BEFORE_THE_FIRST, limit=1_000, streams=[f"job:{scene.job.id}"]
        )
    ]
    job = await scene.plane.job(JobId(scene.job.id))
    if cause in {"lost", "memory"}:
        # Its only attempt was lost, and its tree confirmed gone before anybody said so.
        assert job.state is JobState.FAILED
        assert job.reason is not None
        # The first commit is WorkerStopped. Without it nobody knows any more what the provider saw.
        is_known = is_written or commit > 1
        is_oom = cause == "memory" and is_known
        lost = ReasonCode.WORKER_LOST
        assert job.reason.code is (ReasonCode.OUT_OF_MEMORY if is_oom else lost)
        assert (SEEN[cause] in job.reason.message) is is_known
        await assert_nothing_is_left(scene, SEEN[cause] if is_known else NOT_THERE)
    elif cause == "cancel":
        assert job.state is JobState.CANCELLED
    else:
        assert job.state is JobState.TIMED_OUT
        assert job.reason is not None
        assert job.reason.code is ReasonCode.DEADLINE_EXCEEDED
    assert sum(isinstance(each, _ENDS) for each in events) == 1
    assert not any(isinstance(each, JobRetried) for each in events)
