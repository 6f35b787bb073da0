"""What every store owes, asked of each of them in the same words."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from conformance.stores_under_test import (
    NOON,
    OPENERS,
    W1,
    W2,
    accepted,
    after,
    assigned,
    at,
    cancelled,
    demand_id_of,
    ended,
    finished,
    new_job,
    new_worker,
    put_job,
    put_jobs,
    put_worker,
    spec,
    worker_after,
)
from hodei.adapters.postgres import PostgresStore
from hodei.domain.jobs import decide
from hodei.domain.jobs.events import JobCreated, JobQueued
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import (
    Exec,
    Priority,
    Resources,
    RetryPolicy,
    Script,
    Selector,
    SelectorOperator,
    SelectorRequirement,
    Toleration,
)
from hodei.domain.jobs.states import JobState
from hodei.domain.placement.demand import demand_of
from hodei.domain.workers import decide as decide_worker
from hodei.domain.workers.events import WorkerReady, WorkerRegistered
from hodei.kernel.errors import BrokenError, InvalidFieldsError
from hodei.kernel.ids import BEFORE_THE_FIRST, JobId, Position, WorkerId
from hodei.ports.stores import (
    Batch,
    Committed,
    Conflict,
    JobFilter,
    Removed,
    Store,
    StoredEvent,
    StoreUnavailableError,
    WorkerWrite,
)

BIG = 4 * 1024 * 1024


@pytest.fixture(params=[*OPENERS, "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "postgres":
        # As a server opens it; that several may share one is asked in test_postgres_servers.
        opened = await PostgresStore.open(request.getfixturevalue("postgres_url"))
    else:
        opened = await OPENERS[request.param](tmp_path)
    yield opened
    await opened.close()


class TestCommit:
    async def test_returns_its_events_with_their_places(self, store: Store):
        first = await put_job(store, new_job("first"))
        write, worker = new_job("second", now=at(1)), new_worker("w-1", now=at(1))

        committed = await store.commit(
            Batch(
                at=at(1), jobs=(write,), workers=(worker,), correlation_id="corr", causation_id="9"
            )
        )

        assert committed == Committed(
            events=tuple(
                StoredEvent(
                    position=Position(first.version + index),
                    stream=stream,
                    version=version,
                    event=event,
                    at=at(1),
                    correlation_id="corr",
                    causation_id="9",
                )
                for index, (stream, version, event) in enumerate(
                    [
                        ("job:second", 1, write.events[0]),
                        ("job:second", 2, write.events[1]),
                        ("worker:w-1", 1, worker.events[0]),
                    ],
                    start=1,
                )
            )
        )
        assert (
            tuple(await store.read_events(after=Position(first.version), limit=10))
            == committed.events
        )

    async def test_of_a_stale_write_is_a_conflict_that_changes_nothing(self, store: Store):
        stale = await put_job(store, new_job("a"))
        current = await put_job(store, assigned(stale))

        outcome = await store.commit(
            Batch(at=NOON, jobs=(new_job("b"), cancelled(stale)), workers=(new_worker("w-1"),))
        )

        assert outcome == Conflict(streams=("job:a",))
        assert await store.load_jobs([JobId("a"), JobId("b")]) == {"a": current}
        assert await store.living_workers() == []
        assert await store.last_position() == current.version

    async def test_names_every_stream_in_conflict(self, store: Store):
        await put_job(store, new_job("a"))
        await put_worker(store, new_worker("w-1"))

        outcome = await store.commit(
            Batch(at=NOON, jobs=(new_job("a"), new_job("b")), workers=(new_worker("w-1"),))
        )

        assert outcome == Conflict(streams=("job:a", "worker:w-1"))

    async def test_of_a_later_version_than_the_next_is_a_conflict(self, store: Store):
        job = new_job("never-stored").after

        assert await store.commit(Batch(at=NOON, jobs=(assigned(job),))) == Conflict(
            streams=("job:never-stored",)
        )

    async def test_without_events_only_asks_for_the_version(self, store: Store):
        worker = await put_worker(store, new_worker("w-1"))
        unchanged = WorkerWrite(events=(), after=worker)

        committed = await store.commit(Batch(at=NOON, jobs=(new_job("a"),), workers=(unchanged,)))
        await put_worker(store, ended(worker))
        refused = await store.commit(Batch(at=NOON, jobs=(new_job("b"),), workers=(unchanged,)))

        assert isinstance(committed, Committed)
        assert len(committed.events) == 2
        assert refused == Conflict(streams=("worker:w-1",))

    async def test_of_nothing_is_committed(self, store: Store):
        assert await store.commit(Batch(at=NOON)) == Committed(events=())

    async def test_refuses_a_stream_that_is_written_twice(self, store: Store):
        with pytest.raises(BrokenError, match="twice"):
            await store.commit(Batch(at=NOON, jobs=(new_job("a"), new_job("a"))))

        assert await store.last_position() == BEFORE_THE_FIRST

    async def test_of_many_at_once_each_commit_alone(self, store: Store):
        outcomes: list[Committed | Conflict] = []

        async def submit(job_id: str) -> None:
            outcomes.append(await store.commit(Batch(at=NOON, jobs=(new_job(job_id),))))

        async with asyncio.TaskGroup() as tasks:
            for number in range(200):
                # Every id twice: of each pair, one is too late.
                tasks.create_task(submit(f"job-{number // 2}"))

        events = await store.read_events(after=BEFORE_THE_FIRST, limit=1000)
        assert sum(isinstance(each, Committed) for each in outcomes) == 100
        assert sum(isinstance(each, Conflict) for each in outcomes) == 100
        assert [each.position for each in events] == list(range(1, 201))
        assert {(each.stream, each.version) for each in events} == {
            (f"job:job-{number}", version) for number in range(100) for version in (1, 2)
        }
        assert {e.position for o in outcomes if isinstance(o, Committed) for e in o.events} == {
            each.position for each in events
        }

    async def test_of_concurrent_writers_of_one_job_loses_none(self, store: Store):
        policy = RetryPolicy(max_attempts=100, initial_backoff_s=0)
        await put_job(store, new_job("a", spec(retry=policy)))

        async def run_once() -> None:
            while True:
                job = (await store.load_jobs([JobId("a")]))[JobId("a")]
                write = assigned(job)
                number = len(write.after.attempts)
                events = decide.lose(write.after, attempt=number, message="", now=NOON, draw=0)
                lost = after(write.after, events)
                both = replace(lost, events=write.events + lost.events)
                if isinstance(await store.commit(Batch(at=NOON, jobs=(both,))), Committed):
                    return

        async with asyncio.TaskGroup() as tasks:
            for _ in range(12):
                tasks.create_task(run_once())

        job = (await store.load_jobs([JobId("a")]))[JobId("a")]
        assert [each.number for each in job.attempts] == list(range(1, 13))
        assert await store.read_events(after=Position(job.version), limit=1) == []

    async def test_of_a_cancelled_caller_is_whole_or_not_at_all(self, store: Store):
        for number in range(20):
            commit = asyncio.Event()

            async def submit(number: int = number, begun: asyncio.Event = commit) -> None:
                begun.set()
                await store.commit(
                    Batch(at=NOON, jobs=(new_job(f"a-{number}"), new_job(f"b-{number}")))
                )

            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(submit())
                await commit.wait()
                for _ in range(number % 4):
                    await asyncio.sleep(0)
                task.cancel()

        # Commits of one caller keep their order: when this one returns, those above are decided.
        await put_job(store, new_job("afterwards"))
        found = await store.load_jobs(
            [JobId(f"{which}-{number}") for which in "ab" for number in range(20)]
        )
        events = await store.read_events(after=BEFORE_THE_FIRST, limit=1000)
        assert len(events) == 2 * len(found) + 2
        for number in range(20):
            assert (f"a-{number}" in found) == (f"b-{number}" in found)

    async def test_that_was_handed_over_is_finished_by_close(self, store: Store):
        outcomes: list[Committed | Conflict] = []
        begun = asyncio.Event()

        async def submit(job_id: str) -> None:
            begun.set()
            outcomes.append(await store.commit(Batch(at=NOON, jobs=(new_job(job_id),))))

        async with asyncio.TaskGroup() as tasks:
            for number in range(10):
                tasks.create_task(submit(f"job-{number}"))
            await begun.wait()
            for _ in range(10):
                await asyncio.sleep(0)
            # While the first are being written.
            for number in range(10, 50):
                tasks.create_task(submit(f"job-{number}"))
            await asyncio.sleep(0)
            await store.close()

        assert len(outcomes) == 50
        assert all(isinstance(each, Committed) for each in outcomes)

    async def test_after_close_says_that_the_store_is_closed(self, store: Store):
        await store.close()
        await store.close()

        with pytest.raises(StoreUnavailableError, match="closed"):
            await store.commit(Batch(at=NOON, jobs=(new_job("a"),)))
        with pytest.raises(StoreUnavailableError, match="closed"):
            await store.last_position()


class TestReadEvents:
    async def test_goes_on_after_a_position_up_to_a_limit(self, store: Store):
        await put_jobs(store, new_job("a"), new_job("b"))

        assert await store.last_position() == 4
        first = await store.read_events(after=BEFORE_THE_FIRST, limit=3)
        rest = await store.read_events(after=first[-1].position, limit=3)

        assert [each.position for each in first + rest] == [1, 2, 3, 4]
        assert [type(each.event) for each in first + rest] == [JobCreated, JobQueued] * 2
        assert await store.read_events(after=Position(4), limit=3) == []

    async def test_of_some_streams_leaves_out_the_others(self, store: Store):
        a, _, _ = await put_jobs(store, new_job("a"), new_job("b"), new_job("c"))
        await put_worker(store, new_worker("w-1"))
        await put_job(store, cancelled(a))

        streams = ["worker:w-1", "job:a"]
        found = await store.read_events(after=Position(1), limit=10, streams=streams)

        assert [(each.stream, each.version) for each in found] == [
            ("job:a", 2),
            ("worker:w-1", 1),
            ("job:a", 3),
            ("job:a", 4),
        ]
        assert await store.read_events(after=Position(1), limit=2, streams=streams) == found[:2]
        assert await store.read_events(after=Position(0), limit=9, streams=["job:none"]) == []


class TestJobs:
    async def test_are_loaded_as_they_were_stored(self, store: Store):
        everything = spec(
            command=Exec(argv=(b"echo", b"", b"\xff\x00 'x'")),
            name="Näme",
            environment={"A": "1"},
            stdin=b"\x00\x01",
            timeout_s=1.5,
            deadline_s=3600.0,
            retry=RetryPolicy(max_attempts=3, retry_on=frozenset({ReasonCode.WORKER_LOST})),
            priority=Priority.CRITICAL,
            labels={"team": "blue"},
            tags=("nightly", "slow"),
            selector=Selector(
                match_labels={"zone": "a"},
                match_expressions=(
                    SelectorRequirement(key="k", operator=SelectorOperator.IN, values=("1", "2")),
                ),
            ),
            tolerations=(Toleration(key="gpu", operator="Exists"),),
            resources=Resources(cpu_millicores=500, gpu_types=("t4",), custom={"licence": 1}),
        )
        job = await put_job(store, new_job("a", everything))
        for step in (assigned, accepted):
            job = await put_job(store, step(job, now=at(2)), now=at(2))
            assert await store.load_jobs([job.id]) == {job.id: job}
        failed = finished(job, ReasonCode.WORKER_LOST, now=at(3))
        job = await put_job(store, failed, now=at(3))
        assert job.state is JobState.PENDING
        assert await store.load_jobs([job.id, JobId("none")]) == {job.id: job}
        assert await store.load_jobs([]) == {}

    async def test_keep_every_attempt(self, store: Store):
        job = await put_job(
            store, new_job("a", spec(retry=RetryPolicy(max_attempts=9, initial_backoff_s=0)))
        )
        for _ in range(4):
            job = await put_job(store, assigned(job))
            job = await put_job(store, finished(job, ReasonCode.IO_ERROR))
        job = await put_job(store, assigned(job))

        assert await store.load_jobs([job.id]) == {job.id: job}
        assert len(job.attempts) == 5

    @pytest.mark.parametrize("size", [BIG, BIG // 4])
    async def test_may_have_large_definitions(self, store: Store, size: int):
        large = spec(command=Script(interpreter="bash", content="é" * (size // 2)))
        job = await put_job(store, new_job("a", large))

        assert await store.load_jobs([job.id]) == {job.id: job}
        assert await store.claimable([demand_id_of(large)], limit=1) == [job]

    async def test_held_are_those_that_a_worker_has(self, store: Store):
        a, b, c, d = await put_jobs(store, *(new_job(each) for each in "abcd"))
        a = await put_job(store, assigned(a, W1))
        b = await put_job(store, accepted(await put_job(store, assigned(b, W2))))
        await put_job(store, finished(await put_job(store, assigned(c, W1))))

        assert await store.held_jobs() == [a, b]
        assert await store.held_jobs(W1) == [a]
        assert await store.held_jobs(W2) == [b]
        assert await store.held_jobs(WorkerId("w-3")) == []
        assert d.state is JobState.QUEUED


class TestQueue:
    async def test_gives_the_highest_priority_first_then_the_oldest(self, store: Store):
        ids = [
            ("z", Priority.LOW),
            ("y", Priority.NORMAL),
            ("x", Priority.CRITICAL),
            ("w", Priority.NORMAL),
            ("v", Priority.CRITICAL),
        ]
        await put_jobs(store, *(new_job(each, spec(priority=priority)) for each, priority in ids))
        # An earlier time does not make it older: the store's order does.
        await put_job(store, new_job("u", now=at(-60)), now=at(-60))

        found = await store.claimable([demand_id_of(spec())], limit=10)

        assert [job.id for job in found] == ["x", "v", "y", "w", "u", "z"]
        assert await store.claimable([demand_id_of(spec())], limit=2) == found[:2]

    async def test_gives_only_the_demands_that_are_asked_for(self, store: Store):
        big, small = (spec(resources=Resources(cpu_millicores=n)) for n in (9000, 10))
        jobs = await put_jobs(
            store, new_job("a", small), new_job("b", big), new_job("c"), new_job("d", small)
        )

        asked = [demand_id_of(small), demand_id_of(spec()), "of no job"]

        assert await store.claimable(asked, limit=10) == [jobs[0], jobs[2], jobs[3]]
        assert await store.claimable(asked + asked, limit=10) == [jobs[0], jobs[2], jobs[3]]
        assert await store.claimable([], limit=10) == []

    async def test_gives_the_highest_priority_of_all_demands_when_not_all_are_given(
        self, store: Store
    ):
        urgent = spec(priority=Priority.HIGH, resources=Resources(cpu_millicores=10))
        _, b = await put_jobs(store, new_job("a"), new_job("b", urgent))

        assert await store.claimable([demand_id_of(spec()), demand_id_of(urgent)], limit=1) == [b]

    async def test_leaves_out_what_is_not_queued(self, store: Store):
        a, b = await put_jobs(store, new_job("a"), new_job("b"))
        await put_job(store, assigned(a))

        assert await store.claimable([demand_id_of(spec())], limit=10) == [b]

    async def test_a_job_that_comes_back_keeps_its_place(self, store: Store):
        a, b = await put_jobs(store, new_job("a"), new_job("b"))
        held = await put_job(store, assigned(a))
        lost = decide.lose(held, attempt=1, message="gone", now=at(5), draw=0)
        a = await put_job(store, after(held, lost, now=at(5)), now=at(5))

        assert await store.claimable([demand_id_of(spec())], limit=10) == [a, b]

    async def test_is_told_by_demand(self, store: Store):
        urgent = spec(
            priority=Priority.HIGH, selector=Selector(match_labels={"zone": "b", "arch": "arm"})
        )
        same = replace(urgent, selector=Selector(match_labels={"arch": "arm", "zone": "b"}))
        a, _, c, d = await put_jobs(
            store, new_job("a"), new_job("b"), new_job("c", urgent), new_job("d", same)
        )

        ordinary, first = demand_id_of(spec()), demand_id_of(urgent)
        told = await store.queued_demands()
        assert [(each.demand_id, each.count, each.first_job) for each in told] == [
            (first, 2, "c"),
            (ordinary, 2, "a"),
        ]
        assert [each.demand for each in told] == [demand_of(urgent), demand_of(spec())]

        await put_job(store, assigned(a))
        await put_jobs(store, cancelled(c), cancelled(d))
        (left,) = await store.queued_demands()
        assert (left.demand_id, left.count, left.first_job) == (ordinary, 1, "b")

    async def test_counts_a_job_again_when_it_is_queued_again(self, store: Store):
        job = await put_job(store, cancelled(await put_job(store, new_job("a"))))
        assert await store.queued_demands() == []

        await put_job(store, after(job, decide.retry(job, by="tester")))

        (told,) = await store.queued_demands()
        assert (told.count, told.first_job) == (1, "a")


class TestDueJobs:
    async def test_come_by_their_time(self, store: Store):
        retried = spec(retry=RetryPolicy(max_attempts=2, initial_backoff_s=30, jitter=0))
        waiting = await put_job(store, new_job("waits", retried))
        waiting = await put_job(store, assigned(waiting))
        waiting = await put_job(store, finished(waiting, ReasonCode.IO_ERROR))
        late, later, _ = await put_jobs(
            store,
            new_job("deadline", spec(deadline_s=10.0)),
            new_job("later", spec(deadline_s=60.0)),
            new_job("never"),
        )

        assert await store.next_due() == at(10)
        assert await store.due_jobs(at(9.999999), limit=9) == []
        assert await store.due_jobs(at(10), limit=9) == [late]
        assert await store.due_jobs(at(100), limit=9) == [late, waiting, later]
        assert await store.due_jobs(at(100), limit=2) == [late, waiting]

    async def test_leave_out_what_has_ended(self, store: Store):
        job = await put_job(store, new_job("a", spec(deadline_s=10.0)))
        await put_job(store, cancelled(job))

        assert await store.due_jobs(at(100), limit=9) == []
        assert await store.next_due() is None

    async def test_no_longer_wait_for_a_time_once_they_are_queued(self, store: Store):
        retried = spec(retry=RetryPolicy(max_attempts=2, initial_backoff_s=30))
        job = await put_job(store, assigned(await put_job(store, new_job("a", retried))))
        job = await put_job(store, finished(job, ReasonCode.IO_ERROR))
        await put_job(store, after(job, decide.fall_due(job, now=at(99)), now=at(99)), now=at(99))

        assert await store.next_due() is None
        assert len(await store.claimable([demand_id_of(retried)], limit=9)) == 1


class TestListJobs:
    async def test_shows_the_newest_first(self, store: Store):
        a, b, c = await put_jobs(store, *(new_job(each) for each in "abc"))

        page = await store.list_jobs(JobFilter(), limit=3)

        assert (page.jobs, page.next_cursor, page.total) == ((c, b, a), "", 3)
        assert (await store.list_jobs(JobFilter(), limit=1, offset=1)).jobs == (b,)
        assert (await store.list_jobs(JobFilter(), limit=5, offset=9)).jobs == ()
        queued = JobFilter(states=(JobState.QUEUED, JobState.FAILED))
        assert (await store.list_jobs(queued, limit=1, offset=2)).jobs == (a,)

    async def test_of_nothing_is_one_empty_page(self, store: Store):
        page = await store.list_jobs(JobFilter(states=(JobState.FAILED,)), limit=3)

        assert (page.jobs, page.next_cursor, page.total) == ((), "", 0)

    @pytest.mark.parametrize("states", [(), (JobState.QUEUED, JobState.CANCELLED)])
    async def test_skips_and_repeats_none_while_jobs_come_and_go(
        self, store: Store, states: tuple[JobState, ...]
    ):
        jobs = await put_jobs(store, *(new_job(f"old-{n}") for n in range(10)))
        job_filter = JobFilter(states=states)
        seen: list[str] = []
        page = await store.list_jobs(job_filter, limit=3)
        while True:
            seen += [job.id for job in page.jobs]
            if not page.next_cursor:
                break
            await put_job(store, new_job(f"new-{len(seen)}"))
            if len(seen) == 3:
                await put_job(store, cancelled(jobs[5]))
            page = await store.list_jobs(job_filter, limit=3, cursor=page.next_cursor)

        assert seen == [f"old-{n}" for n in reversed(range(10))]
        assert page.total == 13

    async def test_refuses_a_cursor_that_is_not_its_own(self, store: Store):
        await put_jobs(store, *(new_job(each) for each in "abc"))
        await put_worker(store, new_worker("w-1"))
        await put_worker(store, new_worker("w-2"))

        of_jobs = (await store.list_jobs(JobFilter(), limit=1)).next_cursor
        _, of_workers = await store.list_workers(include_ended=True, limit=1)
        with pytest.raises(InvalidFieldsError):
            await store.list_jobs(JobFilter(), limit=1, cursor=of_workers)
        with pytest.raises(InvalidFieldsError):
            await store.list_workers(include_ended=True, limit=1, cursor=of_jobs)
        for cursor in ("nonsense", "ä", "////", "a" * 1000, "am9iczp4", "MQ=="):
            with pytest.raises(InvalidFieldsError) as caught:
                await store.list_jobs(JobFilter(), limit=1, cursor=cursor)
            assert [each.field for each in caught.value.violations] == ["page_token"]
            with pytest.raises(InvalidFieldsError):
                await store.list_workers(include_ended=True, limit=1, cursor=cursor)

    async def test_filters_by_state(self, store: Store):
        a, b, c, d = await put_jobs(store, *(new_job(each) for each in "abcd"))
        a = await put_job(store, assigned(a))
        b = await put_job(store, cancelled(b))

        async def listed(*states: JobState) -> tuple[object, ...]:
            page = await store.list_jobs(JobFilter(states=states), limit=9)
            assert page.total == len(page.jobs)
            return page.jobs

        assert await listed(JobState.QUEUED) == (d, c)
        assert await listed(JobState.CANCELLED, JobState.ASSIGNED) == (b, a)
        assert await listed(JobState.QUEUED, JobState.ASSIGNED, JobState.QUEUED) == (d, c, a)
        assert await listed(JobState.FAILED) == ()

    async def test_filters_by_name_and_by_part_of_id_or_name(self, store: Store):
        await put_jobs(
            store,
            new_job("build-1", spec(name="Über-Build")),
            new_job("build-2", spec(name="deploy 100%")),
            new_job("x_y", spec(name="deploy 100")),
        )

        async def ids(job_filter: JobFilter) -> list[str]:
            return [job.id for job in (await store.list_jobs(job_filter, limit=9)).jobs]

        assert await ids(JobFilter(name="deploy 100%")) == ["build-2"]
        assert await ids(JobFilter(name="deploy")) == []
        assert await ids(JobFilter(search="BUILD")) == ["build-2", "build-1"]
        assert await ids(JobFilter(search="über")) == ["build-1"]
        assert await ids(JobFilter(search="100%")) == ["build-2"]
        assert await ids(JobFilter(search="_")) == ["x_y"]
        assert await ids(JobFilter(search="deploy", name="deploy 100")) == ["x_y"]

    async def test_filters_by_labels_and_tags(self, store: Store):
        await put_jobs(
            store,
            new_job("a", spec(labels={"team": "blue", "env": "ci"}, tags=("slow", "gpu"))),
            new_job("b", spec(labels={"team": "blue"}, tags=("slow", "slow"))),
            new_job("c", spec(labels={"team": "red", "x.y/z": 'q"uote'}, tags=("slow",))),
        )

        async def ids(job_filter: JobFilter) -> list[str]:
            page = await store.list_jobs(job_filter, limit=9)
            assert page.total == len(page.jobs)
            return [job.id for job in page.jobs]

        assert await ids(JobFilter(labels={"team": "blue"})) == ["b", "a"]
        assert await ids(JobFilter(labels={"team": "blue", "env": "ci"})) == ["a"]
        assert await ids(JobFilter(labels={"x.y/z": 'q"uote'})) == ["c"]
        assert await ids(JobFilter(labels={"team": "ci"})) == []
        assert await ids(JobFilter(tags=("slow",))) == ["c", "b", "a"]
        assert await ids(JobFilter(tags=("slow", "gpu", "slow"))) == ["a"]
        assert await ids(JobFilter(labels={"team": "red"}, tags=("gpu",))) == []
        queued = (JobState.QUEUED,)
        assert await ids(JobFilter(states=queued, labels={"team": "blue"})) == ["b", "a"]

    async def test_filters_by_time_of_creation(self, store: Store):
        for seconds in range(4):
            write = new_job(f"at-{seconds}", now=at(seconds))
            await put_job(store, write, now=at(seconds))

        job_filter = JobFilter(created_after=at(1), created_before=at(3))
        page = await store.list_jobs(job_filter, limit=9)

        assert [job.id for job in page.jobs] == ["at-2", "at-1"]


class TestWorkers:
    async def test_are_loaded_as_they_were_stored(self, store: Store):
        worker = await put_worker(store, new_worker("w-1"))
        assert await store.load_worker(worker.id) == worker

        worker = await put_worker(
            store,
            worker_after(
                worker,
                [
                    *decide_worker.provisioned(worker, {"pid": "12"}),
                    WorkerRegistered(
                        key_hash=b"\xff\x00", serial="0a", chain_pem="pem", not_after=at(99)
                    ),
                    WorkerReady(
                        session_epoch=1,
                        slots=4,
                        labels={"zone": "b"},
                        resources=Resources(cpu_millicores=2000),
                        taints=(),
                        agent_version="0.1.0",
                        hostname="host",
                        name="name",
                    ),
                ],
            ),
        )

        assert await store.load_worker(worker.id) == worker
        assert await store.load_worker(WorkerId("none")) is None

    async def test_that_live_are_told_from_those_that_have_ended(self, store: Store):
        a, b = [await put_worker(store, new_worker(each)) for each in ("a", "b")]
        a = await put_worker(store, ended(a))

        assert await store.living_workers() == [b]
        assert await store.list_workers(include_ended=False, limit=9) == ([b], "")
        assert await store.list_workers(include_ended=True, limit=9) == ([b, a], "")

    async def test_are_listed_in_pages_newest_first(self, store: Store):
        for number in range(5):
            await put_worker(store, new_worker(f"w-{number}"))
        seen: list[str] = []
        workers, cursor = await store.list_workers(include_ended=True, limit=2)
        while True:
            seen += [each.id for each in workers]
            if not cursor:
                break
            await put_worker(store, new_worker(f"newer-{len(seen)}"))
            workers, cursor = await store.list_workers(include_ended=True, limit=2, cursor=cursor)

        assert seen == ["w-4", "w-3", "w-2", "w-1", "w-0"]


async def ended_streams(store: Store, limit: datetime, *, at_most: int = 100) -> list[str]:
    """All pages together."""
    found: list[str] = []
    after: Position | None = BEFORE_THE_FIRST
    while after is not None:
        page = await store.ended_before(limit, after=after, at_most=at_most)
        found += page.streams
        after = page.next
    return found


class TestLettingGo:
    async def given(self, store: Store) -> None:
        """Two jobs and a worker that ended at 10 and 20, and others that did not."""
        old, late, running, *_ = await put_jobs(
            store,
            new_job("old", spec(labels={"a": "b"}, tags=("t",))),
            new_job("late"),
            new_job("running"),
            new_job("queued"),
            new_job("retried", spec(retry=RetryPolicy(max_attempts=2, initial_backoff_s=60))),
        )
        gone = await put_worker(store, new_worker("gone"))
        await put_worker(store, new_worker("living"))
        old = await put_job(store, assigned(old))
        await put_job(store, finished(old, now=at(10)), now=at(10))
        await put_job(store, cancelled(late, now=at(20)), now=at(20))
        await put_job(store, assigned(running))
        await put_worker(store, ended(gone, now=at(10)), now=at(10))

    async def test_shows_what_ended_before_a_limit_oldest_first(self, store: Store):
        await self.given(store)

        assert await ended_streams(store, at(10)) == []
        assert await ended_streams(store, at(11)) == ["job:old", "worker:gone"]
        assert await ended_streams(store, at(21)) == ["job:old", "job:late", "worker:gone"]
        assert await ended_streams(store, at(21), at_most=1) == [
            "job:old",
            "job:late",
            "worker:gone",
        ]

    async def test_looks_no_further_than_what_began_before_the_limit(self, store: Store):
        await self.given(store)
        for number in range(5):
            new = await put_job(store, new_job(f"new-{number}", now=at(30)), now=at(30))
            await put_job(store, cancelled(new, now=at(31)), now=at(31))

        page = await store.ended_before(at(25), after=BEFORE_THE_FIRST, at_most=4)

        assert page.streams == ("job:old", "job:late", "worker:gone")
        assert page.next is None

    async def test_leaves_nothing_of_what_it_removes_and_all_of_the_rest(self, store: Store):
        await self.given(store)
        before = await store.read_events(after=BEFORE_THE_FIRST, limit=1000)

        removed = await store.remove(["job:old", "worker:gone"], ended_before=at(11))

        gone = {"job:old", "worker:gone"}
        assert removed == Removed(
            jobs=1, workers=1, events=sum(each.stream in gone for each in before)
        )
        events = await store.read_events(after=BEFORE_THE_FIRST, limit=1000)
        assert events == [each for each in before if each.stream not in gone]
        assert await store.read_events(after=BEFORE_THE_FIRST, limit=9, streams=["job:old"]) == []
        assert await store.load_jobs([JobId("old")]) == {}
        assert await store.load_worker(WorkerId("gone")) is None
        listed = await store.list_jobs(JobFilter(), limit=100)
        assert [each.id for each in listed.jobs] == ["retried", "queued", "running", "late"]
        assert listed.total == 4
        for job_filter in (JobFilter(labels={"a": "b"}), JobFilter(tags=("t",))):
            assert (await store.list_jobs(job_filter, limit=100)).jobs == ()
        assert [each.id for each in await store.living_workers()] == ["living"]
        assert [each.count for each in await store.queued_demands()] == [2]

    async def test_leaves_alone_what_has_not_ended_or_not_long_enough(self, store: Store):
        await self.given(store)
        before = await store.read_events(after=BEFORE_THE_FIRST, limit=1000)

        removed = await store.remove(
            ["job:late", "job:running", "job:queued", "job:never", "worker:living", "worker:x"],
            ended_before=at(20),
        )

        assert removed == Removed()
        assert await store.read_events(after=BEFORE_THE_FIRST, limit=1000) == before

    async def test_leaves_alone_what_was_begun_again_meanwhile(self, store: Store):
        job = await put_job(store, new_job("a"))
        job = await put_job(store, cancelled(job))
        (stream,) = (await store.ended_before(at(9), after=BEFORE_THE_FIRST, at_most=9)).streams
        job = await put_job(store, after(job, decide.retry(job, by="tester"), now=at(5)), now=at(5))

        assert await store.remove([stream], ended_before=at(9)) == Removed()
        assert await store.load_jobs([job.id]) == {job.id: job}

    async def test_gives_no_position_and_no_cursor_twice(self, store: Store):
        await self.given(store)
        last = await store.last_position()
        page = await store.list_jobs(JobFilter(), limit=2)
        (worker,) = await store.living_workers()
        await put_worker(store, ended(worker, now=at(20)), now=at(20))
        newest = await store.last_position()
        assert newest > last

        removed = await store.remove(
            ["worker:living", "job:old", "worker:gone"], ended_before=at(30)
        )
        assert (removed.jobs, removed.workers) == (1, 2)

        rest = await store.list_jobs(JobFilter(), limit=9, cursor=page.next_cursor)
        assert [each.id for each in rest.jobs] == ["running", "late"]
        # The id may be used again, and begins anew.
        again = new_job("old", now=at(40))
        await put_job(store, again, now=at(40))
        events = await store.read_events(after=BEFORE_THE_FIRST, limit=99, streams=["job:old"])
        assert [each.version for each in events] == list(range(1, len(again.events) + 1))
        assert events[0].position > newest
