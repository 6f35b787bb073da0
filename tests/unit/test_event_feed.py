"""What several servers commit is told by each of them: all of it, once, in the store's order."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from hodei.adapters.memory import MemoryStore
from hodei.application.journal import job_write
from hodei.domain.jobs import decide
from hodei.domain.jobs.events import JobCreated, JobEvent, JobQueued
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.states import JobState
from hodei.kernel.errors import HodeiError
from hodei.kernel.ids import BEFORE_THE_FIRST, FencingToken, JobId, Position, WorkerId
from hodei.ports.signals import Topic
from hodei.ports.stores import Batch, Committed, Conflict, StoredEvent, StoreUnavailableError
from support.builders import TRUE
from support.chance import NOON
from support.plane import Plane
from support.signals import Air

W = WorkerId("w-1")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hodei.application.event_feed._RETRY_AFTER_S", 0)


@pytest.fixture
def air() -> Air:
    return Air()


@pytest.fixture
async def pair(air: Air) -> AsyncIterator[tuple[Plane, Plane]]:
    a = Plane(air=air, name="a")
    b = Plane(air=air, name="b", beside=a)
    await a.load()
    await b.load()
    yield a, b
    await a.close()
    await b.close()


def heard_by(plane: Plane) -> list[StoredEvent]:
    heard: list[StoredEvent] = []
    plane.bus.listen(heard.extend)
    return heard


async def submit(plane: Plane, job_id: JobId) -> None:
    await plane.submit(ids=(job_id,))


async def give(plane: Plane, job_id: JobId, worker_id: WorkerId) -> None:
    await plane.journal.change_job(
        job_id, lambda job: decide.assign(job, worker_id=worker_id, draw=1)
    )


async def assign(plane: Plane, job_id: JobId) -> None:
    await give(plane, job_id, W)


async def accept(plane: Plane, job_id: JobId) -> None:
    def start(job: Job) -> list[JobEvent]:
        token = job.attempts[-1].token if job.attempts else FencingToken(0)
        return decide.accept(job, attempt=1, token=token)

    await plane.journal.change_job(job_id, start)


async def cancel(plane: Plane, job_id: JobId) -> None:
    await plane.canceller.cancel(job_id, by="me", message="")


async def lose(plane: Plane, job_id: JobId) -> None:
    await plane.journal.change_job(
        job_id, lambda job: decide.lose(job, attempt=1, message="gone", now=NOON, draw=0)
    )


async def test_what_one_server_commits_is_told_by_the_other(pair: tuple[Plane, Plane]) -> None:
    a, b = pair
    heard = heard_by(b)
    [job_id] = await a.submit()
    await a.settle()
    assert [type(each.event) for each in heard] == [JobCreated, JobQueued]
    assert b.journal.held == {}
    await assign(a, job_id)
    await a.settle()
    assert b.journal.held == {job_id: await a.job(job_id)}
    await accept(b, job_id)
    await a.settle()
    assert a.journal.held == b.journal.held == {job_id: await a.job(job_id)}
    assert a.journal.held[job_id].state is JobState.RUNNING


async def test_an_own_commit_is_told_after_what_others_committed_before_it(
    pair: tuple[Plane, Plane], air: Air
) -> None:
    a, b = pair
    air.is_silent = True
    heard = heard_by(b)
    await a.submit(ids=("a",))
    await b.submit(ids=("b",))
    # No hint has come: the gap before its own event has told it.
    assert [each.stream for each in heard] == ["job:a", "job:a", "job:b", "job:b"]
    assert b.journal.position == 4


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of the store: events, and jobs."""
    asked: list[str] = []
    read_events, load_jobs = MemoryStore.read_events, MemoryStore.load_jobs

    async def reading(
        store: MemoryStore, *, after: Position, limit: int, streams: Sequence[str] = ()
    ) -> list[StoredEvent]:
        asked.append("events")
        return await read_events(store, after=after, limit=limit, streams=streams)

    async def loading(store: MemoryStore, ids: Sequence[JobId]) -> dict[JobId, Job]:
        asked.append("jobs")
        return await load_jobs(store, ids)

    monkeypatch.setattr(MemoryStore, "read_events", reading)
    monkeypatch.setattr(MemoryStore, "load_jobs", loading)
    return asked


