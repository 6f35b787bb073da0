"""What the SQLite store does when the disk, the database or the process fails it."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.stores_under_test import NOON, new_job, put_job, spec
from hodei.adapters.sqlite import SqliteStore, connection
from hodei.adapters.sqlite.rebuild import rebuild
from hodei.domain.jobs.spec import Script
from hodei.kernel.ids import BEFORE_THE_FIRST, JobId
from hodei.ports.stores import Batch, Committed, JobWrite, StoreUnavailableError

MIB = 1024 * 1024


def large_job(job_id: str) -> JobWrite:
    return new_job(job_id, spec(command=Script(interpreter="sh", content="x" * 2 * MIB)))


async def commit(store: SqliteStore, write: JobWrite) -> object:
    """The outcome, an error being one."""
    try:
        return await store.commit(Batch(at=NOON, jobs=(write,)))
    except (StoreUnavailableError, UnicodeEncodeError) as error:
        return error


async def commit_together(store: SqliteStore, *writes: JobWrite) -> list[object]:
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(commit(store, each)) for each in writes]
    return [each.result() for each in running]


async def stored_ids(store: SqliteStore) -> set[str]:
    events = await store.read_events(after=BEFORE_THE_FIRST, limit=10_000)
    return {each.stream.removeprefix("job:") for each in events}


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


class TestAFullDisk:
    async def test_refuses_commits_keeps_what_it_has_and_takes_more_once_there_is_space(
        self, small_disk: Path
    ):
        store = await SqliteStore.open(small_disk)
        accepted: set[str] = set()
        refused: StoreUnavailableError | None = None
        for number in range(100):
            outcome = await commit(store, large_job(f"job-{number}"))
            if not isinstance(outcome, Committed):
                assert isinstance(outcome, StoreUnavailableError)
                refused = outcome
                break
            accepted.add(f"job-{number}")
        assert accepted
        assert refused is not None
        assert "free some space" in str(refused)
        assert await stored_ids(store) == accepted

        enlarge(small_disk)
        await put_job(store, large_job("afterwards"))
        await store.close()

        again = await SqliteStore.open(small_disk)
        assert await stored_ids(again) == accepted | {"afterwards"}
        loaded = await again.load_jobs([JobId(each) for each in accepted])
        assert set(loaded) == accepted
        await again.close()

    async def test_fails_only_the_batches_that_do_not_fit(self, tmp_path: Path):
        store = await SqliteStore.open(tmp_path)
        writing = store._writer._connection
        (pages,) = writing.execute("PRAGMA page_count").fetchone()
        writing.execute(f"PRAGMA max_page_count = {pages + 60}")

        small = [new_job(f"small-{number}") for number in range(6)]
        outcomes = await commit_together(store, *small[:3], large_job("large"), *small[3:])

        assert [isinstance(each, Committed) for each in outcomes] == [True] * 3 + [False] + [
            True
        ] * 3
        assert isinstance(outcomes[3], StoreUnavailableError)
        assert await stored_ids(store) == {each.after.id for each in small}
        assert await store.last_position() == 12
        writing.execute("PRAGMA max_page_count = 1000000")
        await put_job(store, large_job("large"))
        await store.close()


async def test_a_batch_that_cannot_be_written_fails_alone(tmp_path: Path):
    store = await SqliteStore.open(tmp_path)
    good = [new_job(f"good-{number}") for number in range(4)]
    outcomes: list[object] = []

    async def submit(write: JobWrite, correlation_id: str) -> None:
        batch = Batch(at=NOON, jobs=(write,), correlation_id=correlation_id)
        try:
            outcomes.append(await store.commit(batch))
        except UnicodeEncodeError as error:
            outcomes.append(error)

    async with asyncio.TaskGroup() as tasks:
        for number, write in enumerate([*good[:2], new_job("bad"), *good[2:]]):
            # A lone surrogate cannot be written as UTF-8.
            tasks.create_task(submit(write, "\ud800" if number == 2 else "fine"))

    assert sum(isinstance(each, Committed) for each in outcomes) == 4
    assert sum(isinstance(each, UnicodeEncodeError) for each in outcomes) == 1
    assert await stored_ids(store) == {each.after.id for each in good}
    await store.close()


async def test_a_database_that_another_process_locks_is_unavailable_until_it_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection, "_BUSY_TIMEOUT_S", 0.05)
    store = await SqliteStore.open(tmp_path)
    other = connection.connect(tmp_path)
    other.execute("BEGIN IMMEDIATE")

    outcomes = await commit_together(store, new_job("a"), new_job("b"))
    assert all(isinstance(each, StoreUnavailableError) for each in outcomes)
    assert all("another process" in str(each) for each in outcomes)
    assert await store.last_position() == BEFORE_THE_FIRST

    other.execute("ROLLBACK")
    other.close()
    await put_job(store, new_job("a"))
    assert await stored_ids(store) == {"a"}
    await store.close()


async def test_commits_that_wait_for_the_disk_share_the_next_one(tmp_path: Path):
    store = await SqliteStore.open(tmp_path)
    statements: list[str] = []
    store._writer._connection.set_trace_callback(statements.append)
    # Locked by another, the first is held up until all the others have arrived.
    other = connection.connect(tmp_path)
    other.execute("BEGIN IMMEDIATE")

    async with asyncio.TaskGroup() as tasks:
        for number in range(100):
            tasks.create_task(commit(store, new_job(f"job-{number}")))
        await asyncio.sleep(0)
        other.execute("ROLLBACK")

    assert len(await stored_ids(store)) == 100
    assert statements.count("COMMIT") <= 2
    other.close()
    await store.close()


async def test_close_waits_for_a_slow_disk_and_finishes_what_was_handed_over(tmp_path: Path):
    store = await SqliteStore.open(tmp_path)
    other = connection.connect(tmp_path)
    other.execute("BEGIN IMMEDIATE")

    async with asyncio.TaskGroup() as tasks:
        commits = [tasks.create_task(commit(store, new_job(f"job-{n}"))) for n in range(20)]
        await asyncio.sleep(0)
        closing = tasks.create_task(store.close())
        await asyncio.sleep(0)
        assert not closing.done()
        other.execute("ROLLBACK")

    other.close()
    assert all(isinstance(each.result(), Committed) for each in commits)


async def test_a_read_that_fails_says_that_the_store_is_unavailable(tmp_path: Path):
    store = await SqliteStore.open(tmp_path)
    damaged = sqlite3.connect(tmp_path / connection.FILE_NAME)
    damaged.execute("DROP TABLE attempts")
    damaged.close()

    with pytest.raises(StoreUnavailableError, match="no such table: attempts"):
        await store.load_jobs([JobId("a")])
    await store.close()


SUBMIT_FOREVER = """
import asyncio, sys
from pathlib import Path
from hodei.adapters.sqlite import SqliteStore
from hodei.ports.stores import Batch
sys.path.insert(0, sys.argv[2])
from conformance.stores_under_test import NOON, new_job, assigned

