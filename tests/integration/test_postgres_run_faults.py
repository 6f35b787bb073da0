"""What the saga engine's store on PostgreSQL does when the database, or the way there, fails it."""

import asyncio
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from conformance.durable_stores_under_test import (
    R1,
    R2,
    SHARD,
    A,
    B,
    attempt,
    delivery,
    event,
    evolved,
    run_row,
    task,
    write,
)
from dev_db import Cluster
from hodei.adapters.postgres.runs import PostgresDurableStore
from hodei.kernel.errors import BrokenError
from hodei.ports.durable import Committed, Fence, Fenced, Moved, NotOpen
from hodei.ports.durable_rows import RunId, RunStatus, ShardId
from hodei.ports.stores import StoreUnavailableError
from support.cutting_proxy import Cut, cutting_proxy

MIB = 1024 * 1024
MARK = "CutHere"
"""In the data of a batch, so that the proxy sees it pass."""


async def outcome_of(store: PostgresDurableStore, **parts: object) -> object:
    """The outcome, an error being one."""
    try:
        return await attempt(store, **parts)
    except StoreUnavailableError as error:
        return error


async def end_sessions(cluster: Cluster, database: str = "tests") -> None:
    await asyncio.to_thread(
        cluster.ask,
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'",
    )


class TestAConnectionThatIsLostOverACommit:
    @pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.HALF])
    async def test_that_did_not_arrive_is_made_good(self, postgres_url: str, cut: Cut):
        async with cutting_proxy(postgres_url) as proxy:
            store = await PostgresDurableStore.open(proxy.url)
            await write(store, new_runs=(run_row(),))
            proxy.cut_at(MARK.encode(), cut)

            outcome = await outcome_of(store, history=(event(1, kind=MARK),))

            assert proxy.cuts == 1
            assert outcome == Committed()
            assert len(await store.read_history(R1, after_seq=0)) == 1
            await store.close()

    async def test_that_was_stored_is_in_doubt_and_stored_once(self, postgres_url: str):
        async with cutting_proxy(postgres_url) as proxy:
            store = await PostgresDurableStore.open(proxy.url)
            await write(store, new_runs=(run_row(),))
            proxy.cut_at(MARK.encode(), Cut.AFTER)

            outcome = await outcome_of(store, history=(event(1, kind=MARK),))

            assert proxy.cuts == 1
            assert isinstance(outcome, StoreUnavailableError)
            assert "is not known" in str(outcome)
            assert await store.read_history(R1, after_seq=0) == [event(1, kind=MARK)]
            await write(store, history=(event(2),))
            await store.close()

    async def test_with_something_that_may_have_been_delivered_is_in_doubt_too(
        self, postgres_url: str
    ):
        async with cutting_proxy(postgres_url) as proxy:
            store = await PostgresDurableStore.open(proxy.url)
            await write(store, new_runs=(run_row(),))
            proxy.cut_at(MARK.encode(), Cut.AFTER)

            outcome = await outcome_of(store, deliveries=(delivery(MARK),))

            # Told to be a repetition, its caller would take it for another's.
            assert isinstance(outcome, StoreUnavailableError)
            assert len(await store.read_inbox(R1, limit=9)) == 1
            await store.close()

    async def test_for_good_is_told_to_all_who_wait(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("hodei.adapters.postgres.group_commits._RECONNECT_S", 0.2)
        async with cutting_proxy(postgres_url) as proxy:
            store = await PostgresDurableStore.open(proxy.url)
            await write(store, new_runs=(run_row(),))
            proxy.cut_at(MARK.encode(), Cut.BEFORE)
            proxy.refuses = True

            in_doubt = await outcome_of(store, history=(event(1, kind=MARK),))
            refused = await outcome_of(store, deliveries=(delivery("x"),))
            proxy.refuses = False

            assert isinstance(in_doubt, StoreUnavailableError)
            assert "is not known" in str(in_doubt)
            assert isinstance(refused, StoreUnavailableError)
            assert "is not known" not in str(refused)
            await write(store, history=(event(1),))
            await store.close()

    @pytest.mark.slow
    async def test_again_and_again_under_load_loses_and_doubles_nothing(
        self, postgres: Cluster, postgres_url: str
    ):
        store = await PostgresDurableStore.open(postgres_url)
        runs = [run_row(RunId(f"run-{each}"), workflow_id=f"wf-{each}") for each in range(8)]
        await write(store, new_runs=tuple(runs))
        stop = asyncio.Event()
        grown: dict[RunId, int] = {}
        committed: asyncio.Queue[RunId] = asyncio.Queue()

        async def grow(run_id: RunId) -> None:
            """As the engine does it: what is in doubt is read again."""
            row = next(each for each in runs if each.run_id == run_id)
            while not stop.is_set():
                after = evolved(row, next_seq=row.next_seq + 1)
                outcome = await outcome_of(
                    store, runs=(after,), history=(event(row.next_seq, run_id),)
                )
                if isinstance(outcome, Committed):
                    row = after
                    grown[run_id] = grown.get(run_id, 0) + 1
                    committed.put_nowait(run_id)
                    continue
                assert isinstance(outcome, StoreUnavailableError)
                row = await loaded(store, run_id)

        async with asyncio.TaskGroup() as tasks:
            for each in runs:
                tasks.create_task(grow(each.run_id))
            for _ in range(6):
                async with asyncio.timeout(15):
                    for _ in range(100):
                        await committed.get()
                await end_sessions(postgres)
            stop.set()

        for run_id, times in grown.items():
            row = await loaded(store, run_id)
            history = await store.read_history(run_id, after_seq=0)
            assert [each.seq for each in history] == list(range(1, row.next_seq))
            assert row.revision == row.next_seq
            assert len(history) >= times
        await store.close()


async def loaded(store: PostgresDurableStore, run_id: RunId):
    while True:
        try:
            row = await store.load_run(run_id)
        except StoreUnavailableError:
            await asyncio.sleep(0.01)
            continue
        assert row is not None
        return row


class TestTwoServers:
    async def test_that_write_one_run_at_once_are_told_apart(self, postgres_url: str):
        first = await PostgresDurableStore.open(postgres_url)
        second = await PostgresDurableStore.open(postgres_url)
        await write(first, new_runs=(run_row(),))
        won = {first: 0, second: 0}

        async def grow(store: PostgresDurableStore) -> None:
            for _ in range(30):
                row = await loaded(store, R1)
                after = evolved(row, next_seq=row.next_seq + 1)
                outcome = await attempt(store, runs=(after,), history=(event(row.next_seq),))
                assert isinstance(outcome, Committed | Moved)
                won[store] += isinstance(outcome, Committed)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(grow(first))
            tasks.create_task(grow(second))

        row = await loaded(first, R1)
        assert row.revision == 1 + sum(won.values())
        assert len(await first.read_history(R1, after_seq=0)) == sum(won.values())
        await first.close()
        await second.close()

    async def test_that_end_a_run_and_deliver_to_it_at_once_leave_nothing_unheard(
        self, postgres_url: str
    ):
        first = await PostgresDurableStore.open(postgres_url)
        second = await PostgresDurableStore.open(postgres_url)
        unheard = 0
        for number in range(30):
            run_id = RunId(f"run-{number}")
            row = run_row(run_id, workflow_id=f"wf-{number}")
            await write(first, new_runs=(row,))
            end = evolved(row, status=RunStatus.COMPLETED)

            async with asyncio.TaskGroup() as tasks:
                ending = tasks.create_task(attempt(first, runs=(end,), require_read=(run_id,)))
                telling = tasks.create_task(attempt(second, deliveries=(delivery("s", run_id),)))

            has_ended = isinstance(ending.result(), Committed)
            unheard += has_ended and isinstance(telling.result(), Committed)
            assert has_ended or isinstance(telling.result(), Committed)
            assert not has_ended or telling.result() == NotOpen(run_id=run_id)
        assert unheard == 0
        await first.close()
        await second.close()

    async def test_are_not_shown_the_same_task_at_once(self, postgres_url: str):
        first = await PostgresDurableStore.open(postgres_url)
        second = await PostgresDurableStore.open(postgres_url)
        await write(first, new_runs=(run_row(),), tasks_new=(task(1), task(2)))

        shown = await first.claimable_tasks(["platform"], limit=1)
        others = await second.claimable_tasks(["platform"], limit=9)

        assert [each.command_id for each in (*shown, *others)] == [1, 2]
        assert await first.claimable_tasks(["platform"], limit=9) == shown
        await first.close()
        await second.close()

    async def test_take_over_at_once_what_one_had_whose_process_is_gone(self, postgres_url: str):
        first = await PostgresDurableStore.open(postgres_url)
        second = await PostgresDurableStore.open(postgres_url)
        await first.heartbeat(A, ttl_s=3600)
        assert await first.take(A, [SHARD, ShardId(1)], ttl_s=3600) == {SHARD: 1, ShardId(1): 1}
        assert await second.heartbeat(B, ttl_s=3600) == [A, B]
        assert await second.take(B, [SHARD], ttl_s=3600) == {}

        # As the death of a process does it: its connections end and nothing is given up.
        await first.close()
        async with asyncio.timeout(10):
            while (living := await second.heartbeat(B, ttl_s=3600)) != [B]:
                assert living == [A, B]
                await asyncio.sleep(0.01)

        assert await second.take(B, [SHARD], ttl_s=3600) == {SHARD: 2}
        stale = Fence(shard_id=SHARD, owner=A, epoch=1)
        assert await attempt(second, fence=stale, new_runs=(run_row(),)) == Fenced(shard_id=SHARD)
        await second.close()

    async def test_of_which_one_commits_while_the_other_takes_its_shard_agree_on_the_order(
        self, postgres_url: str
    ):
        first = await PostgresDurableStore.open(postgres_url)
        second = await PostgresDurableStore.open(postgres_url)
        epoch = (await first.take(A, [SHARD], ttl_s=0))[SHARD]
        fence = Fence(shard_id=SHARD, owner=A, epoch=epoch)
        await write(first, fence=fence, new_runs=(run_row(),))

        async with asyncio.TaskGroup() as tasks:
            committing = [
                tasks.create_task(attempt(first, fence=fence, deliveries=(delivery(f"{number}"),)))
                for number in range(20)
            ]
            taking = tasks.create_task(second.take(B, [SHARD], ttl_s=60))

        accepted = sum(isinstance(each.result(), Committed) for each in committing)
        assert taking.result() == {SHARD: epoch + 1}
        assert len(await second.read_inbox(R1, limit=99)) == accepted
        assert await attempt(first, fence=fence, deliveries=(delivery("late"),)) == Fenced(
            shard_id=SHARD
        )
        await first.close()
        await second.close()


async def test_a_batch_that_cannot_be_written_fails_alone(postgres_url: str):
    store = await PostgresDurableStore.open(postgres_url)
    await write(store, new_runs=(run_row(), run_row(R2)))
    outcomes: dict[str, object] = {}

    async def deliver(number: int) -> None:
        # PostgreSQL has no texts with zeros in them.
        key = "\x00" if number == 2 else f"key-{number}"
        try:
            outcomes[key] = await attempt(store, deliveries=(delivery(key),))
        except (BrokenError, asyncpg.PostgresError) as error:
            outcomes[key] = error

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(deliver(number))

    assert isinstance(outcomes.pop("\x00"), BrokenError)
    assert all(isinstance(each, Committed) for each in outcomes.values())
    assert len(await store.read_inbox(R1, limit=9)) == 4
    await store.close()


async def test_one_that_is_refused_does_not_cost_the_others_of_its_group(postgres_url: str):
    store = await PostgresDurableStore.open(postgres_url)
    first = run_row()
    await write(store, new_runs=(first, run_row(R2)))

    async with asyncio.TaskGroup() as tasks:
        good = [
            tasks.create_task(attempt(store, deliveries=(delivery(f"{number}", R2),)))
            for number in range(5)
        ]
        stale = tasks.create_task(attempt(store, runs=(evolved(evolved(first)),)))
        known = tasks.create_task(attempt(store, deliveries=(delivery("0", R2),)))

    assert all(each.result() == Committed() for each in good)
    assert stale.result() == Moved(key=R1)
    assert known.result() == Committed(repeated=("0",))
    assert len(await store.read_inbox(R2, limit=9)) == 5
    await store.close()


@pytest.fixture
def small_disk(postgres: Cluster) -> Iterator[Path]:
    """A tablespace on a file system of its own, which holds a fresh database and little more."""
    disk = postgres.directory / "disk-of-runs"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m,uid=postgres,mode=700", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can be mounted by root only")
    postgres.ask(f"CREATE TABLESPACE small_runs LOCATION '{disk}'")
    yield disk
    postgres.ask("DROP TABLESPACE small_runs")
    subprocess.run(["umount", str(disk)], check=True)


