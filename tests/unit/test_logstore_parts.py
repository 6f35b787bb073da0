"""The parts of the log store that need neither a thread nor a disk."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hodei.adapters.logstore.frames import (
    ChunkRow,
    DamagedFrameError,
    decode,
    encode_head,
    frame_bytes,
)
from hodei.adapters.logstore.group import Group
from hodei.adapters.logstore.tails import SealedSegment, Stored, Tails
from hodei.domain.logs import LogChunk, LogEntry, LogGapError, LogStream
from hodei.kernel.ids import JobId

START = datetime(2026, 1, 1, tzinfo=UTC)
JOB = JobId("job-1")
OUT, ERR = 1, 2


def chunk(data: bytes, offset: int = 0, job_id: JobId = JOB) -> LogChunk:
    return LogChunk(
        job_id=job_id, attempt=1, stream=LogStream.STDOUT, offset=offset, data=data, at=START
    )


def row(job: str, sequence: int) -> ChunkRow:
    return ChunkRow(JobId(job), sequence, 1, OUT, sequence - 1, 1, 1, 100 * sequence)


chunks = st.builds(
    LogChunk,
    job_id=st.text("aZ09._-", min_size=1, max_size=128).map(JobId),
    attempt=st.integers(1, 2**31 - 1),
    stream=st.sampled_from(LogStream),
    offset=st.integers(0, 2**62),
    data=st.binary(max_size=300),
    at=st.datetimes(timezones=st.just(UTC)),
)


@given(chunks, st.integers(0, 2**62))
def test_a_frame_says_everything_about_its_chunk(chunk: LogChunk, sequence: int):
    frame = encode_head(chunk, sequence) + chunk.data

    assert decode(frame) == LogEntry(chunk=chunk, sequence=sequence)
    assert len(frame) == frame_bytes(chunk.job_id, len(chunk.data))


@given(chunks, st.data())
def test_a_changed_or_torn_frame_is_no_frame(chunk: LogChunk, data: st.DataObject):
    frame = encode_head(chunk, 7) + chunk.data
    at = data.draw(st.integers(0, len(frame) - 1))
    changed = bytearray(frame)
    changed[at] ^= data.draw(st.integers(1, 255))

    for damaged in (bytes(changed), frame[:at], frame + b"x"):
        with pytest.raises(DamagedFrameError):
            decode(damaged)


def test_a_group_lays_frames_behind_one_another():
    group = Group(lambda job_id: Stored(), segment=7, position=1000)
    group.add([chunk(b"abc")])
    group.add([chunk(b"other", job_id=JobId("job-2")), chunk(b"def", 3)])

    frames = b"".join(group.buffers)
    for each in group.rows:
        at = each.position - 1000
        assert decode(frames[at : at + each.frame_bytes]).sequence == each.sequence
    assert group.rows[0].position == 1000
    assert sum(each.frame_bytes for each in group.rows) == len(frames)
    assert group.stored[JOB] == Stored(6, {(1, OUT): 6})


def test_a_group_that_is_dropped_has_changed_nothing():
    known = Stored(3, {(1, OUT): 3})
    group = Group(lambda job_id: known.copy(), segment=1, position=0)
    group.add([chunk(b"def", 3)])

    assert known == Stored(3, {(1, OUT): 3})


def test_a_gap_is_judged_by_what_the_group_holds_already():
    group = Group(lambda job_id: Stored(), segment=1, position=0)

    assert isinstance(group.add([chunk(b"x", 1)]), LogGapError)
    assert not isinstance(group.add([chunk(b"a")]), LogGapError)
    assert not isinstance(group.add([chunk(b"x", 1)]), LogGapError)


def publish(tails: Tails, *rows: ChunkRow) -> None:
    tails.publish({each.job_id: Stored(each.sequence) for each in rows}, rows)


def test_a_job_is_remembered_until_the_index_has_its_rows():
    tails = Tails(keep_jobs=2)
    for n in range(5):
        publish(tails, row(f"job-{n}", 1))
    assert all(tails.stored(JobId(f"job-{n}")) is not None for n in range(5))

    tails.settle(tails.unindexed(3))
    remembered = [n for n in range(5) if tails.stored(JobId(f"job-{n}")) is not None]

    assert remembered == [3, 4]
    assert tails.waiting == 2


def test_a_job_that_was_used_lately_is_remembered_longer():
    tails = Tails(keep_jobs=2)
    publish(tails, row("old", 1), row("new", 1))
    publish(tails, row("old", 2))
    tails.settle(tails.unindexed(10))
    publish(tails, row("newest", 1))

    assert tails.stored(JobId("new")) is None
    assert tails.stored(JobId("old")) == Stored(2)


def test_readers_see_the_rows_that_are_not_indexed_yet():
    tails = Tails()
    publish(tails, row("job-1", 1), row("job-1", 2))
    publish(tails, row("job-1", 3))
    tails.settle(tails.unindexed(2))

    assert tails.sequence_and_rows(JOB) == (3, [row("job-1", 3)])
    assert tails.sequence_and_rows(JobId("unknown")) is None


def test_a_segment_is_sealed_in_the_index_with_its_last_row_and_not_before():
    tails = Tails()
    sealed = SealedSegment(1, START + timedelta(hours=1))
    publish(tails, row("job-1", 1), row("job-1", 2))
    tails.seal(sealed)

    first = tails.unindexed(1)
    tails.settle(first)
    second = tails.unindexed(1)
    tails.settle(second)

    assert (first.sealed, second.sealed) == ([], [sealed])
    assert tails.unindexed(1) == ([], [])