async def submit(store, task):
    for number in range(1_000_000):
        write = new_job(f"{sys.argv[3]}-{task}-{number}")
        await store.commit(Batch(at=NOON, jobs=(write,)))
        await store.commit(Batch(at=NOON, jobs=(assigned(write.after),)))
        print(write.after.id, flush=True)

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    async with asyncio.TaskGroup() as tasks:
        for task in range(8):
            tasks.create_task(submit(store, task))

asyncio.run(main())
"""


def acknowledged_until_killed(data_dir: Path, run: int) -> set[str]:
    """The ids that a process has printed, each after its commits, before it was killed."""
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", SUBMIT_FOREVER, str(data_dir), tests, str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(100 + 37 * run)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines(keepends=True)
    # A line that was cut short was not acknowledged.
    return {line.strip() for line in lines if line.endswith("\n")}


@pytest.mark.slow
async def test_a_killed_process_has_lost_nothing_that_it_acknowledged(tmp_path: Path):
    acknowledged: set[str] = set()
    for run in range(3):
        acknowledged |= acknowledged_until_killed(tmp_path, run)

        store = await SqliteStore.open(tmp_path)
        stored = await store.load_jobs([JobId(each) for each in acknowledged])
        position = await store.last_position()
        events = await store.read_events(after=BEFORE_THE_FIRST, limit=position)
        held = await store.held_jobs()
        await store.close()

        assert set(stored) == acknowledged
        assert all(len(job.attempts) == 1 for job in stored.values())
        assert [each.position for each in events] == list(range(1, position + 1))
        rebuild(tmp_path)
        store = await SqliteStore.open(tmp_path)
        assert await store.held_jobs() == held
        await store.close()
