"""Which of several workers that have room gets a job."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hodei.application.links import Run
from hodei.domain.jobs.spec import JobSpec
from hodei.domain.placement.selection import named
from hodei.domain.placement.worker_selection import WorkerStrategy
from hodei.kernel.ids import JobId
from support.builders import result, spec, started
from support.plane import Agent, Plane, running

SLOTS = (2, 4, 3)
"""Of the workers, the oldest first."""


class Fleet:
    """Three workers of a server with some strategy, and what is given to them."""

    def __init__(self, plane: Plane, agents: list[Agent]) -> None:
        self.plane = plane
        self.agents = agents
        self._jobs = 0

    async def given(self, *specs: JobSpec, at_once: bool = False) -> list[int]:
        """Submits jobs, one after the other unless `at_once`; whose workers they went to."""
        ids = [f"job-{self._jobs + number}" for number in range(len(specs))]
        self._jobs += len(specs)
        if at_once:
            await self.plane.submit(*specs, ids=tuple(ids))
            await self.plane.settle()
        else:
            for each, job_id in zip(specs, ids, strict=True):
                await self.plane.submit(each, ids=(job_id,))
                await self.plane.settle()
        return [self._whose(JobId(job_id)) for job_id in ids]

    async def end_all(self) -> None:
        """Every job ends."""
        for agent in self.agents:
            for run in agent.link.of(Run):
                job = await self.plane.job(run.job.id)
                if not job.is_terminal:
                    await agent.say(started(job), result(job))
        await self.plane.settle()

    def _whose(self, job_id: JobId) -> int:
        [index] = [
            index
            for index, agent in enumerate(self.agents)
            if job_id in [run.job.id for run in agent.link.of(Run)]
        ]
        return index


@pytest.fixture
async def fleet(request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    async with running(Plane(worker_strategy=request.param)) as plane:
        yield Fleet(plane, [await plane.static_agent(slots=slots) for slots in SLOTS])


def under(strategy: WorkerStrategy) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fleet", [strategy], indirect=True)


both_ways = pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "at once"])


@under(WorkerStrategy.FIRST_AVAILABLE)
@both_ways
async def test_the_oldest_is_filled_before_the_next(fleet: Fleet, *, at_once: bool) -> None:
    assert await fleet.given(*[spec()] * 7, at_once=at_once) == [0, 0, 1, 1, 1, 1, 2]


@under(WorkerStrategy.LEAST_LOADED)
@both_ways
async def test_the_one_with_the_largest_share_of_free_slots_goes_first(
    fleet: Fleet, *, at_once: bool
) -> None:
    assert await fleet.given(*[spec()] * 5, at_once=at_once) == [0, 1, 2, 1, 2]


@under(WorkerStrategy.MOST_CAPACITY)
@both_ways
async def test_the_one_with_the_most_free_slots_goes_first(fleet: Fleet, *, at_once: bool) -> None:
    assert await fleet.given(*[spec()] * 5, at_once=at_once) == [1, 1, 2, 0, 1]


@under(WorkerStrategy.ROUND_ROBIN)
@both_ways
async def test_workers_take_turns_whatever_room_they_have(fleet: Fleet, *, at_once: bool) -> None:
    assert await fleet.given(*[spec()] * 7, at_once=at_once) == [0, 1, 2, 0, 1, 2, 1]
    await fleet.end_all()
    assert await fleet.given(spec(), spec(), at_once=at_once) == [0, 2]


@under(WorkerStrategy.ROUND_ROBIN)
async def test_a_worker_whose_next_job_is_being_committed_has_had_its_turn(fleet: Fleet) -> None:
    async with asyncio.TaskGroup() as submissions:
        for job_id in ("a", "b", "c"):
            submissions.create_task(fleet.plane.submit(ids=(job_id,)))
    await fleet.plane.settle()
    assert [len(agent.link.of(Run)) for agent in fleet.agents] == [1, 1, 1]


@under(WorkerStrategy.AFFINITY)
async def test_a_job_goes_where_one_of_its_name_ran_while_there_is_room(fleet: Fleet) -> None:
    build, lint, nameless = spec(name="build"), spec(name="lint"), spec()
    assert await fleet.given(build, lint, nameless) == [0, 1, 2]
    await fleet.end_all()
    assert await fleet.given(lint, build, build, build) == [1, 0, 0, 2]
    # Without a name nothing says that they are alike.
    assert await fleet.given(nameless) == [1]


@pytest.mark.parametrize("text", ["least-loaded", "LeastLoaded", "LEAST_LOADED", "least loaded"])
def test_a_strategy_may_be_written_in_any_way(text: str) -> None:
    assert named(WorkerStrategy, text) is WorkerStrategy.LEAST_LOADED


def test_another_name_is_no_strategy() -> None:
    assert named(WorkerStrategy, "random") is None
