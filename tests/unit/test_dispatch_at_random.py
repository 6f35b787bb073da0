"""No slot stays idle while a job waits that could run there, whatever happens in whatever order."""

import random
from collections.abc import Sequence

import pytest

from hodei.application.links import Run
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.spec import JobSpec, Priority, Resources, Selector
from hodei.domain.jobs.states import JobState
from hodei.domain.placement.demand import demand_of
from hodei.domain.placement.fit import fits_beside, misfits
from support.builders import result, spec, started
from support.plane import Agent, Plane, running

ZONES = ("a", "b", "c")


class Play:
    """A plane with which chance plays."""

    def __init__(self, plane: Plane, seed: int) -> None:
        self.plane = plane
        self.chance = random.Random(seed)
        self.agents: list[Agent] = []
        self.done: set[tuple[str, int]] = set()

    async def step(self) -> None:
        """One thing happens, or several at once."""
        moves = (self.submit, self.submit, self.end_jobs, self.end_jobs, self.cancel, self.come)
        for _ in range(self.chance.choice((1, 1, 3))):
            await self.chance.choice((*moves, self.go, self.submit_elsewhere))()
            if self.chance.random() < 0.5:
                await self.plane.settle()

    def a_spec(self) -> JobSpec:
        zone = self.chance.choice((*ZONES, ""))
        return spec(
            priority=self.chance.choice(list(Priority)),
            selector=Selector(match_labels={"zone": zone} if zone else {}),
            resources=Resources(cpu_millicores=self.chance.choice((0, 300, 900))),
        )

    async def submit(self) -> None:
        await self.plane.submit(*[self.a_spec() for _ in range(self.chance.choice((1, 1, 2, 12)))])

    async def submit_elsewhere(self) -> None:
        await self.plane.submit_elsewhere(f"e{self.chance.getrandbits(64):x}")

    async def end_jobs(self) -> None:
        for agent in self.agents:
            for run in agent.link.of(Run):
                key = (run.job.id, run.job.attempts[-1].number)
                if key not in self.done and self.chance.random() < 0.6:
                    self.done.add(key)
                    await agent.session.receive(started(run.job))
                    await agent.session.receive(result(run.job))

    async def cancel(self) -> None:
        queued = [job for job in await self.plane.jobs() if job.state is JobState.QUEUED]
        if queued:
            await self.plane.canceller.cancel(self.chance.choice(queued).id, by="me", message="")

    async def come(self) -> None:
        if len(self.agents) < 4:
            labels = {"zone": self.chance.choice(ZONES)}
            resources = Resources(cpu_millicores=1000)
            agent = await self.plane.static_agent(
                slots=self.chance.choice((1, 3)), labels=labels, resources=resources
            )
            self.agents.append(agent)

    async def go(self) -> None:
        if self.agents and self.chance.random() < 0.3:
            agent = self.agents.pop(self.chance.randrange(len(self.agents)))
            await self.plane.ender.end(agent.id, why=None, message="enough")

    async def idle_slots(self) -> list[str]:
        """Slots that a queued job should have."""
        queued = [job for job in await self.plane.jobs() if job.state is JobState.QUEUED]
        return [
            f"{member.worker.id} for {job.id}"
            for member in self.plane.fleet.members()
            if member.free_slots
            for job in queued
            if not misfits(demand_of(job.spec), member.offer)
            and fits_beside(job.spec.resources, member.offer.resources, member.taken())
        ]

    async def overtaken(self, before: Sequence[Job]) -> list[str]:
        """Jobs that were queued already and wait while a later one of the same demand runs."""
        now = {job.id: job for job in await self.plane.jobs()}
        waiting = [job for job in before if now[job.id].state is JobState.QUEUED]
        gone = [job for job in before if now[job.id].state in {JobState.ASSIGNED, JobState.RUNNING}]
        return [
            f"{late.id} before {early.id}"
            for early in waiting
            for late in gone
            if demand_of(early.spec) == demand_of(late.spec)
            and late.spec.priority < early.spec.priority
        ]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("read_ahead", [0, 3])
async def test_slots_are_used_and_priorities_kept(
    monkeypatch: pytest.MonkeyPatch, seed: int, read_ahead: int
) -> None:
    monkeypatch.setattr("hodei.application.queue_head.MOST_AT_HAND", 6)
    monkeypatch.setattr("hodei.application.dispatch._LOOK_AGAIN_S", 0)
    async with running(Plane(read_ahead=read_ahead), leases=False) as plane:
        play = Play(plane, seed)
        for _ in range(20):
            queued = [job for job in await plane.jobs() if job.state is JobState.QUEUED]
            await play.step()
            await plane.settle()
            assert await play.idle_slots() == []
            assert await play.overtaken(queued) == []
