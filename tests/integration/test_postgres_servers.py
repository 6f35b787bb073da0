"""Two stores on one database, as two servers have them."""

import asyncio

import pytest

from conformance.stores_under_test import (
    NOON,
    W1,
    after,
    assigned,
    cancelled,
    demand_id_of,
    finished,
    new_job,
    put_job,
    put_jobs,
    spec,
)
from conformance.test_membership_conformance import entry as server_entry
from dev_db import Cluster
from hodei.adapters.postgres import PostgresMembership, PostgresStore
from hodei.domain.jobs import decide
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import RetryPolicy
from hodei.kernel.ids import BEFORE_THE_FIRST, JobId, Position, ServerId
from hodei.ports.stores import Batch, Committed, Conflict, JobWrite, OthersEvents, StoredEvent

DEMAND = demand_id_of(spec())
LONG_S = 60.0


async def two_stores(
    url: str, *, reserved_s: float = LONG_S
) -> tuple[PostgresStore, PostgresStore]:
    first = await PostgresStore.open(url, server="a", reserved_s=reserved_s)
    return first, await PostgresStore.open(url, server="b", reserved_s=reserved_s)


async def close(*stores: PostgresStore) -> None:
    for store in stores:
        await store.close()


class TestEvents:
    @pytest.mark.slow
    async def test_of_many_writers_are_read_without_a_gap_while_they_are_written(
        self, postgres_url: str
    ):
        stores = await two_stores(postgres_url)
        reader = await PostgresStore.open(postgres_url)
        seen: list[StoredEvent] = []
        per_task, tasks_each = 40, 6

        async def write(store: PostgresStore, name: str) -> None:
            for number in range(per_task):
                await put_job(store, new_job(f"{name}-{number}"))

        async def read() -> None:
            position = BEFORE_THE_FIRST
            while len(seen) < 2 * per_task * 2 * tasks_each:
                page = await reader.read_events(after=position, limit=1000)
                seen.extend(page)
                position = page[-1].position if page else position

        async with asyncio.timeout(15), asyncio.TaskGroup() as tasks:
            tasks.create_task(read())
            for number, store in enumerate(stores):
                for task in range(tasks_each):
                    tasks.create_task(write(store, f"{number}-{task}"))

        assert seen == await reader.read_events(after=BEFORE_THE_FIRST, limit=10_000)
        assert len({each.stream for each in seen}) == per_task * 2 * tasks_each
        await close(*stores, reader)

    async def test_of_many_writers_are_kept_apart_whatever_the_database_has_as_its_default(
        self, own_database: str, postgres: Cluster
    ):
        name = own_database.rpartition("/")[2]
        postgres.ask(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")
        stores = await two_stores(own_database)

        async def write(store: PostgresStore, name: str) -> None:
            for number in range(30):
                await put_job(store, new_job(f"{name}-{number}"))

        async with asyncio.timeout(15), asyncio.TaskGroup() as tasks:
            for number, store in enumerate(stores):
                tasks.create_task(write(store, str(number)))

        (demand,) = await stores[0].queued_demands()
        assert demand.count == 60
        await close(*stores)

    async def test_of_one_stream_are_in_the_order_of_their_versions(self, postgres_url: str):
        stores = await two_stores(postgres_url)
        retried = spec(retry=RetryPolicy(max_attempts=100, initial_backoff_s=0))
        await put_job(stores[0], new_job("a", retried))

        async def run_on(store: PostgresStore) -> None:
            for _ in range(10):
                while True:
                    job = next(iter((await store.load_jobs(["a"])).values()))
                    if job.current is None:
                        write = assigned(job)
                    else:
                        write = finished(job, ReasonCode.IO_ERROR)
                    if isinstance(await store.commit(Batch(at=NOON, jobs=(write,))), Committed):
                        break

        async with asyncio.timeout(15), asyncio.TaskGroup() as tasks:
            for store in stores:
                tasks.create_task(run_on(store))

        events = await stores[0].read_events(after=BEFORE_THE_FIRST, limit=1000, streams=["job:a"])
        assert [each.version for each in events] == list(range(1, len(events) + 1))
        assert len(events) >= 22
        await close(*stores)

    async def test_of_one_store_are_seen_by_the_other_once_the_commit_returns(
        self, postgres_url: str, postgres: Cluster
    ):
        first, second = await two_stores(postgres_url)
        # Whatever else goes on in the database: a reader depends on nobody's transaction but ours.
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.to_thread(postgres.ask, LONG_WRITE, database="tests"))
            for number in range(20):
                job = await put_job(first, new_job(f"job-{number}"))
                events = await second.read_events(after=2 * number, limit=10)
                assert [each.stream for each in events] == [f"job:{job.id}"] * 2
        await close(first, second)


LONG_WRITE = "BEGIN; SELECT pg_current_xact_id(); SELECT pg_sleep(1); COMMIT"