async def test_what_a_commit_brings_along_is_told_before_it_and_not_read(
    pair: tuple[Plane, Plane], air: Air, reads: list[str]
) -> None:
    a, b = pair
    air.is_silent = True
    heard = heard_by(b)
    await _commit_blindly(b, "first")
    await _commit_blindly(a, "second")
    await assign(a, JobId("second"))
    reads.clear()
    await _commit_blindly(b, "third")
    assert [each.position for each in heard] == [1, 2, 3, 4, 5, 6, 7]
    # Nor is the job that the other has assigned: it was heard from its first event on.
    assert reads == []
    assert b.journal.held == a.journal.held != {}


async def test_what_is_not_brought_along_is_read(
    pair: tuple[Plane, Plane], air: Air, reads: list[str]
) -> None:
    a, b = pair
    air.is_silent, air.brings_along = True, False
    heard = heard_by(b)
    await _commit_blindly(b, "first")
    await _commit_blindly(a, "second")
    reads.clear()
    await _commit_blindly(b, "third")
    assert [each.position for each in heard] == [1, 2, 3, 4, 5, 6]
    assert reads == ["events"]


async def test_a_hint_at_what_was_told_leads_to_no_read(
    pair: tuple[Plane, Plane], air: Air, reads: list[str]
) -> None:
    _, b = pair
    air.is_silent = True
    await _commit_blindly(b, "first")
    assert b.signals is not None
    reads.clear()
    b.signals.hear(Topic.EVENTS, ["1", "2"])
    await b.settle()
    assert reads == []
    b.signals.hear(Topic.EVENTS, ["3"])
    await b.settle()
    assert reads == ["events"]
    # Nothing was there: it is not looked for again and again.
    await _commit_blindly(b, "second")
    await b.settle()
    assert reads == ["events"]


async def test_a_hint_that_comes_while_a_commit_is_under_way_waits_for_it(
    pair: tuple[Plane, Plane], air: Air, reads: list[str]
) -> None:
    a, b = pair
    await _commit_blindly(b, "first")
    await a.settle()
    reads.clear()
    answer = asyncio.Event()

    async def hold_the_second(batch: Batch) -> None:
        if batch.jobs[0].after.id == "second":
            await answer.wait()

    a.shared_store.before_commit = hold_the_second
    b.run(_commit_blindly(b, "second"))
    await b.settle()
    await _commit_blindly(a, "third")
    await a.settle()
    assert reads == []
    air.is_silent = True
    answer.set()
    await b.settle()
    assert reads == []
    assert b.journal.position == 6


