"""Jobs are accepted all or none, and each id once."""

import asyncio

import pytest

from hodei.application.submit_jobs import NewJob
from hodei.domain.jobs.states import JobState
from hodei.kernel.errors import AlreadyExistsError, InvalidFieldsError
from hodei.kernel.ids import JobId
from hodei.ports.stores import StoreUnavailableError
from support.builders import TRUE, spec
from support.plane import Plane


@pytest.fixture
def plane() -> Plane:
    return Plane()


def new(job_id: str | None, **changes: object) -> NewJob:
    return NewJob(id=None if job_id is None else JobId(job_id), spec=spec(**changes))


async def test_each_definition_gets_an_answer_in_its_place(plane: Plane) -> None:
    batch = [new("a"), new(None), new("b"), new("a"), new(None)]
    submitted = await plane.submitter.submit(batch, queued_by="me")
    assert [submitted[index].id for index in (0, 2, 3)] == ["a", "b", "a"]
    assert len({each.id for each in submitted}) == 4
    assert [each.already_existed for each in submitted] == [False, False, False, True, False]
    assert [job.state for job in await plane.jobs()] == [JobState.QUEUED] * 4


async def test_the_same_definition_again_is_the_same_job(plane: Plane) -> None:
    [first] = await plane.submitter.submit([new("a")], queued_by="me")
    plane.clock.jump(10)
    [again] = await plane.submitter.submit([new("a")], queued_by="another")
    assert (again.already_existed, again.queued_at) == (True, first.queued_at)
    [job] = await plane.jobs()
    assert job.queued_by == "me"


async def test_another_definition_under_a_taken_id_is_refused_naming_the_difference(
    plane: Plane,
) -> None:
    await plane.submit(ids=("a",))
    with pytest.raises(AlreadyExistsError, match=r"'a'.*environment.*differ.*another id"):
        await plane.submitter.submit([new("b"), new("a", environment={"X": "1"})], queued_by="me")
    assert [job.id for job in await plane.jobs()] == ["a"]


async def test_an_id_twice_in_a_batch_with_different_definitions_is_refused_by_its_place(
    plane: Plane,
) -> None:
    with pytest.raises(InvalidFieldsError, match=r"job_definitions\[2\]\.job_id\.value.*'a'"):
        await plane.submitter.submit([new("a"), new("b"), new("a", name="x")], queued_by="me")
    assert await plane.jobs() == []


async def test_two_clients_that_queue_one_id_at_once_get_one_job(plane: Plane) -> None:
    existed: list[bool] = []

    async def submit() -> None:
        [each] = await plane.submitter.submit([new("a")], queued_by="me")
        existed.append(each.already_existed)

    plane.store.gate.clear()
    plane.run(submit(), submit())
    await plane.settle()
    plane.store.gate.set()
    await plane.settle()
    assert sorted(existed) == [False, True]
    assert len(await plane.jobs()) == 1


async def test_a_store_that_is_away_has_queued_none_and_the_call_may_be_repeated(
    plane: Plane,
) -> None:
    plane.store.failures = 1
    batch = [new("a"), new("b")]
    with pytest.raises(StoreUnavailableError):
        await plane.submitter.submit(batch, queued_by="me")
    assert await plane.jobs() == []
    submitted = await plane.submitter.submit(batch, queued_by="me")
    assert [each.already_existed for each in submitted] == [False, False]


async def test_others_get_their_turn_while_thousands_of_jobs_are_decided(plane: Plane) -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    plane.run(take_turns())
    await plane.submitter.submit([NewJob(id=None, spec=TRUE)] * 2000, queued_by="me")
    assert turns >= 8
    await plane.close()