class TestACommit:
    async def test_brings_along_what_others_have_stored_since_the_one_before(
        self, postgres_url: str
    ):
        a, b = await two_members(postgres_url)
        await put_job(a, new_job("first"))
        others = await outcome_of(b, new_job("second"))
        await put_job(b, new_job("third"))

        brought = (await outcome_of(a, new_job("fourth"))).others

        assert others.others is None  # b has not committed before: nobody knows what it has heard
        assert brought is not None
        assert (brought.after, brought.until) == (2, 6)
        assert brought.events == tuple(await a.read_events(after=Position(2), limit=4))
        nothing = (await outcome_of(a, new_job("fifth"))).others
        assert nothing == OthersEvents(after=Position(8), until=Position(8), events=())
        await close(a, b)

    async def test_brings_nothing_along_where_it_would_be_much(self, postgres_url: str):
        a, b = await two_members(postgres_url)
        await put_job(a, new_job("first"))
        await put_jobs(b, *(new_job(f"other-{number}") for number in range(251)))

        assert (await outcome_of(a, new_job("second"))).others is None
        last = (await outcome_of(a, new_job("third"))).others
        assert last == OthersEvents(after=Position(506), until=Position(506), events=())
        await close(a, b)

    async def test_of_which_a_part_conflicts_is_stored_in_its_other_part(self, postgres_url: str):
        a, b = await two_members(postgres_url)
        job = await put_job(a, new_job("wanted"))
        await put_job(a, new_job("before"))
        await put_job(b, assigned(job))
        batches = [(new_job("one"),), (assigned(job), new_job("two")), (new_job("three"),)]
        outcomes: list[Committed | Conflict] = []

        async def submit(jobs: tuple[JobWrite, ...]) -> None:
            outcomes.append(await a.commit(Batch(at=NOON, jobs=jobs)))

        async with asyncio.TaskGroup() as tasks:
            for jobs in batches:
                tasks.create_task(submit(jobs))

        assert [each for each in outcomes if isinstance(each, Conflict)] == [
            Conflict(streams=("job:wanted",))
        ]
        found = await a.load_jobs([JobId(each) for each in ("wanted", "one", "two", "three")])
        assert set(found) == {"wanted", "one", "three"}
        demands = await a.queued_demands()
        assert [each.count for each in demands] == [3]
        await close(a, b)


async def two_members(url: str) -> list[PostgresStore]:
    """Stores of servers that have joined."""
    stores: list[PostgresStore] = []
    for name in ("a", "b"):
        me = ServerId(f"{name}-1")
        membership = PostgresMembership(url, server=name)
        await membership.join(server_entry(me, name), lease_s=60)
        await membership.close()
        stores.append(await PostgresStore.open(url, server=name, member=lambda me=me: me))
    return stores


async def outcome_of(store: PostgresStore, *jobs: JobWrite) -> Committed:
    outcome = await store.commit(Batch(at=NOON, jobs=jobs))
    assert isinstance(outcome, Committed)
    return outcome


class TestClaims:
    async def test_of_two_stores_at_once_have_no_job_in_common_and_leave_none_out(
        self, postgres_url: str
    ):
        first, second = await two_stores(postgres_url)
        jobs = await put_jobs(first, *(new_job(f"job-{number}") for number in range(200)))
        given: list[Job] = []

        async def claim_all(store: PostgresStore) -> None:
            while claimed := await store.claimable([DEMAND], limit=7):
                given.extend(claimed)
                await put_jobs(store, *(assigned(each) for each in claimed))

        async with asyncio.timeout(15), asyncio.TaskGroup() as tasks:
            for store in (first, second):
                tasks.create_task(claim_all(store))

        assert sorted(each.id for each in given) == sorted(each.id for each in jobs)
        assert len(await first.held_jobs(W1)) == 200
        await close(first, second)

    async def test_are_kept_from_the_other_store_and_given_again_to_the_same(
        self, postgres_url: str
    ):
        first, second = await two_stores(postgres_url)
        a, b, c = await put_jobs(first, *(new_job(each) for each in "abc"))

        assert await first.claimable([DEMAND], limit=2) == [a, b]
        assert await second.claimable([DEMAND], limit=3) == [c]
        assert await first.claimable([DEMAND], limit=3) == [a, b]
        await close(first, second)

    async def test_of_a_server_are_not_waited_for_when_it_is_started_again(self, postgres_url: str):
        first = await PostgresStore.open(postgres_url, server="a", reserved_s=LONG_S)
        jobs = await put_jobs(first, *(new_job(each) for each in "abc"))
        assert await first.claimable([DEMAND], limit=3) == list(jobs)
        await first.close()

        again = await PostgresStore.open(postgres_url, server="a", reserved_s=LONG_S)
        assert await again.claimable([DEMAND], limit=3) == list(jobs)
        await again.close()

    async def test_of_a_store_that_has_died_are_given_to_the_other_after_a_while(
        self, postgres_url: str
    ):
        first, second = await two_stores(postgres_url, reserved_s=0.3)
        jobs = await put_jobs(first, *(new_job(each) for each in "abc"))
        assert await first.claimable([DEMAND], limit=3) == list(jobs)
        assert await second.claimable([DEMAND], limit=3) == []
        await first.close()

        claimed: list[Job] = []
        async with asyncio.timeout(5):
            # Nothing happens when the time has come, and it comes for one after the other: there is
            # only asking again.
            while len(claimed) < len(jobs):
                claimed = await second.claimable([DEMAND], limit=3)

        assert claimed == list(jobs)
        await second.close()

    async def test_that_have_run_out_are_decided_by_the_version(self, postgres_url: str):
        first, second = await two_stores(postgres_url, reserved_s=0.0)
        await put_job(first, new_job("a"))
        (late,), (early,) = (
            await first.claimable([DEMAND], limit=1),
            await second.claimable([DEMAND], limit=1),
        )

        await put_job(second, assigned(early))

        refused = await first.commit(Batch(at=NOON, jobs=(assigned(late),)))
        assert refused == Conflict(streams=("job:a",))
        await close(first, second)

    async def test_end_with_the_job_s_next_change(self, postgres_url: str):
        first, second = await two_stores(postgres_url)
        job = await put_job(first, new_job("a"))
        await first.claimable([DEMAND], limit=1)
        job = await put_job(first, cancelled(job))

        job = await put_job(first, after(job, decide.retry(job, by="tester")))

        assert await second.claimable([DEMAND], limit=1) == [job]
        await close(first, second)