async def test_a_hint_can_wait_where_others_hear_of_it_by_their_next_commit(
    pair: tuple[Plane, Plane], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.application.event_feed._COMMITS_OFTEN_S", 1000)
    a, b = pair
    assert a.signals is not None
    await submit(a, JobId("first"))
    await submit(b, JobId("second"))
    await give(a, JobId("first"), W)
    # The first is queued for whoever has room, which need not be one that commits.
    assert a.signals.could_wait == [False, True]
    await submit(a, JobId("third"))
    await cancel(a, JobId("first"))
    await a.invite()
    await give(a, JobId("third"), W)
    # A worker is asked for, and registers.
    assert a.signals.could_wait == [False, True, False, False, False, False, True]


async def test_a_hint_goes_at_once_where_nobody_else_commits(
    pair: tuple[Plane, Plane], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.application.event_feed._COMMITS_OFTEN_S", 1000)
    a, _ = pair
    assert a.signals is not None
    await submit(a, JobId("first"))
    await give(a, JobId("first"), W)
    assert a.signals.could_wait == [False, False]


async def test_a_job_from_before_a_server_began_is_read_when_others_take_it(
    pair: tuple[Plane, Plane], air: Air, reads: list[str]
) -> None:
    a, _ = pair
    await _commit_blindly(a, "early")
    late = Plane(air=air, name="c", beside=a)
    await late.load()
    reads.clear()
    await assign(a, JobId("early"))
    await a.settle()
    assert late.journal.held == a.journal.held != {}
    assert "jobs" in reads
    await late.close()


async def test_a_decision_on_what_is_a_moment_behind_is_made_again(
    pair: tuple[Plane, Plane], air: Air
) -> None:
    a, b = pair
    [job_id] = await a.submit()
    await a.settle()
    air.is_silent = True
    await assign(a, job_id)
    # For b it is still queued.
    assert b.journal.held == {}
    await b.canceller.cancel(job_id, by="me", message="")
    job = await a.job(job_id)
    assert (job.state, job.cancel_requested is not None) == (JobState.ASSIGNED, True)


async def test_what_is_shown_is_what_any_server_has_answered(
    pair: tuple[Plane, Plane], air: Air
) -> None:
    a, b = pair
    [job_id] = await a.submit()
    await assign(a, job_id)
    await a.settle()
    air.is_silent = True
    await accept(a, job_id)
    assert b.journal.held[job_id].state is JobState.ASSIGNED
    assert (await b.journal.shown_job(job_id)).state is JobState.RUNNING


@pytest.fixture
def _positions_begin_at_11(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if those before had been given to a commit that failed."""
    commit = MemoryStore.commit

    def shifted(events: Sequence[StoredEvent]) -> tuple[StoredEvent, ...]:
        return tuple(replace(each, position=Position(each.position + 10)) for each in events)

    async def leave_some_out(store: MemoryStore, batch: Batch) -> Committed | Conflict:
        outcome = await commit(store, batch)
        assert isinstance(outcome, Committed)
        return Committed(events=shifted(outcome.events))

    async def read(
        store: MemoryStore, *, after: Position, limit: int, streams: object = ()
    ) -> list[StoredEvent]:
        return [each for each in shifted(store._events) if each.position > after][:limit]

    monkeypatch.setattr(MemoryStore, "commit", leave_some_out)
    monkeypatch.setattr(MemoryStore, "read_events", read)


@pytest.mark.usefixtures("_positions_begin_at_11")
async def test_positions_of_a_commit_that_failed_are_not_waited_for(
    pair: tuple[Plane, Plane], air: Air
) -> None:
    a, b = pair
    air.is_silent = True
    heard = heard_by(b)

    async def let_the_other_follow(batch: Batch) -> None:
        a.shared_store.before_answer = nothing
        await a.submit(ids=("after",))
        b.journal.feed.look()

    a.shared_store.before_answer = let_the_other_follow
    async with asyncio.timeout(1):
        await b.submit(ids=("own",))
    await b.settle()
    assert [(each.position, each.stream) for each in heard] == [
        (11, "job:own"),
        (12, "job:own"),
        (13, "job:after"),
        (14, "job:after"),
    ]


async def nothing(batch: Batch) -> None:
    pass


async def test_a_job_that_moved_while_nobody_told_is_held_by_its_last_worker_alone(
    pair: tuple[Plane, Plane], air: Air
) -> None:
    a, b = pair
    first, second = await a.static_agent(), await a.static_agent()
    [job_id] = await a.submit()
    await give(a, job_id, first.id)
    await a.settle()
    before = [list(member.jobs) for member in b.fleet.members()]
    air.is_silent = True
    await lose(a, job_id)
    await give(a, job_id, second.id)
    b.journal.feed.look()
    await b.settle()
    assert (before, [list(member.jobs) for member in b.fleet.members()]) == (
        [[job_id], []],
        [[], [job_id]],
    )


async def test_a_large_commit_of_ones_own_that_is_answered_late_is_waited_for_and_not_read() -> (
    None
):
    plane = Plane()
    await plane.load()
    heard = heard_by(plane)
    answer = asyncio.Event()

    async def hold_the_first(batch: Batch) -> None:
        if batch.jobs[0].after.id == "large":
            await answer.wait()

    plane.shared_store.before_answer = hold_the_first
    plane.run(submit(plane, JobId("large")))
    await plane.settle()
    plane.run(submit(plane, JobId("small")))
    await plane.settle()
    reads = plane.shared_store.reads
    assert heard == []
    answer.set()
    await plane.settle()
    assert [each.stream for each in heard] == ["job:large"] * 2 + ["job:small"] * 2
    # What is left are the reads of the two submissions themselves.
    assert plane.shared_store.reads == reads
    await plane.close()


async def test_a_short_job_that_others_ran_is_not_even_loaded(
    pair: tuple[Plane, Plane], air: Air
) -> None:
    a, b = pair
    air.is_silent = True
    [job_id] = await a.submit()
    await assign(a, job_id)
    job = a.journal.held[job_id]
    outcome = decide.Outcome(attempt=1, token=job.attempts[-1].token, reason=None)
    await a.journal.change_job(job_id, lambda job: decide.finish(job, outcome, now=NOON, draw=0))
    before = b.shared_store.reads
    await b.journal.feed.catch_up()
    assert b.shared_store.reads == before
    b.journal.feed.look()
    await b.settle()
    assert b.shared_store.reads == before + 1
    assert b.journal.held == {}
    assert b.journal.position == await b.shared_store.last_position()


async def test_a_feed_that_ends_keeps_nobody_waiting(
    pair: tuple[Plane, Plane], air: Air, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.application.event_feed._RETRY_AFTER_S", 1000)
    a, b = pair
    air.is_silent = True
    await a.submit(ids=("a",))
    b.shared_store.read_failures = 1
    task = b.tasks.start(_commit_blindly(b), name="commit")
    await b.settle()
    assert not task.done()
    await b.journal.close()
    async with asyncio.timeout(1):
        await task


class _Failures:
    """What would have ended the process."""

    def __init__(self, *planes: Plane) -> None:
        self.all: list[tuple[str, str]] = []
        for plane in planes:
            plane.journal.feed._on_failure = self._note

    def _note(self, part: str, error: BaseException) -> None:
        self.all.append((part, str(error)))


def _raise(_: object) -> None:
    raise StoreUnavailableError("it must not raise")


async def test_a_part_that_cannot_take_what_it_is_told_ends_the_server(
    pair: tuple[Plane, Plane], air: Air
) -> None:
    a, b = pair
    failures = _Failures(a, b)
    a.bus.listen(_raise)
    # Its own commit; then what another has committed, which no caller would hear of.
    with pytest.raises(StoreUnavailableError):
        await a.submit(ids=("a",))
    assert failures.all == [("event feed", "it must not raise")]
    b.bus.listen(_raise)
    air.is_silent = True
    b.journal.feed.look()
    await b.settle()
    assert failures.all == [("event feed", "it must not raise")] * 2


async def test_a_feed_that_meets_a_defect_ends_the_server(
    pair: tuple[Plane, Plane], air: Air, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    failures = _Failures(b)

    async def break_down(events: object) -> None:
        raise KeyError("no such job")

    monkeypatch.setattr(b.journal._held, "follow", break_down)
    await a.submit(ids=("a",))
    await b.settle()
    assert failures.all == [("event feed", "'no such job'")]


async def _commit_blindly(plane: Plane, job_id: str = "b") -> None:
    events = decide.submit(JobId(job_id), TRUE, queued_by="me", now=NOON)
    await plane.journal.commit(at=NOON, jobs=[job_write(None, events, NOON)])


async def something_fails(plane: Plane, what: int) -> None:
    match what:
        case 0:
            plane.shared_store.unknown += 1
        case 1:
            plane.shared_store.failures += 1
        case 2:
            plane.shared_store.read_failures += 1
        case _:
            await plane.settle()


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_fails_each_server_tells_everything_once_and_in_order(
    air: Air, seed: int
) -> None:
    chance = random.Random(seed)
    a = Plane(air=air, name="a")
    planes = [a, Plane(air=air, name="b", beside=a), Plane(air=air, name="c", beside=a)]
    for plane in planes:
        await plane.load()
    heard = [heard_by(plane) for plane in planes]

    async def answer_late(batch: Batch) -> None:
        for _ in range(chance.randrange(8)):
            await asyncio.sleep(0)

    async def live(job_id: JobId) -> None:
        for step in (submit, assign, accept, cancel, lose):
            # The store fails, or the step before it has.
            with suppress(HodeiError):
                await step(chance.choice(planes), job_id)

    a.shared_store.before_answer = answer_late
    for number in range(30):
        chance.choice(planes).run(live(JobId(f"job-{number}")))
        air.is_silent = chance.random() < 0.3
        air.brings_along = chance.random() < 0.7
        await something_fails(a, chance.randrange(5))
    await a.settle()
    a.shared_store.failures = a.shared_store.unknown = a.shared_store.read_failures = 0
    stored = await a.shared_store.read_events(after=BEFORE_THE_FIRST, limit=10_000)
    held = {job.id: job for job in await a.shared_store.held_jobs()}
    for plane, told in zip(planes, heard, strict=True):
        plane.journal.feed.look()
        await plane.settle()
        assert told == stored
        assert plane.journal.held == held
    for plane in planes:
        await plane.close()


async def test_an_assignment_by_another_server_is_known_by_its_worker(
    pair: tuple[Plane, Plane],
) -> None:
    a, b = pair
    agent = await b.static_agent(slots=2)
    await b.settle()
    [job_id] = await a.submit()
    await give(a, job_id, agent.id)
    await b.settle()
    member = b.fleet.get(agent.id)
    assert member is not None
    assert list(member.jobs) == [job_id]
    assert [type(each).__name__ for each in agent.link.sent] == ["Welcome", "Servers", "Run"]
