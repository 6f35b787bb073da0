"""The log store on a real disk: recovery, segments, and what readers see when."""

import asyncio
import errno
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hodei.adapters.logstore import SegmentLogStore
from hodei.adapters.logstore.index import IndexVersionError
from hodei.adapters.logstore.writer import SegmentLimits
from hodei.domain.logs import LogChunk, LogStream
from hodei.kernel.errors import BrokenError, InvalidFieldsError
from hodei.kernel.ids import JobId
from hodei.ports.logs import KeptLogStore, LogStoreUnavailableError

OUT = LogStream.STDOUT
JOB = JobId("job-1")
START = datetime(2026, 1, 1, tzinfo=UTC)


class JumpingClock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - START).total_seconds()


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "logs"


@pytest.fixture
async def store(directory: Path, clock: JumpingClock) -> AsyncIterator[SegmentLogStore]:
    store = await SegmentLogStore.open(directory, clock)
    yield store
    await store.close()


def chunk(data: bytes, offset: int = 0, job_id: JobId = JOB) -> LogChunk:
    return LogChunk(job_id=job_id, attempt=1, stream=OUT, offset=offset, data=data, at=START)


async def output(store: KeptLogStore, job_id: JobId = JOB) -> bytes:
    entries = await store.read(job_id, after_sequence=0, max_bytes=1 << 30)
    assert [entry.chunk.offset for entry in entries] == [
        entry.sequence - len(entry.chunk.data) for entry in entries
    ]
    return b"".join(entry.chunk.data for entry in entries)


async def fill(directory: Path, clock: JumpingClock, *pieces: bytes) -> None:
    """Makes a store that was closed in good order."""
    store = await SegmentLogStore.open(directory, clock)
    offset = 0
    for piece in pieces:
        await store.append([chunk(piece, offset)])
        offset += len(piece)
    await store.close()


def segment_files(directory: Path) -> list[Path]:
    return sorted((directory / "segments").iterdir())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def index_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("index.db*"))


def forget_index(directory: Path) -> None:
    for path in index_files(directory):
        path.unlink()


async def test_nobody_else_can_read_the_files(store: SegmentLogStore, directory: Path):
    await store.append([chunk(b"secret")])

    assert mode_of(directory) == 0o700
    assert mode_of(segment_files(directory)[0]) == 0o600


async def test_output_is_readable_before_its_row_is_in_the_index(
    store: SegmentLogStore, directory: Path
):
    store._indexer.stop()
    await store.append([chunk(b"abc"), chunk(b"def", 3)])

    assert store._index.stored(JOB).sequence == 0
    assert await output(store) == b"abcdef"
    assert await store.sequence_at_offsets(JOB, 1, {OUT: 4}) == 4


async def test_rows_that_move_into_the_index_are_read_once(store: SegmentLogStore):
    store._indexer.stop()
    await store.append([chunk(b"abc")])
    store._indexer.flush()
    await store.append([chunk(b"def", 3)])

    assert await output(store) == b"abcdef"


async def test_a_row_that_is_indexed_while_a_reader_looks_is_seen_once(store: SegmentLogStore):
    store._indexer.stop()
    await store.append([chunk(b"abc")])
    store._indexer.flush()
    await store.append([chunk(b"def", 3)])
    look_up = store._index.chunks_after

    def moved_first(*args: object, **kwargs: object) -> object:
        store._indexer.flush()
        return look_up(*args, **kwargs)  # type: ignore[arg-type]

    store._index.chunks_after = moved_first  # type: ignore[method-assign]

    assert await output(store) == b"abcdef"


async def test_nothing_is_acknowledged_or_shown_before_it_is_synced(
    store: SegmentLogStore, monkeypatch: pytest.MonkeyPatch
):
    await store.append([chunk(b"abc")])
    reached, may_go_on = threading.Event(), threading.Event()
    sync = os.fdatasync

    def held_sync(fd: int) -> None:
        reached.set()
        assert may_go_on.wait(10)
        sync(fd)

    monkeypatch.setattr(os, "fdatasync", held_sync)
    async with asyncio.TaskGroup() as group:
        appending = group.create_task(store.append([chunk(b"def", 3)]))
        await asyncio.to_thread(reached.wait, 10)
        assert await output(store) == b"abc"
        assert await store.ends(JOB, 1) == {OUT: 3, LogStream.STDERR: 0}
        assert not appending.done()
        may_go_on.set()
    assert await output(store) == b"abcdef"