def enlarge(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=96m", disk], check=True)


@pytest.mark.slow
async def test_a_full_disk_refuses_commits_and_keeps_what_it_has(
    small_disk: Path, postgres: Cluster
):
    postgres.ask("CREATE DATABASE small_runs OWNER hodei TEMPLATE hodei TABLESPACE small_runs")
    store = await PostgresDurableStore.open(postgres.url(database="small_runs"))
    await write(store, new_runs=(run_row(),))
    accepted = 0
    outcome: object = Committed()
    while isinstance(outcome, Committed) and accepted < 50:
        # Random, so that the database cannot make it small.
        outcome = await outcome_of(
            store, history=(event(accepted + 1, data=secrets.token_bytes(2 * MIB)),)
        )
        accepted += isinstance(outcome, Committed)

    assert accepted
    assert isinstance(outcome, StoreUnavailableError)
    assert "free some space" in str(outcome)
    assert len(await store.read_history(R1, after_seq=0)) == accepted
    enlarge(small_disk)
    await write(store, history=(event(accepted + 1, data=secrets.token_bytes(2 * MIB)),))
    await store.close()
    postgres.drop_database("small_runs")


async def test_commits_are_durable_and_see_one_another_whatever_the_database_has_as_its_default(
    own_database: str, postgres: Cluster
):
    database = own_database.rpartition("/")[2]
    postgres.ask(f"ALTER DATABASE {database} SET synchronous_commit = off")
    postgres.ask(f"ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'")
    store = await PostgresDurableStore.open(own_database)

    committing = store._committer._connection
    assert isinstance(committing, asyncpg.Connection)
    assert await committing.fetchval("SHOW synchronous_commit") == "on"
    assert await committing.fetchval("SHOW transaction_isolation") == "read committed"
    await write(store, new_runs=(run_row(),))
    assert await store.take(A, [SHARD], ttl_s=60) == {SHARD: 1}
    await store.close()
