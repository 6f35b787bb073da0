"""One worker's stream: what is stored, what is answered, and what is refused."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from hodei.application.links import (
    Cancel,
    Heartbeat,
    Leaving,
    LogsStored,
    Output,
    Result,
    ResultTaken,
    Run,
    Usage,
)
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import RetryPolicy
from hodei.domain.jobs.states import AttemptState, JobState
from hodei.domain.logs import LogChunk, LogStream
from hodei.kernel.ids import FencingToken, JobId
from hodei.ports.logs import StreamEnd
from hodei.ports.stores import Batch
from support.builders import chunk, result, spec, started
from support.plane import Agent, Plane, running


@pytest.fixture
async def plane(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plane]:
    monkeypatch.setattr("hodei.application.session._RETRY_AFTER_S", 0)
    async with running(Plane()) as plane:
        yield plane


async def given(plane: Plane, agent: Agent, job_id: str = "a", **definition: object) -> Job:
    """A job that the agent was told to run."""
    await plane.submit(spec(**definition), ids=(job_id,))
    await plane.settle()
    return agent.link.of(Run)[-1].job


def answers(agent: Agent) -> list[bool]:
    return [each.recorded for each in agent.link.of(ResultTaken)]


def stored(agent: Agent) -> list[int]:
    return [each.end for each in agent.link.of(LogsStored)]


async def test_a_job_goes_down_the_stream_and_its_result_comes_back(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(started(job), Output(chunks=(chunk(job, b"hello\n"),)))
    assert (await plane.job(job.id)).state is JobState.RUNNING
    assert stored(agent) == [6]
    await agent.say(result(job, stdout_bytes=6))
    assert (await plane.job(job.id)).state is JobState.SUCCEEDED
    assert answers(agent) == [True]


async def test_a_result_waits_until_the_last_byte_of_both_streams_is_stored(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(started(job), result(job, stdout_bytes=4, stderr_bytes=2))
    assert answers(agent) == []
    await agent.say(Output(chunks=(chunk(job, b"out\n"),)))
    assert not (await plane.job(job.id)).is_terminal
    plane.logs.gate.clear()
    await agent.say(Output(chunks=(chunk(job, b"e\n", stream=LogStream.STDERR),)))
    assert (answers(agent), (await plane.job(job.id)).is_terminal) == ([], False)
    plane.logs.gate.set()
    await plane.settle()
    assert (answers(agent), (await plane.job(job.id)).state) == ([True], JobState.SUCCEEDED)


async def test_a_result_without_a_start_before_it_is_recorded_as_an_attempt_that_was_tried(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(result(job, ReasonCode.COMMAND_NOT_FOUND))
    ended = await plane.job(job.id)
    assert (ended.state, ended.used_attempts) == (JobState.FAILED, 1)


async def test_starts_and_results_of_many_jobs_share_a_commit(plane: Plane) -> None:
    agent = await plane.static_agent(slots=8)
    await plane.submit(*[spec()] * 8)
    await plane.settle()
    before = plane.store.commits
    for run in agent.link.of(Run):
        await agent.session.receive(started(run.job))
        await agent.session.receive(result(run.job))
    await plane.settle()
    assert plane.store.commits - before <= 2
    assert answers(agent) == [True] * 8


async def test_the_start_of_a_short_job_commits_with_its_result(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    before = plane.store.commits
    await agent.say(
        started(job), Output(chunks=(chunk(job, b"hello\n"),)), result(job, stdout_bytes=6)
    )
    assert plane.store.commits - before == 1
    assert (await plane.job(job.id)).state is JobState.SUCCEEDED


async def test_a_start_waits_for_a_result_that_comes_soon_and_a_slot_for_its_commit() -> None:
    async with running(Plane(linger_s=1000)) as plane:
        agent = await plane.static_agent(slots=1)
        first = await given(plane, agent)
        await plane.submit(ids=("next",))
        plane.logs.gate.clear()
        await agent.say(started(first), Output(chunks=(chunk(first, b"hello\n"),)))
        assert (await plane.job(first.id)).state is JobState.ASSIGNED
        await agent.say(result(first, stdout_bytes=6))
        assert [run.job.id for run in agent.link.of(Run)] == [first.id]
        plane.logs.gate.set()
        await plane.settle()
        assert [run.job.id for run in agent.link.of(Run)] == [first.id, "next"]
        assert (await plane.job(first.id)).state is JobState.SUCCEEDED


async def test_output_that_comes_during_a_commit_does_not_cut_a_starts_wait_short() -> None:
    async with running(Plane(linger_s=1000)) as plane:
        agent = await plane.static_agent(slots=2)
        ends, begins = await given(plane, agent, "ends"), await given(plane, agent, "begins")
        plane.store.gate.clear()
        await agent.say(result(ends))
        await agent.say(started(begins), Output(chunks=(chunk(begins, b"hello\n"),)))
        plane.store.gate.set()
        await plane.settle()
        assert (await plane.job(ends.id)).state is JobState.SUCCEEDED
        assert (await plane.job(begins.id)).state is JobState.ASSIGNED


async def test_the_slot_of_a_result_is_given_away_in_the_group_of_commits_that_records_it() -> None:
    async with running(Plane(linger_s=1000)) as plane:
        agent = await plane.static_agent(slots=1)
        first = await given(plane, agent)
        await plane.submit(ids=("next",))
        under_way: list[Batch] = []

        async def see(batch: Batch) -> None:
            under_way.append(batch)

        plane.store.before_commit = see
        plane.store.gate.clear()
        await agent.say(result(first))
        assert {write.after.id for each in under_way for write in each.jobs} == {first.id, "next"}
        plane.store.gate.set()


async def test_the_next_job_comes_while_a_result_waits_for_its_output_to_be_stored(
    plane: Plane,
) -> None:
    agent = await plane.static_agent(slots=1)
    first = await given(plane, agent)
    await plane.submit(ids=("next",))
    plane.logs.gate.clear()
    await agent.say(
        started(first), Output(chunks=(chunk(first, b"hello\n"),)), result(first, stdout_bytes=6)
    )
    assert [run.job.id for run in agent.link.of(Run)] == [first.id, "next"]
    plane.logs.gate.set()
    await plane.settle()
    assert (await plane.job(first.id)).state is JobState.SUCCEEDED
    member = plane.fleet.get(agent.id)
    assert member is not None
    assert (list(member.jobs), member.free_slots) == (["next"], 0)


async def test_a_stale_result_frees_no_slot(plane: Plane) -> None:
    agent = await plane.static_agent(slots=1)
    first = await given(plane, agent)
    await plane.submit(ids=("next",))
    await agent.say(result(first, token=FencingToken(1)))
    assert [run.job.id for run in agent.link.of(Run)] == [first.id]


@pytest.mark.parametrize("failures", [1, 5])
async def test_a_store_that_is_away_loses_no_result_and_counts_no_refusal_twice(
    plane: Plane, failures: int
) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    plane.store.failures = failures
    stale = result(job, token=FencingToken(1))
    await agent.say(started(job), stale, result(job))
    assert plane.store.failed == failures
    ended = await plane.job(job.id)
    assert (ended.state, len(ended.attempts)) == (JobState.SUCCEEDED, 1)
    assert answers(agent) == [False, True]
    assert plane.counters.snapshot() == {"results_refused": 1}


async def test_a_log_store_that_is_away_loses_no_byte_and_no_result(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    plane.logs.failures = 3
    await agent.say(
        Output(chunks=(chunk(job, b"a\n"), chunk(job, b"b\n", offset=2))),
        result(job, stdout_bytes=4),
    )
    entries = await plane.logs.read(job.id, after_sequence=0, max_bytes=100)
    assert b"".join(entry.chunk.data for entry in entries) == b"a\nb\n"
    assert (stored(agent), answers(agent)) == ([4], [True])


async def test_nothing_is_acknowledged_before_it_is_stored(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    plane.logs.failures = 1
    acknowledged: list[list[int]] = []
    append = plane.logs.append

    async def watched(chunks: Sequence[LogChunk]) -> list[StreamEnd]:
        acknowledged.append(stored(agent))
        return await append(chunks)

    monkeypatch.setattr(plane.logs, "append", watched)
    await agent.say(Output(chunks=(chunk(job, b"a\n"),)))
    assert (acknowledged, stored(agent)) == ([[], []], [2])


async def test_a_gap_in_a_log_ends_the_stream_so_that_the_agent_sends_it_again(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(Output(chunks=(chunk(job, b"ab", offset=0), chunk(job, b"ef", offset=4))))
    assert "missing" in (agent.link.closed or "")
    assert plane.counters.snapshot() == {"log_gaps": 1}
    assert (await plane.job(job.id)).state is JobState.ASSIGNED


async def test_output_sent_twice_is_stored_once(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(Output(chunks=(chunk(job, b"abc"),)), Output(chunks=(chunk(job, b"abcdef"),)))
    entries = await plane.logs.read(job.id, after_sequence=0, max_bytes=100)
    assert b"".join(entry.chunk.data for entry in entries) == b"abcdef"
    assert stored(agent)[-1] == 6


async def test_output_of_a_job_that_is_not_the_workers_is_refused_and_counted(plane: Plane) -> None:
    honest, thief = await plane.static_agent(), await plane.static_agent(slots=1)
    job = await given(plane, honest)
    assert job.attempts[-1].worker_id == honest.id
    await thief.say(Output(chunks=(chunk(job, b"lies"),)))
    await honest.say(
        Output(chunks=(chunk(job, b"truth"),)),
        # Of an attempt that never was.
        Output(chunks=(replace(chunk(job, b"?"), attempt=2),)),
    )
    assert plane.counters.snapshot() == {"log_chunks_refused": 2}
    entries = await plane.logs.read(job.id, after_sequence=0, max_bytes=100)
    assert [entry.chunk.data for entry in entries] == [b"truth"]


async def test_a_result_with_another_token_is_refused_logged_and_counted(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(started(job), result(job, token=FencingToken(7)))
    assert answers(agent) == [False]
    assert (await plane.job(job.id)).state is JobState.RUNNING
    assert plane.counters.snapshot() == {"results_refused": 1}


async def test_a_worker_cannot_start_or_end_a_job_of_another(plane: Plane) -> None:
    honest, thief = await plane.static_agent(), await plane.static_agent(slots=1)
    job = await given(plane, honest)
    await thief.say(started(job), result(job))
    assert answers(thief) == [False]
    assert [each.force for each in thief.link.of(Cancel)] == [True]
    assert (await plane.job(job.id)).state is JobState.ASSIGNED
    assert plane.counters.snapshot() == {"starts_refused": 1, "results_refused": 1}
    await honest.say(result(job))
    assert answers(honest) == [True]


async def test_a_result_of_no_job_at_all_is_refused(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(Result(job_id=JobId("nowhere"), outcome=result(job).outcome))
    assert answers(agent) == [False]


async def test_a_result_that_comes_again_after_its_answer_was_lost_is_no_alarm(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(result(job), result(job))
    await agent.disconnect()
    await agent.connect()
    await agent.say(result(job))
    assert answers(agent) == [True]
    assert plane.counters.snapshot() == {}
    assert len((await plane.job(job.id)).attempts) == 1


async def test_the_result_of_an_attempt_that_was_given_up_is_refused(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent, retry=RetryPolicy(max_attempts=2, initial_backoff_s=0))
    await agent.say(started(job))
    await agent.disconnect()
    # The agent comes back without it, as if it had been started anew; and then remembers.
    await agent.connect()
    assert (await plane.job(job.id)).attempts[0].state is AttemptState.LOST
    await agent.say(result(job))
    assert answers(agent) == [False]
    assert plane.counters.snapshot() == {"results_refused": 1}


async def test_a_cancellation_and_a_result_race_and_the_job_ends_once(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(started(job))
    plane.store.gate.clear()
    plane.run(_cancel(plane, job))
    await plane.settle()
    await agent.session.receive(result(job))
    await plane.settle()
    plane.store.gate.set()
    await plane.settle()
    ended = await plane.job(job.id)
    assert (ended.state, len(ended.attempts)) == (JobState.SUCCEEDED, 1)
    assert ended.cancel_requested is not None
    assert answers(agent) == [True]


async def _cancel(plane: Plane, job: Job) -> None:
    await plane.canceller.cancel(job.id, by="me", message="")


async def test_output_after_a_cancellation_is_stored_to_its_last_byte(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    plane.store.gate.clear()
    plane.run(_cancel(plane, job))
    await agent.say(started(job))
    plane.store.gate.set()
    await plane.settle()
    await agent.say(
        Output(chunks=(chunk(job, b"bye"),)), result(job, ReasonCode.CANCELLED, stdout_bytes=3)
    )
    assert (stored(agent), answers(agent)) == ([3], [True])
    assert (await plane.job(job.id)).state is JobState.CANCELLED
    assert plane.counters.snapshot() == {}


async def test_a_stream_lost_while_its_result_commits_loses_and_doubles_nothing(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(started(job))
    plane.store.gate.clear()
    await agent.say(result(job))
    agent.drop()
    await plane.settle()
    plane.store.gate.set()
    await plane.settle()
    member = plane.fleet.get(agent.id)
    assert member is not None
    assert (await plane.job(job.id)).state is JobState.SUCCEEDED
    assert member.jobs == {}


async def test_what_came_before_the_end_of_a_stream_is_stored() -> None:
    async with running(Plane(linger_s=1000)) as plane:
        agent = await plane.static_agent(slots=3)
        runs, ended = await given(plane, agent, "runs"), await given(plane, agent, "ended")
        torn = await given(plane, agent, "torn")
        plane.logs.gate.clear()
        await agent.say(
            *(started(each) for each in (runs, ended, torn)),
            *(Output(chunks=(chunk(each, b"four"),)) for each in (ended, torn)),
        )
        await agent.say(result(ended, stdout_bytes=4), result(torn, stdout_bytes=5))
        agent.drop()
        plane.logs.gate.set()
        await plane.settle()
        states = {each.id: each.state for each in await plane.jobs()}
    assert states == {
        "runs": JobState.RUNNING,
        "ended": JobState.SUCCEEDED,
        "torn": JobState.RUNNING,
    }


@pytest.mark.parametrize("away", ["store", "logs"])
async def test_a_stream_that_ends_while_a_store_is_away_leaves_it_to_the_worker_to_say_it_again(
    plane: Plane, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.application.session._RETRY_AFTER_S", 1000)
    agent = await plane.static_agent()
    job = await given(plane, agent)
    flaky = plane.store if away == "store" else plane.logs
    flaky.failures = 2
    await agent.say(
        started(job), Output(chunks=(chunk(job, b"four"),)), result(job, stdout_bytes=4)
    )
    agent.drop()
    await plane.settle()
    assert flaky.failures == 0
    assert (await plane.job(job.id)).state is not JobState.SUCCEEDED
    await agent.connect(agent.holds(job))
    await agent.say(Output(chunks=(chunk(job, b"four"),)), result(job, stdout_bytes=4))
    assert (await plane.job(job.id)).state is JobState.SUCCEEDED
    assert answers(agent) == [True]


async def test_the_stream_is_not_read_while_too_much_is_not_stored(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.application.session._MOST_PENDING_BYTES", 4)
    agent = await plane.static_agent()
    job = await given(plane, agent)
    plane.logs.gate.clear()
    sending = plane.tasks.start(_send_all(agent, job, 5), name="sender")
    await plane.settle()
    assert not sending.done()
    plane.logs.gate.set()
    await plane.settle()
    assert sending.done()
    assert stored(agent)[-1] == 20


async def _send_all(agent: Agent, job: Job, count: int) -> None:
    for index in range(count):
        await agent.session.receive(Output(chunks=(chunk(job, b"four", offset=4 * index),)))


async def test_the_stream_is_not_read_while_too_many_results_wait(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.application.session._MOST_PENDING_RECORDS", 2)
    agent = await plane.static_agent()
    job = await given(plane, agent)

    async def flood() -> None:
        for _ in range(10):
            await agent.session.receive(result(job, stdout_bytes=99))

    flooding = plane.tasks.start(flood(), name="flood")
    await plane.settle()
    assert not flooding.done()


async def test_a_heartbeat_renews_the_lease_and_says_what_is_used(plane: Plane) -> None:
    agent = await plane.static_agent()
    plane.clock.jump(40)
    await agent.say(Heartbeat(usage=Usage(cpu_percent=12.5)))
    plane.clock.jump(40)
    member = plane.fleet.get(agent.id)
    assert member is not None
    assert (plane.fleet.silence_s(member), member.usage.cpu_percent) == (40, 12.5)


async def test_a_worker_that_leaves_says_so(plane: Plane) -> None:
    agent = await plane.static_agent()
    await agent.say(Leaving(message="SIGTERM"))
    assert agent.session.leaving == "SIGTERM"
