"""One worker's stream: what is stored, what is answered, and what is refused."""

from collections.abc import AsyncIterator

import pytest

from hodei.application.links import LogsStored, Output, ResultTaken, Run
from hodei.domain.jobs.states import JobState
from support.builders import chunk, result, started
from support.plane import Plane, running


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with running(Plane()) as plane:
        yield plane


async def test_a_job_goes_down_the_stream_and_its_result_comes_back(plane: Plane) -> None:
    agent = await plane.static_agent()
    [job_id] = await plane.submit()
    await plane.settle()
    [run] = agent.link.of(Run)
    await agent.say(started(run.job), Output(chunks=(chunk(run.job, b"hello\n"),)))
    assert (await plane.job(job_id)).state is JobState.RUNNING
    assert [each.end for each in agent.link.of(LogsStored)] == [6]
    await agent.say(result(run.job, stdout_bytes=6))
    assert (await plane.job(job_id)).state is JobState.SUCCEEDED
    assert [each.recorded for each in agent.link.of(ResultTaken)] == [True]
