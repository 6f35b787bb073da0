"""The disk of the log store fills up: nothing acknowledged is lost, and it works again after."""

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hodei.adapters.logstore import SegmentLogStore
from hodei.domain.logs import LogChunk, LogStream
from hodei.kernel.ids import JobId
from hodei.lifecycle.system_clock import SystemClock
from hodei.ports.logs import LogStoreUnavailableError

START = datetime(2026, 1, 1, tzinfo=UTC)
JOB = JobId("job-1")
PIECE = 30_000
DISK_BYTES = 2 << 20
FILE_LIMIT_BYTES = 400_000


def data_at(offset: int, size: int) -> bytes:
    pattern = bytes(n * 31 % 251 for n in range(251))
    start = offset % 251
    return (pattern * (size // 251 + 2))[start : start + size]


def piece(offset: int) -> LogChunk:
    return LogChunk(
        job_id=JOB,
        attempt=1,
        stream=LogStream.STDOUT,
        offset=offset,
        data=data_at(offset, PIECE),
        at=START,
    )


async def append_until_full(store: SegmentLogStore, offset: int) -> int:
    """Returns the last acknowledged end."""
    while True:
        try:
            (end,) = await store.append([piece(offset)])
        except LogStoreUnavailableError:
            return offset
        offset = end.end


async def check_output(store: SegmentLogStore, end: int) -> None:
    entries = await store.read(JOB, after_sequence=0, max_bytes=1 << 30)
    assert b"".join(entry.chunk.data for entry in entries) == data_at(0, end)
    assert (await store.ends(JOB, 1))[LogStream.STDOUT] == end


async def fill_free_and_go_on(directory: Path) -> None:
    """Run in a child process under RLIMIT_FSIZE, so that the limit touches nothing else."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT_BYTES, hard))
    store = await SegmentLogStore.open(directory, SystemClock())
    end = await append_until_full(store, 0)
    assert end > 0
    # What was not acknowledged is gone from the file, although a part of it fitted.
    (segment,) = (directory / "segments").iterdir()
    assert segment.stat().st_size < FILE_LIMIT_BYTES
    assert await append_until_full(store, end) == end
    await check_output(store, end)

    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert (await store.append([piece(end)]))[0].end == end + PIECE
    await check_output(store, end + PIECE)
    await store.close()
    store = await SegmentLogStore.open(directory, SystemClock())
    await check_output(store, end + PIECE)
    await store.close()


def test_a_file_that_may_not_grow_refuses_and_then_goes_on(tmp_path: Path):
    child = subprocess.run(
        [sys.executable, __file__, tmp_path], capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", tmp_path]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


async def test_a_full_disk_refuses_and_goes_on_once_there_is_room(small_disk: Path):
    ballast = [small_disk / "ballast-1", small_disk / "ballast-2"]
    for path in ballast:
        path.write_bytes(bytes(DISK_BYTES // 3))
    store = await SegmentLogStore.open(small_disk / "logs", SystemClock())
    end = await append_until_full(store, 0)
    assert end > 0
    await check_output(store, end)
    with pytest.raises(LogStoreUnavailableError, match="free some space"):
        await store.append([piece(end)])

    ballast[0].unlink()
    full = await append_until_full(store, end)
    assert full > end
    await check_output(store, full)
    await store.close()

    ballast[1].unlink()
    store = await SegmentLogStore.open(small_disk / "logs", SystemClock())
    await check_output(store, full)
    assert (await store.append([piece(full)]))[0].end == full + PIECE
    await store.close()


async def test_a_disk_without_room_for_the_index_says_so_at_the_start(small_disk: Path):
    (small_disk / "ballast").write_bytes(bytes(DISK_BYTES - (8 << 10)))

    with pytest.raises(LogStoreUnavailableError, match="disk is full"):
        await SegmentLogStore.open(small_disk / "logs", SystemClock())


async def test_an_index_that_cannot_be_written_bounds_what_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hodei.adapters.logstore.writer.MAX_UNINDEXED", 50)
    store = await SegmentLogStore.open(tmp_path, SystemClock())
    # The page limit is what a full disk looks like to SQLite, and to nothing else.
    (pages,) = store._index._db.execute("PRAGMA page_count").fetchone()
    store._index._db.execute(f"PRAGMA max_page_count = {pages}")
    jobs = [JobId(f"job-{n}-{'x' * 100}") for n in range(200)]
    chunks = [replace(piece(0), job_id=job_id, data=b"x") for job_id in jobs]

    async def append_each() -> None:
        for each in chunks:
            await store.append([each])

    with pytest.raises(LogStoreUnavailableError, match="free some space"):
        await append_each()
    stored = [(await store.ends(job_id, 1))[LogStream.STDOUT] for job_id in jobs]
    assert 50 <= stored.count(1) < 200
    assert stored == sorted(stored, reverse=True)

    store._index._db.execute("PRAGMA max_page_count = 1000000")
    await store.append(chunks)
    assert {(await store.ends(job_id, 1))[LogStream.STDOUT] for job_id in jobs} == {1}
    await store.close()


if __name__ == "__main__":
    asyncio.run(fill_free_and_go_on(Path(sys.argv[1])))