async def test_a_sync_that_fails_leaves_nothing_behind(
    store: SegmentLogStore, directory: Path, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
):
    await store.append([chunk(b"abc")])
    before = segment_files(directory)[0].read_bytes()

    def broken(*_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        # The file cannot even be cut at once: that is made up for before the next append.
        patch.setattr(os, "fdatasync", broken)
        patch.setattr(os, "ftruncate", broken)
        with pytest.raises(LogStoreUnavailableError, match="Input/output error"):
            await store.append([chunk(b"never", 3)])
        # Nor is it left for another segment as it is.
        clock.time += timedelta(hours=2)
        with pytest.raises(LogStoreUnavailableError, match="Input/output error"):
            await store.append([chunk(b"never", 3)])
        with pytest.raises(LogStoreUnavailableError, match="Input/output error"):
            await store.delete_before(clock.time)
        clock.time -= timedelta(hours=2)
    await store.append([chunk(b"def", 3)])

    assert await output(store) == b"abcdef"
    after = segment_files(directory)[0].read_bytes()
    assert after.startswith(before)
    assert len(after) == 2 * len(before)


async def test_a_defect_in_the_writer_answers_its_callers(
    store: SegmentLogStore, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(store._index, "stored", broken)
        with pytest.raises(BrokenError, match="a defect"):
            await store.append([chunk(b"abc")])
    assert await store.append([chunk(b"abc")])


async def test_bytes_that_come_while_a_place_is_looked_for_are_not_skipped(
    store: SegmentLogStore,
):
    await store.append([chunk(b"abc")])
    loop = asyncio.get_running_loop()
    look_up = store._index.chunk_at_offset

    def append_after(job_id: JobId, attempt: int, stream: int, offset: int) -> object:
        found = look_up(job_id, attempt, stream, offset)
        append = asyncio.run_coroutine_threadsafe(store.append([chunk(b"abcdef")]), loop)
        assert append.result(10)
        return found

    store._index.chunk_at_offset = append_after  # type: ignore[method-assign, assignment]

    assert await store.sequence_at_offsets(JOB, 1, {OUT: 3}) == 3


@pytest.mark.parametrize("behind", ["lost", "some rows behind"])
async def test_an_index_that_is_behind_is_completed_at_the_next_start(
    directory: Path, clock: JumpingClock, behind: str
):
    await fill(directory, clock, b"one ")
    saved = {path: path.read_bytes() for path in index_files(directory)}
    await fill(directory, clock, b"one ", b"two ", b"three")
    forget_index(directory)
    if behind != "lost":
        for path, content in saved.items():
            path.write_bytes(content)

    store = await SegmentLogStore.open(directory, clock)
    assert await output(store) == b"one two three"
    await store.append([chunk(b"!", 13)])
    assert await output(store) == b"one two three!"
    await store.close()


async def test_a_torn_last_frame_is_cut_off_wherever_it_is_torn(
    directory: Path, clock: JumpingClock, tmp_path: Path
):
    await fill(directory, clock, b"whole", b"torn!")
    whole = segment_files(directory)[0].read_bytes()
    frame = len(whole) // 2

    for size in range(frame, 2 * frame, 7):
        copy = tmp_path / f"torn-{size}"
        shutil.copytree(directory, copy)
        forget_index(copy)
        segment_files(copy)[0].write_bytes(whole[:size])

        store = await SegmentLogStore.open(copy, clock)
        assert await output(store) == b"whole"
        assert await store.append([chunk(b"again", 5)])
        assert await output(store) == b"wholeagain"
        await store.close()
        assert segment_files(copy)[0].stat().st_size == frame


async def test_zeros_or_garbage_behind_the_last_frame_are_cut_off(
    directory: Path, clock: JumpingClock
):
    await fill(directory, clock, b"whole")
    for rest in (bytes(5000), b"HLG1" + b"\xff" * 100):
        forget_index(directory)
        path = segment_files(directory)[-1]
        whole = path.read_bytes()
        path.write_bytes(whole + rest)

        store = await SegmentLogStore.open(directory, clock)
        assert await output(store) == b"whole"
        await store.close()
        assert path.read_bytes() == whole


async def test_damage_before_the_last_segment_is_reported_and_not_cut(
    directory: Path, clock: JumpingClock
):
    await fill(directory, clock, b"abc")
    await fill(directory, clock, b"abc", b"def")
    forget_index(directory)
    first = segment_files(directory)[0]
    first.write_bytes(first.read_bytes() + b"rot")
    content = first.read_bytes()

    with capture_logs() as logs:
        store = await SegmentLogStore.open(directory, clock)
    assert await output(store) == b"abcdef"
    await store.close()
    assert [log["event"] for log in logs] == ["log_segment_damaged"]
    assert first.read_bytes() == content


async def test_bytes_that_changed_on_the_disk_are_never_handed_out(
    store: SegmentLogStore, directory: Path
):
    await store.append([chunk(b"truth")])
    path = segment_files(directory)[0]
    path.write_bytes(path.read_bytes().replace(b"truth", b"trash"))

    with pytest.raises(LogStoreUnavailableError, match="is damaged at byte 0 of segment 1"):
        await output(store)


async def test_an_index_of_a_newer_release_is_refused(directory: Path, clock: JumpingClock):
    await fill(directory, clock, b"abc")
    db = sqlite3.connect(directory / "index.db")
    db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(IndexVersionError, match="version 99"):
        await SegmentLogStore.open(directory, clock)


async def test_a_directory_that_cannot_be_used_is_reported_with_advice(
    tmp_path: Path, clock: JumpingClock
):
    (tmp_path / "file").write_text("not a directory")

    with pytest.raises(LogStoreUnavailableError, match="and to the permissions"):
        await SegmentLogStore.open(tmp_path / "file", clock)

    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "index.db").write_bytes(b"no database" * 1000)
    with pytest.raises(LogStoreUnavailableError, match="index is damaged"):
        await SegmentLogStore.open(tmp_path / "logs", clock)


async def test_segments_end_by_size_and_by_age(directory: Path, clock: JumpingClock):
    limits = SegmentLimits(max_bytes=1000, max_age_s=60)
    store = await SegmentLogStore.open(directory, clock, limits=limits)
    data = bytes(600)
    for n in range(4):
        await store.append([chunk(data, 600 * n)])
    assert len(segment_files(directory)) == 2
    clock.time += timedelta(seconds=60)
    await store.append([chunk(b"late", 2400)])

    assert len(segment_files(directory)) == 3
    assert await output(store) == bytes(2400) + b"late"
    await store.close()


async def test_whole_segments_are_deleted_with_their_rows(directory: Path, clock: JumpingClock):
    store = await SegmentLogStore.open(directory, clock, limits=SegmentLimits(max_bytes=100))
    for n in range(3):
        await store.append([chunk(bytes([65 + n]) * 100, 100 * n)])
        clock.time += timedelta(hours=1)

    assert await store.delete_before(START + timedelta(minutes=90)) == 2

    assert await output_from(store, 200) == b"C" * 100
    assert [path.name for path in segment_files(directory)] == ["000003.seg"]
    assert store._index.forget_chunks(1, at_most=1) == 0
    await store.close()
    forget_index(directory)
    store = await SegmentLogStore.open(directory, clock)
    assert await output_from(store, 200) == b"C" * 100
    await store.close()


async def output_from(store: KeptLogStore, after: int) -> bytes:
    entries = await store.read(JOB, after_sequence=0, max_bytes=1 << 30)
    assert entries[0].sequence - len(entries[0].chunk.data) == after
    return b"".join(entry.chunk.data for entry in entries)


async def test_numbers_of_deleted_segments_are_not_used_again_by_the_same_server(
    directory: Path, clock: JumpingClock
):
    store = await SegmentLogStore.open(directory, clock)
    await store.append([chunk(b"abc")])
    clock.time += timedelta(hours=1)
    assert await store.delete_before(clock.time) == 1
    await store.append([chunk(b"def", 3)])

    assert [path.name for path in segment_files(directory)] == ["000002.seg"]
    await store.close()


async def test_a_clean_stop_keeps_the_age_of_output(directory: Path, clock: JumpingClock):
    await fill(directory, clock, b"abc")
    clock.time += timedelta(hours=2)
    store = await SegmentLogStore.open(directory, clock)

    assert await store.delete_before(START + timedelta(hours=1)) == 1
    await store.close()


async def test_a_reader_meets_a_segment_that_was_just_deleted(directory: Path, clock: JumpingClock):
    store = await SegmentLogStore.open(directory, clock, limits=SegmentLimits(max_bytes=1))
    await store.append([chunk(b"abc")])
    await store.append([chunk(b"def", 3)])
    segment_files(directory)[0].unlink()

    entries = await store.read(JOB, after_sequence=0, max_bytes=1)
    assert [entry.chunk.data for entry in entries] == [b"def"]
    await store.close()


async def test_many_appends_at_once_share_a_write(store: SegmentLogStore):
    writes = 0
    await store.append([chunk(b"x", job_id=JobId("first"))])
    segment = store._writer._segment
    assert segment is not None
    segment_append = segment.append

    def counted(data: bytes, now: datetime) -> None:
        nonlocal writes
        writes += 1
        segment_append(data, now)

    segment.append = counted  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        for n in range(500):
            group.create_task(store.append([chunk(b"hello\n", job_id=JobId(f"job-{n}"))]))

    assert writes < 50
    for n in (0, 250, 499):
        assert await output(store, JobId(f"job-{n}")) == b"hello\n"


async def test_a_cancelled_caller_does_not_disturb_the_others(store: SegmentLogStore):
    async with asyncio.TaskGroup() as group:
        first = group.create_task(store.append([chunk(b"abc")]))
        second = group.create_task(store.append([chunk(b"abcdef")]))
        await asyncio.sleep(0)
        first.cancel()
    assert second.result()[0].end == 6
    assert await output(store) == b"abcdef"


async def test_close_finishes_what_was_handed_over(directory: Path, clock: JumpingClock):
    store = await SegmentLogStore.open(directory, clock)
    async with asyncio.TaskGroup() as group:
        appends = [
            group.create_task(store.append([chunk(b"x", job_id=JobId(f"job-{n}"))]))
            for n in range(100)
        ]
        await asyncio.sleep(0)
        await store.close()
    assert [append.result()[0].end for append in appends] == [1] * 100


async def test_a_closed_store_says_so(store: SegmentLogStore):
    await store.close()

    with pytest.raises(LogStoreUnavailableError, match="closed"):
        await store.append([chunk(b"x")])
    with pytest.raises(LogStoreUnavailableError, match="closed"):
        await store.ends(JOB, 1)
    with pytest.raises(LogStoreUnavailableError, match="closed"):
        await store.delete_before(START)


@pytest.mark.parametrize(
    ("field", "value"),
    [("job_id", "a/b"), ("job_id", "x" * 200), ("attempt", 0), ("attempt", 2**31), ("offset", -1)],
)
async def test_a_chunk_that_cannot_be_framed_is_refused_alone(
    store: SegmentLogStore, field: str, value: object
):
    fields = {"job_id": JOB, "attempt": 1, "stream": OUT, "offset": 0, "data": b"x", "at": START}
    bad = LogChunk(**(fields | {field: value}))  # type: ignore[arg-type]

    with pytest.raises(InvalidFieldsError, match=field):
        await store.append([bad])
    assert await store.append([chunk(b"good")])


async def test_memory_does_not_grow_with_the_number_of_jobs(store: SegmentLogStore):
    for start in range(0, 6000, 1000):
        await store.append(
            [chunk(b"hello\n", job_id=JobId(f"job-{n}")) for n in range(start, start + 1000)]
        )
    store._indexer.flush()

    assert len(store._tails._tails) <= 2048
    assert await output(store, JobId("job-0")) == b"hello\n"
    assert await store.append([chunk(b"more", 6, job_id=JobId("job-0"))])
    assert await output(store, JobId("job-0")) == b"hello\nmore"
