"""Commits whose answer is lost: what was stored is told, once, as if the answer had come."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest

from hodei.application.journal import job_write
from hodei.application.links import ResultTaken, Run
from hodei.domain.jobs import decide
from hodei.domain.jobs.events import JobAssigned, JobEvent
from hodei.kernel.ids import BEFORE_THE_FIRST, FencingToken, JobId
from hodei.ports.stores import Batch, StoredEvent, StoreUnavailableError
from support.builders import TRUE, result
from support.chance import NOON
from support.plane import Plane, running


@pytest.fixture
async def plane(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plane]:
    for module in ("event_feed", "session", "dispatch"):
        monkeypatch.setattr(f"hodei.application.{module}._RETRY_AFTER_S", 0)
    async with running(Plane()) as plane:
        yield plane


async def test_an_assignment_whose_answer_was_lost_reaches_its_worker_once(plane: Plane) -> None:
    agent = await plane.static_agent(slots=1)
    await plane.submit(ids=("a", "b"))
    plane.store.unknown = 1
    await plane.settle()
    assert [run.job.id for run in agent.link.of(Run)] == ["a"]
    assert [len(job.attempts) for job in await plane.jobs()] == [1, 0]
    await agent.say(result(agent.link.of(Run)[0].job))
    assert [run.job.id for run in agent.link.of(Run)] == ["a", "b"]


async def test_a_result_whose_answer_was_lost_is_recorded_answered_and_told(plane: Plane) -> None:
    agent = await plane.static_agent(slots=1)
    await plane.submit(ids=("a", "b"))
    await plane.settle()
    everything = plane.bus.follow(["job:a"])
    plane.store.unknown = 1
    await agent.say(result(agent.link.of(Run)[0].job))
    assert [taken.recorded for taken in agent.link.of(ResultTaken)] == [True]
    assert plane.counters.snapshot() == {}
    events, _ = await everything.take()
    assert [type(stored.event).__name__ for stored in events] == ["JobSucceeded"]
    # Its slot is free again.
    assert [run.job.id for run in agent.link.of(Run)] == ["a", "b"]


async def test_a_job_whose_answer_was_lost_runs_and_its_client_may_repeat_the_call(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    plane.store.unknown = 1
    with pytest.raises(StoreUnavailableError):
        await plane.submit(ids=("a",))
    await plane.settle()
    assert [run.job.id for run in agent.link.of(Run)] == ["a"]
    await plane.submit(ids=("a",))
    await plane.settle()
    assert len(await plane.jobs()) == len(agent.link.of(Run)) == 1


async def test_a_store_that_cannot_be_read_either_is_asked_until_it_can(plane: Plane) -> None:
    agent = await plane.static_agent()
    plane.store.unknown, plane.store.blind_for = 1, 5
    with pytest.raises(StoreUnavailableError):
        await plane.submit(ids=("a",))
    await plane.settle()
    assert plane.store.failed == 5
    assert [run.job.id for run in agent.link.of(Run)] == ["a"]


async def test_nothing_is_written_before_what_is_unsure_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hodei.application.event_feed._RETRY_AFTER_S", 1000)
    plane = Plane()
    plane.store.unknown, plane.store.blind_for = 1, 2
    with pytest.raises(StoreUnavailableError):
        await plane.submit(ids=("a",))
    await plane.settle()
    before = plane.store.commits
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        await plane.journal.commit(at=NOON, jobs=[job_write(None, _created("b"), NOON)])
    assert plane.store.commits == before
    await plane.submit(ids=("b",))
    assert plane.store.commits == before + 1
    await plane.close()


def _created(job_id: str) -> list[JobEvent]:
    return decide.submit(JobId(job_id), TRUE, queued_by="me", now=NOON)


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_is_lost_every_stored_event_is_told_once_and_in_order(
    plane: Plane, seed: int
) -> None:
    chance = random.Random(seed)
    told: list[StoredEvent] = []
    plane.bus.listen(told.extend)

    async def submit_and_cancel(number: int) -> None:
        job_id = f"job-{number}"
        for step in (plane.submit(ids=(job_id,)), _cancel(plane, job_id)):
            with suppress(StoreUnavailableError):
                await step

    async def answer_late(batch: Batch) -> None:
        for _ in range(chance.randrange(8)):
            await asyncio.sleep(0)

    plane.store.before_answer = answer_late
    for number in range(30):
        plane.run(submit_and_cancel(number))
        match chance.randrange(4):
            case 0:
                plane.store.unknown += 1
            case 1:
                plane.store.failures += 1
            case 2:
                plane.store.read_failures += 1
            case _:
                await plane.settle()
    await plane.settle()
    plane.store.failures = plane.store.unknown = plane.store.read_failures = 0
    await plane.journal.feed.catch_up()
    stored = await plane.store.read_events(after=BEFORE_THE_FIRST, limit=1000)
    assert told == stored
    assert plane.journal.position == stored[-1].position


async def test_an_order_of_an_attempt_that_is_over_is_not_sent(plane: Plane) -> None:
    agent = await plane.static_agent()
    everything = plane.bus.follow(None)
    await plane.submit(ids=("a",))
    await plane.settle()
    events, _ = await everything.take()
    [assigned] = [each for each in events if isinstance(each.event, JobAssigned)]
    stale = replace(assigned, event=replace(assigned.event, attempt=0, token=FencingToken(1)))
    plane.dispatcher.deliver(stale)
    assert len(agent.link.of(Run)) == 1


async def _cancel(plane: Plane, job_id: str) -> None:
    if await plane.store.load_jobs([JobId(job_id)]):
        await plane.canceller.cancel(JobId(job_id), by="me", message="")
