"""Opening and closing a worker's stream: who it is, what it holds, what becomes of that."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from hodei.application.connect_worker import ConnectWorker, Rhythm
from hodei.application.links import Cancel, DrainOrder, HeldAttempt, Hello, Output, Run, Welcome
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.spec import RetryPolicy
from hodei.domain.jobs.states import AttemptState, JobState
from hodei.domain.logs import LogStream
from hodei.domain.workers.events import WorkerTerminated
from hodei.domain.workers.states import WorkerState
from hodei.domain.workers.versions import AgentVersionError
from hodei.kernel.errors import UnauthenticatedError, UnavailableError, WrongStateError
from hodei.kernel.ids import FencingToken, JobId, WorkerId
from hodei.kernel.version import VERSION
from hodei.ports.pki import WorkerIdentity
from hodei.ports.stores import Batch, StoreUnavailableError
from support.builders import chunk, ready, result, spec, started
from support.chance import NOON
from support.links import RecordingLink
from support.plane import Agent, Plane, running


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with running(Plane()) as plane:
        yield plane


async def given(plane: Plane, agent: Agent, job_id: str = "a", **definition: object) -> Job:
    await plane.submit(spec(**definition), ids=(job_id,))
    await plane.settle()
    return agent.link.of(Run)[-1].job


def runs(agent: Agent) -> list[JobId]:
    return [run.job.id for run in agent.link.of(Run)]


async def test_the_welcome_comes_first_and_says_the_rhythm(plane: Plane) -> None:
    await plane.submit()
    agent = await plane.static_agent()
    await plane.settle()
    welcome, run = agent.link.sent
    assert isinstance(welcome, Welcome)
    assert isinstance(run, Run)
    assert (welcome.heartbeat_interval_s, welcome.lease_s, welcome.session_epoch) == (15, 60, 1)


async def test_a_worker_is_ready_after_its_first_stream_and_reconnected_after_others(
    plane: Plane,
) -> None:
    agent = await plane.static_agent(slots=3, labels={"zone": "a"})
    first = await plane.worker(agent.id)
    assert (first.state, first.slots, first.labels) == (WorkerState.READY, 3, {"zone": "a"})
    await agent.disconnect()
    assert not (await plane.worker(agent.id)).connected
    await agent.connect()
    again = await plane.worker(agent.id)
    assert (again.connected, again.session_epoch) == (True, 2)


async def test_an_order_lost_with_the_stream_is_sent_again(plane: Plane) -> None:
    agent = await plane.static_agent()
    await given(plane, agent)
    await agent.disconnect()
    await agent.connect()
    assert runs(agent) == ["a"]
    assert len((await plane.job(JobId("a"))).attempts) == 1


async def test_an_attempt_that_the_agent_holds_goes_on_from_what_is_stored(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(started(job), Output(chunks=(chunk(job, b"abc"),)))
    await agent.disconnect()
    await agent.connect(agent.holds(job))
    [verdict] = agent.link.of(Welcome)[0].verdicts
    assert (verdict.keep, verdict.stored[LogStream.STDOUT]) == (True, 3)
    assert runs(agent) == []
    await agent.say(result(job, stdout_bytes=3))
    assert (await plane.job(job.id)).state is JobState.SUCCEEDED


async def test_a_start_that_was_lost_with_the_stream_is_learned_from_hello(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.disconnect()
    await agent.connect(agent.holds(job, started=True))
    await plane.settle()
    assert (await plane.job(job.id)).state is JobState.RUNNING


async def test_what_the_agent_holds_and_is_not_its_own_is_to_be_forgotten(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    held = agent.holds(job, started=True)
    await agent.disconnect()
    await agent.connect(
        replace(held, token=FencingToken(9)),
        replace(held, attempt=2),
        HeldAttempt(job_id=JobId("x"), attempt=1, token=FencingToken(1), started=True),
    )
    assert [verdict.keep for verdict in agent.link.of(Welcome)[0].verdicts] == [False] * 3
    # It does not hold the attempt that it was told to run: it is told again.
    assert runs(agent) == ["a"]


async def test_of_two_attempts_of_a_job_the_agent_goes_on_with_the_current_one_alone(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    held = agent.holds(await given(plane, agent), started=True)
    await agent.disconnect()
    await agent.connect(replace(held, attempt=2, token=FencingToken(9)), held)
    assert [verdict.keep for verdict in agent.link.of(Welcome)[0].verdicts] == [False, True]


@pytest.mark.parametrize("was_known_to_run", [True, False])
async def test_an_attempt_whose_output_has_a_hole_is_lost_and_begun_again(
    plane: Plane, *, was_known_to_run: bool
) -> None:
    """The stores are those of a backup: the agent has let go of what it was told is stored."""
    agent = await plane.static_agent()
    retry = RetryPolicy(max_attempts=2, initial_backoff_s=0, jitter=0)
    job = await given(plane, agent, retry=retry)
    if was_known_to_run:
        await agent.say(started(job), Output(chunks=(chunk(job, b"abc"),)))
    await agent.disconnect()

    await agent.connect(replace(agent.holds(job), acknowledged={LogStream.STDOUT: 9}))
    await plane.settle()

    [verdict] = agent.link.of(Welcome)[0].verdicts
    assert not verdict.keep
    again = await plane.job(job.id)
    assert again.attempts[0].state is AttemptState.LOST
    assert "restored from a backup" in again.attempts[0].reason.message
    assert plane.counters.snapshot()["attempts_torn"] == 1
    assert [run.job.attempts[-1].number for run in agent.link.of(Run)] == [2]


async def test_output_that_is_stored_beyond_what_the_agent_knows_is_no_hole(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(started(job), Output(chunks=(chunk(job, b"abc"),)))
    await agent.disconnect()
    for acknowledged in (0, 2, 3):
        held = replace(agent.holds(job), acknowledged={LogStream.STDOUT: acknowledged})
        await agent.connect(held)
        assert [verdict.keep for verdict in agent.link.of(Welcome)[0].verdicts] == [True]
        await agent.disconnect()


async def test_a_running_attempt_that_the_agent_has_forgotten_is_lost_at_once(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(started(job))
    await agent.disconnect()
    await agent.connect()
    ended = await plane.job(job.id)
    assert ended.attempts[0].state is AttemptState.LOST
    assert (ended.state, ended.reason.code if ended.reason else "") == (
        JobState.FAILED,
        "WORKER_LOST",
    )
    member = plane.fleet.get(agent.id)
    assert member is not None
    assert member.jobs == {}


async def test_a_cancellation_reaches_a_worker_whose_stream_was_down(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(started(job))
    await agent.disconnect()
    await plane.canceller.cancel(job.id, by="me", message="")
    await agent.connect(agent.holds(job))
    assert [each.job_id for each in agent.link.of(Cancel)] == ["a"]


async def test_a_cancelled_order_that_never_arrived_is_not_sent_again(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.disconnect()
    await plane.canceller.cancel(job.id, by="me", message="")
    await agent.connect()
    assert runs(agent) == []
    assert (await plane.job(job.id)).state is JobState.CANCELLED


async def test_a_newer_stream_supersedes_the_older_whose_end_changes_nothing(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    old_link, old_session = agent.link, agent.session
    await agent.connect(agent.holds(job, started=False))
    assert "superseded" in (old_link.closed or "")
    await plane.connector.close(old_session, message="the stream ended")
    member = plane.fleet.get(agent.id)
    assert member is not None
    assert member.link is agent.link
    worker = await plane.worker(agent.id)
    assert (worker.connected, worker.session_epoch) == (True, 2)
    await agent.say(result(job))
    assert (await plane.job(job.id)).state is JobState.SUCCEEDED


async def test_of_two_streams_that_open_at_once_the_later_one_stays(plane: Plane) -> None:
    worker_id = await plane.invite()
    links = [RecordingLink(), RecordingLink()]
    agent = Agent(plane, worker_id, ready())

    async def connect(link: RecordingLink) -> None:
        await plane.connector.open(agent.identity, Hello(ready=agent.has, held=()), link)

    plane.store.gate.clear()
    plane.run(*(connect(link) for link in links))
    await plane.settle()
    plane.store.gate.set()
    await plane.settle()
    member = plane.fleet.get(worker_id)
    assert member is not None
    assert [link.closed is None for link in links].count(True) == 1
    assert member.link is next(link for link in links if link.closed is None)
    assert (await plane.worker(worker_id)).session_epoch == 2


async def test_a_stream_that_a_newer_one_overtook_while_it_opened_gives_way(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(started(job))
    await agent.disconnect()
    gate = asyncio.Event()

    async def hold(batch: Batch) -> None:
        if batch.jobs:
            await gate.wait()

    plane.store.before_commit = hold
    # It has forgotten the job, and waits while that is written down.
    slow = RecordingLink()
    hello = Hello(ready=agent.has, held=())
    opening = plane.tasks.start(_open(plane, agent, hello, slow), name="slow")
    await plane.settle()
    await agent.connect(agent.holds(job))
    gate.set()
    await plane.settle()
    assert opening.done()
    assert "superseded" in (slow.closed or "")
    assert slow.sent == []
    member = plane.fleet.get(agent.id)
    assert member is not None
    assert member.link is agent.link


async def _open(plane: Plane, agent: Agent, hello: Hello, link: RecordingLink) -> None:
    await plane.connector.open(agent.identity, hello, link)


async def test_a_job_assigned_while_the_stream_opens_is_sent_once_and_after_the_welcome(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    gate = asyncio.Event()

    async def hold(batch: Batch) -> None:
        if any(write.after.state is JobState.ASSIGNED for write in batch.jobs):
            await gate.wait()
        elif batch.workers:
            gate.set()
            await plane.settle()

    plane.store.before_commit = hold
    await plane.submit_elsewhere("a")
    plane.dispatcher.look_anew()
    await plane.settle()
    # Its assignment commits while the new stream is being written down.
    await agent.connect()
    await plane.settle()
    assert [type(message) for message in agent.link.sent] == [Welcome, Run]


@pytest.mark.parametrize("which", ["store", "log store"])
async def test_a_store_that_is_away_leaves_no_stream_behind(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.say(started(job))
    await agent.disconnect()
    if which == "store":
        plane.store.failures = 1
    else:
        monkeypatch.setattr(plane.logs, "ends", _away)
    with pytest.raises(StoreUnavailableError):
        await agent.connect(agent.holds(job))
    member = plane.fleet.get(agent.id)
    assert member is not None
    assert (member.link, member.free_slots) == (None, 0)
    monkeypatch.undo()
    await agent.connect(agent.holds(job))
    assert agent.link.of(Welcome)[0].verdicts[0].keep


async def _away(job_id: JobId, attempt: int) -> dict[LogStream, int]:
    raise StoreUnavailableError("the disk does not answer")


async def test_a_worker_that_is_taken_down_while_it_connects_gets_no_stream(plane: Plane) -> None:
    worker_id = await plane.invite()

    async def end(batch: Batch) -> None:
        plane.store.before_commit = _nothing
        await plane.ender.end(worker_id, why=None, message="no longer wanted")

    plane.store.before_commit = end
    with pytest.raises(UnauthenticatedError):
        await plane.connect(worker_id)
    assert (await plane.worker(worker_id)).state is WorkerState.TERMINATED


async def test_a_worker_that_is_being_ended_once_its_stream_is_written_gets_none(
    plane: Plane,
) -> None:
    worker_id = await plane.invite()
    plane.fleet.on_change(lambda: _begin_to_end(plane, worker_id))
    with pytest.raises(WrongStateError):
        await plane.connect(worker_id)
    member = plane.fleet.get(worker_id)
    assert member is not None
    assert member.link is None


def _begin_to_end(plane: Plane, worker_id: WorkerId) -> None:
    member = plane.fleet.get(worker_id)
    if member is not None and member.worker.ready_at is not None:
        member.is_ending = True


async def _nothing(_: object) -> None:
    pass


async def test_a_worker_that_has_ended_or_never_was_is_refused(plane: Plane) -> None:
    agent = await plane.static_agent()
    await plane.ender.end(agent.id, why=None, message="done")
    assert "taken down" in (agent.link.closed or "")
    with pytest.raises(WrongStateError):
        await agent.connect()
    with pytest.raises(WrongStateError):
        await plane.connect(WorkerId("nobody"))


async def test_a_certificate_that_is_none_of_its_newest_two_is_refused(plane: Plane) -> None:
    worker_id = await plane.invite()
    forged = WorkerIdentity(worker_id=worker_id, serial="ff", not_after=NOON)
    with pytest.raises(UnauthenticatedError, match="ff is not a current one"):
        await plane.connector.open(forged, Hello(ready=ready(), held=()), RecordingLink())


async def test_a_draining_worker_that_comes_back_is_told_to_drain_again(plane: Plane) -> None:
    agent = await plane.static_agent()
    job = await given(plane, agent)
    await agent.disconnect()
    await plane.drainer.drain(agent.id, by="me")
    await agent.connect(agent.holds(job, started=False))
    assert [each.terminate for each in agent.link.of(DrainOrder)] == [True]
    assert plane.fleet.get(agent.id).free_slots == 0  # pyright: ignore[reportOptionalMemberAccess]


async def test_a_server_that_starts_anew_resends_orders_and_loses_what_agents_forgot(
    plane: Plane,
) -> None:
    agent = await plane.static_agent(slots=3)
    ordered, kept, forgotten = [await given(plane, agent, name) for name in "abc"]
    await agent.say(started(kept), started(forgotten))
    await plane.close()
    plane.restart()
    await plane.load()
    plane.run_all()
    await agent.connect(agent.holds(kept))
    assert runs(agent) == [ordered.id]
    assert (await plane.job(forgotten.id)).state is JobState.FAILED
    await agent.say(result(kept), result(ordered))
    assert [job.state for job in await plane.jobs()] == [
        JobState.SUCCEEDED,
        JobState.SUCCEEDED,
        JobState.FAILED,
    ]


async def test_a_start_gives_back_jobs_whose_worker_ended_in_the_moment_of_a_crash(
    plane: Plane,
) -> None:
    agent = await plane.static_agent()
    await given(plane, agent)
    other = await plane.static_agent()
    await plane.close()
    # The last thing that the server before wrote down.
    await plane.journal.change_worker(agent.id, lambda worker: [WorkerTerminated(message="done")])
    plane.restart()
    await plane.load()
    await plane.orphans.give_back()
    assert (await plane.job(JobId("a"))).state is JobState.QUEUED
    plane.run_all()
    await other.connect()
    await plane.settle()
    assert runs(other) == ["a"]


def at_version(plane: Plane, version: str) -> ConnectWorker:
    """The same, at a server of this version."""
    return ConnectWorker(
        plane.parts, Rhythm(heartbeat_interval_s=15, lease_s=60), plane.doors, version=version
    )


async def test_an_agent_of_the_release_before_finishes_its_job_and_goes(plane: Plane) -> None:
    plane.connector = at_version(plane, "1.0.0")
    agent = await plane.static_agent(agent_version="1.0.0")
    job = await given(plane, agent)
    await agent.say(started(job))
    await agent.disconnect()
    plane.connector = at_version(plane, "1.1.0")
    await agent.connect(agent.holds(job))
    worker = await plane.worker(agent.id)
    assert worker.state is WorkerState.DRAINING
    assert agent.link.of(DrainOrder) == [DrainOrder(terminate=True)]
    assert agent.link.of(Welcome)[0].verdicts[0].keep
    await agent.say(result(job))
    assert (await plane.job(job.id)).state is JobState.SUCCEEDED


async def test_a_new_agent_of_the_release_before_serves(plane: Plane) -> None:
    plane.connector = at_version(plane, "1.1.0")
    agent = await plane.static_agent(agent_version="1.0.0")
    await given(plane, agent)
    assert agent.link.of(DrainOrder) == []


async def test_an_older_agent_is_refused_for_good_and_a_newer_one_for_now(plane: Plane) -> None:
    agent = await plane.static_agent(agent_version=VERSION)
    await agent.disconnect()
    plane.connector = at_version(plane, "9.9.0")
    with pytest.raises(AgentVersionError, match="too old"):
        await agent.connect()
    plane.connector = at_version(plane, "0.0.1")
    with pytest.raises(UnavailableError, match="upgrade this one too"):
        await agent.connect()
    member = plane.fleet.get(agent.id)
    assert member is not None
    assert member.link is None
