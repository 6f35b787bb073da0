"""What the saga engine's store on SQLite does when the disk or the process fails it."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from conformance import stores_under_test as jobs
from conformance.durable_stores_under_test import (
    NOON,
    R1,
    SHARD,
    A,
    B,
    attempt,
    delivery,
    event,
    evolved,
    run_row,
    write,
)
from hodei.adapters.sqlite import SqliteDurableStore, SqliteStore, connection
from hodei.kernel.errors import BrokenError
from hodei.lifecycle.system_clock import SystemClock
from hodei.ports import stores
from hodei.ports.durable import Committed, Fence, Fenced
from hodei.ports.durable_rows import RunId
from hodei.ports.stores import StoreUnavailableError

MIB = 1024 * 1024


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path)
    yield store
    await store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can be mounted by root only")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def enlarge(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)


async def test_a_full_disk_refuses_commits_keeps_what_it_has_and_gets_over(small_disk: Path):
    opened = await SqliteStore.open(small_disk)
    store = opened.durable(SystemClock())
    await write(store, new_runs=(run_row(),))
    accepted = 0
    refused: StoreUnavailableError | None = None
    while refused is None:
        try:
            await write(store, history=(event(accepted + 1, data=b"x" * MIB),))
            accepted += 1
        except StoreUnavailableError as error:
            refused = error
    assert accepted
    assert "free some space" in str(refused)
    assert len(await store.read_history(R1, after_seq=0)) == accepted

    enlarge(small_disk)
    await write(store, history=(event(accepted + 1, data=b"x" * MIB),))
    assert len(await store.read_history(R1, after_seq=0)) == accepted + 1
    await opened.close()


async def test_batches_of_jobs_and_of_runs_that_wait_for_the_disk_share_the_next_commit(
    database: SqliteStore, tmp_path: Path
):
    store = database.durable(SystemClock())
    statements: list[str] = []
    database._writer._connection.set_trace_callback(statements.append)
    other = connection.connect(tmp_path)
    other.execute("BEGIN IMMEDIATE")

    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(
                write(
                    store, new_runs=(run_row(RunId(f"run-{number:02}"), workflow_id=f"{number}"),)
                )
            )
            batch = stores.Batch(at=NOON, jobs=(jobs.new_job(f"job-{number}"),))
            tasks.create_task(database.commit(batch))
        await asyncio.sleep(0)
        other.execute("ROLLBACK")

    assert statements.count("COMMIT") <= 2
    assert await store.load_run(RunId("run-49")) is not None
    other.close()


async def test_a_batch_that_cannot_be_written_fails_alone(database: SqliteStore):
    store = database.durable(SystemClock())
    await write(store, new_runs=(run_row(),))
    outcomes: list[object] = []

    async def deliver(key: str) -> None:
        try:
            outcomes.append(await attempt(store, deliveries=(delivery(key),)))
        except (UnicodeEncodeError, BrokenError) as error:
            outcomes.append(error)

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            # A lone surrogate cannot be written as UTF-8.
            tasks.create_task(deliver("\ud800" if number == 2 else f"key-{number}"))

    assert sum(isinstance(each, Committed) for each in outcomes) == 4
    keys = [each.delivery.key for each in await store.read_inbox(R1, limit=9)]
    assert keys == ["key-0", "key-1", "key-3", "key-4"]


async def test_a_batch_with_a_gap_in_a_history_is_a_defect_and_fails_alone(
    database: SqliteStore,
):
    store = database.durable(SystemClock())
    await write(store, new_runs=(run_row(),))

    with pytest.raises(BrokenError, match="gap"):
        await attempt(store, history=(event(2),))
    with pytest.raises(BrokenError, match="inbox"):
        await attempt(store, consumed=(7,))

    assert await store.read_history(R1, after_seq=0) == []


async def test_a_server_that_is_started_again_waits_for_no_lease_and_has_a_new_epoch(
    tmp_path: Path,
):
    first = await SqliteStore.open(tmp_path)
    before = await first.durable(SystemClock()).take(A, [SHARD], ttl_s=3600)
    await first.close()

    second = await SqliteStore.open(tmp_path)
    store = second.durable(SystemClock())
    after = await store.take(B, [SHARD], ttl_s=3600)

    assert after[SHARD] > before[SHARD]
    stale = Fence(shard_id=SHARD, owner=A, epoch=before[SHARD])
    assert await attempt(store, fence=stale, new_runs=(run_row(),)) == Fenced(shard_id=SHARD)
    await second.close()


async def test_a_commit_whose_caller_is_cancelled_is_whole_or_not_there(database: SqliteStore):
    store = database.durable(SystemClock())
    first = run_row()
    await write(store, new_runs=(first,))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            task = tasks.create_task(_grow(store))
            await asyncio.sleep(0)
            task.cancel()

    row = await store.load_run(R1)
    assert row is not None
    assert len(await store.read_history(R1, after_seq=0)) == row.next_seq - 1


async def _grow(store: SqliteDurableStore) -> None:
    row = await store.load_run(R1)
    assert row is not None
    after = evolved(row, next_seq=row.next_seq + 1)
    await attempt(store, runs=(after,), history=(event(row.next_seq),))
