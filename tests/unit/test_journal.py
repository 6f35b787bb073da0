"""The way to the store: what commits is told, exactly once, whatever happens to who asked."""

import asyncio
from collections.abc import Callable

import pytest

from hodei.application.bus import Subscription
from hodei.application.journal import ConflictError, job_write
from hodei.domain.jobs import decide
from hodei.domain.jobs.events import JobAccepted, JobAssigned, JobCancelRequested, JobEvent
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.states import JobState
from hodei.kernel.errors import BrokenError, NotFoundError
from hodei.kernel.ids import JobId, WorkerId
from hodei.ports.stores import Batch, Conflict, StoreUnavailableError
from support.chance import NOON
from support.plane import Plane

W = WorkerId("w-1")


@pytest.fixture
def plane() -> Plane:
    return Plane()


async def assigned(plane: Plane) -> Job:
    [job_id] = await plane.submit()
    return await plane.journal.change_job(
        job_id, lambda job: decide.assign(job, worker_id=W, draw=1)
    )


async def told(subscription: Subscription) -> list[type]:
    events, _ = await subscription.take()
    return [type(stored.event) for stored in events]


async def test_what_commits_is_told_although_its_caller_is_cancelled(plane: Plane) -> None:
    [job_id] = await plane.submit()
    everything = plane.bus.follow(None)
    plane.store.gate.clear()
    change = plane.tasks.start(_assign(plane, job_id), name="assign")
    await plane.settle()
    change.cancel()
    await plane.settle()
    assert not change.done()
    plane.store.gate.set()
    await plane.settle()
    assert change.cancelled()
    assert await told(everything) == [JobAssigned]
    assert plane.journal.held[job_id].state is JobState.ASSIGNED


async def _assign(plane: Plane, job_id: JobId) -> None:
    await plane.journal.change_job(job_id, lambda job: decide.assign(job, worker_id=W, draw=1))


async def test_a_job_that_a_worker_holds_stays_at_hand_when_two_changes_collide(
    plane: Plane,
) -> None:
    job = await assigned(plane)
    plane.store.gate.clear()
    plane.run(
        _change(plane, job, lambda job: decide.cancel(job, by="a", message="")),
        _change(plane, job, _accept),
    )
    await plane.settle()
    plane.store.gate.set()
    await plane.settle()
    held = plane.journal.held[job.id]
    assert held == await plane.job(job.id)
    assert (held.state, held.cancel_requested is not None) == (JobState.RUNNING, True)


async def _change(plane: Plane, job: Job, change: Callable[[Job], list[JobEvent]]) -> None:
    await plane.journal.change_job(job.id, change)


def _accept(job: Job) -> list[JobEvent]:
    assert job.current is not None
    return decide.accept(job, attempt=job.current.number, token=job.current.token)


async def test_a_change_is_decided_again_on_what_another_has_made_of_the_job(plane: Plane) -> None:
    job = await assigned(plane)
    seen: list[JobState] = []

    def accept(job: Job) -> list[JobEvent]:
        seen.append(job.state)
        return [] if job.cancel_requested else _accept(job)

    plane.store.gate.clear()
    plane.run(
        _change(plane, job, lambda job: decide.cancel(job, by="a", message="")),
        _change(plane, job, accept),
    )
    await plane.settle()
    plane.store.gate.set()
    await plane.settle()
    assert seen == [JobState.ASSIGNED, JobState.ASSIGNED]
    # The loser decided for nothing. Its worker holds the job all the same.
    assert plane.journal.held == {job.id: await plane.job(job.id)}


async def test_a_store_that_was_written_behind_the_journals_back_is_believed(plane: Plane) -> None:
    job = await assigned(plane)
    write = job_write(job, decide.cancel(job, by="a", message=""), NOON)
    await plane.store.commit(Batch(at=NOON, jobs=(write,)))
    after = await plane.journal.change_job(job.id, _accept)
    assert after.state is JobState.RUNNING
    assert after.cancel_requested is not None


async def test_a_conflict_writes_and_tells_nothing(plane: Plane) -> None:
    job = await assigned(plane)
    everything = plane.bus.follow(None)
    stale = job_write(job, [JobAccepted(attempt=1)], NOON)
    await plane.journal.change_job(job.id, lambda job: decide.cancel(job, by="a", message=""))
    with pytest.raises(ConflictError):
        await plane.journal.commit(at=NOON, jobs=[stale])
    assert await told(everything) == [JobCancelRequested]


async def test_a_store_that_is_away_changes_and_tells_nothing(plane: Plane) -> None:
    job = await assigned(plane)
    everything = plane.bus.follow(None)
    plane.store.failures = 1
    with pytest.raises(StoreUnavailableError):
        await plane.journal.change_job(job.id, _accept)
    assert plane.journal.held[job.id] == job
    await plane.journal.change_job(job.id, _accept)
    assert await told(everything) == [JobAccepted]


async def test_a_stream_that_is_never_at_rest_is_a_defect(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await assigned(plane)

    async def collide(batch: Batch) -> Conflict:
        return Conflict(streams=(f"job:{job.id}",))

    monkeypatch.setattr(plane.store, "commit", collide)
    with pytest.raises(BrokenError, match="conflict 50 times"):
        await plane.journal.change_job(job.id, _accept)


async def test_a_start_finds_the_jobs_that_workers_hold(plane: Plane) -> None:
    job = await assigned(plane)
    await plane.submit()
    plane.restart()
    await plane.load()
    assert plane.journal.held == {job.id: job}
    assert plane.journal.position == await plane.store.last_position()
    assert plane.journal.held_by(W) == {job.id: job}
    assert plane.journal.held_by(WorkerId("w-2")) == {}


async def test_a_job_that_is_not_there_is_named_with_what_to_do(plane: Plane) -> None:
    with pytest.raises(NotFoundError, match=r"'nothing'.*hodei jobs list"):
        await plane.journal.job(JobId("nothing"))
    with pytest.raises(NotFoundError, match=r"worker 'nobody'.*hodei workers list"):
        await plane.journal.change_worker(WorkerId("nobody"), lambda worker: [])


async def test_a_follower_that_falls_behind_is_told_so_and_costs_no_more_memory(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.application.bus._MOST_QUEUED", 3)
    slow = plane.bus.follow(None)
    await plane.submit(ids=("a", "b"))
    events, overflown = await slow.take()
    assert (len(events), overflown) == (3, True)
    await plane.submit(ids=("c",))
    assert (len((await slow.take())[0]), overflown) == (2, True)


async def test_a_follower_of_some_streams_hears_of_no_other_and_can_leave(plane: Plane) -> None:
    one = plane.bus.follow(["job:a"])
    await plane.submit(ids=("a", "b"))
    events, _ = await one.take()
    assert {stored.stream for stored in events} == {"job:a"}
    plane.bus.unfollow(one)
    plane.bus.unfollow(one)
    await plane.retrier.retry(await _cancelled(plane, "a"), by="me")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await one.take()


async def _cancelled(plane: Plane, job_id: str) -> JobId:
    return (await plane.canceller.cancel(JobId(job_id), by="me", message="")).id
