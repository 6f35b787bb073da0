"""What every log store owes, whatever it is made of."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hodei.adapters.logstore import MemoryLogStore, SegmentLogStore
from hodei.adapters.postgres.logs import PostgresLogStore
from hodei.domain.logs import LogChunk, LogEntry, LogGapError, LogStream
from hodei.kernel.ids import JobId
from hodei.ports.logs import KeptLogStore, StoredOutput, StreamEnd

OUT, ERR = LogStream.STDOUT, LogStream.STDERR
JOB, OTHER = JobId("job-1"), JobId("job-2")
START = datetime(2026, 1, 1, tzinfo=UTC)


class JumpingClock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - START).total_seconds()


Reopen = Callable[[], Awaitable[KeptLogStore]]


class Stores:
    """A store, and how to close it and open it again."""

    def __init__(self, kind: str, directory: Path, url: str, clock: JumpingClock) -> None:
        self.clock = clock
        self._kind = kind
        self._directory = directory
        self._url = url
        self._opened: list[KeptLogStore] = []

    async def reopen(self) -> KeptLogStore:
        if self._kind == "memory":
            self._opened = self._opened or [MemoryLogStore(self.clock)]
            return self._opened[-1]
        await self.close()
        if self._kind == "postgres":
            self._opened.append(await PostgresLogStore.open(self._url, self.clock))
        else:
            self._opened.append(await SegmentLogStore.open(self._directory, self.clock))
        return self._opened[-1]

    async def close(self) -> None:
        for store in self._opened:
            await store.close()


@pytest.fixture(params=["memory", "segments", "postgres"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""
    stores = Stores(request.param, tmp_path / "logs", url, JumpingClock())
    yield stores
    await stores.close()


@pytest.fixture
async def store(stores: Stores) -> KeptLogStore:
    return await stores.reopen()


def chunk(
    data: bytes,
    offset: int = 0,
    stream: LogStream = OUT,
    attempt: int = 1,
    job_id: JobId = JOB,
) -> LogChunk:
    return LogChunk(
        job_id=job_id, attempt=attempt, stream=stream, offset=offset, data=data, at=START
    )


def end(at: int, stream: LogStream = OUT, attempt: int = 1, job_id: JobId = JOB) -> StreamEnd:
    return StreamEnd(job_id=job_id, attempt=attempt, stream=stream, end=at)


async def read_all(
    store: KeptLogStore, after: int = 0, attempt: int = 0, job_id: JobId = JOB
) -> list[LogEntry]:
    return await store.read(job_id, after_sequence=after, max_bytes=1 << 30, attempt=attempt)


def told(entries: list[LogEntry]) -> list[tuple[int, bytes]]:
    return [(entry.sequence, entry.chunk.data) for entry in entries]


async def test_chunks_come_back_whole_and_in_their_order(store: KeptLogStore):
    chunks = [chunk(b"one\n"), chunk(b"\0\r\xff", 0, ERR), chunk(b"two", 4)]

    assert await store.append(chunks) == [end(7), end(3, ERR)]
    entries = await read_all(store)

    assert [entry.chunk for entry in entries] == chunks
    assert [entry.sequence for entry in entries] == [4, 7, 10]
    assert await store.last_sequence(JOB) == 10


async def test_output_survives_a_restart(stores: Stores, store: KeptLogStore):
    await store.append([chunk(b"before"), chunk(b"other", job_id=OTHER)])
    store = await stores.reopen()
    await store.append([chunk(b" after", 6)])

    assert told(await read_all(store)) == [(6, b"before"), (12, b" after")]
    assert told(await read_all(store, job_id=OTHER)) == [(5, b"other")]
    assert await store.ends(JOB, 1) == {OUT: 12, ERR: 0}


async def test_an_unknown_job_has_nothing(store: KeptLogStore):
    assert await read_all(store) == []
    assert await store.ends(JOB, 1) == {OUT: 0, ERR: 0}
    assert await store.last_sequence(JOB) == 0
    assert await store.sequence_at_offsets(JOB, 1, {OUT: 5}) == 0


async def test_appending_nothing_is_answered_with_nothing(store: KeptLogStore):
    assert await store.append([]) == []


async def test_what_is_stored_already_is_left_out_whatever_it_says(store: KeptLogStore):
    await store.append([chunk(b"abcdef")])

    assert await store.append([chunk(b"XXX", 2)]) == [end(6)]
    assert await store.append([chunk(b"YYYYgh", 2)]) == [end(8)]
    assert b"".join(data for _, data in told(await read_all(store))) == b"abcdefgh"
    assert await store.last_sequence(JOB) == 8


async def test_chunks_of_one_call_overlap_like_those_of_two(store: KeptLogStore):
    assert await store.append([chunk(b"abc"), chunk(b"bcd", 1), chunk(b"abc")]) == [end(4)]
    assert told(await read_all(store)) == [(3, b"abc"), (4, b"d")]


async def test_a_chunk_without_data_stores_nothing_and_tells_the_end(store: KeptLogStore):
    assert await store.append([chunk(b"")]) == [end(0)]
    assert await store.append([chunk(b"abc"), chunk(b"", 3)]) == [end(3)]
    assert told(await read_all(store)) == [(3, b"abc")]


async def test_a_gap_is_refused_and_what_came_before_it_is_kept(store: KeptLogStore):
    chunks = [chunk(b"abc"), chunk(b"xyz", 4), chunk(b"def", 3), chunk(b"e", 0, ERR)]

    with pytest.raises(LogGapError) as caught:
        await store.append(chunks)

    assert caught.value.stored_end == 3
    assert caught.value.chunk == chunks[1]
    assert told(await read_all(store)) == [(3, b"abc")]
    assert await store.ends(JOB, 1) == {OUT: 3, ERR: 0}


async def test_a_gap_of_one_caller_does_not_touch_another(store: KeptLogStore):
    with pytest.raises(LogGapError):
        await store.append([chunk(b"x", 1)])
    assert await store.append([chunk(b"ok", job_id=OTHER)]) == [end(2, job_id=OTHER)]
    assert await store.append([chunk(b"a")]) == [end(1)]


async def test_attempts_have_offsets_of_their_own_and_share_the_sequence(store: KeptLogStore):
    await store.append([chunk(b"first")])
    await store.append([chunk(b"second", attempt=2)])

    assert told(await read_all(store)) == [(5, b"first"), (11, b"second")]
    assert told(await read_all(store, attempt=2)) == [(11, b"second")]
    assert told(await read_all(store, attempt=1)) == [(5, b"first")]
    assert await read_all(store, attempt=3) == []
    assert await store.ends(JOB, 2) == {OUT: 6, ERR: 0}


async def test_jobs_do_not_see_each_other(store: KeptLogStore):
    ends = await store.append([chunk(b"mine"), chunk(b"theirs", job_id=OTHER)])

    assert ends == [end(4), end(6, job_id=OTHER)]
    assert told(await read_all(store)) == [(4, b"mine")]
    assert told(await read_all(store, job_id=OTHER)) == [(6, b"theirs")]


@pytest.mark.parametrize("moment", ["at once", "after a restart"])
async def test_a_reader_goes_on_from_any_byte(stores: Stores, store: KeptLogStore, moment: str):
    await store.append([chunk(b"abc"), chunk(b"XY", 0, ERR), chunk(b"def", 3)])
    if moment == "after a restart":
        store = await stores.reopen()

    for after in range(9):
        entries = await read_all(store, after)
        assert b"".join(entry.chunk.data for entry in entries) == b"abcXYdef"[after:]
        for entry in entries:
            assert (
                entry.chunk.data
                == (b"XY" if entry.chunk.stream is ERR else b"abcdef")[
                    entry.chunk.offset : entry.chunk.end
                ]
            )


async def test_a_read_ends_once_it_holds_enough(store: KeptLogStore):
    await store.append([chunk(bytes([65 + n]) * 10, 10 * n) for n in range(10)])

    assert len(await store.read(JOB, after_sequence=0, max_bytes=25)) == 3
    assert len(await store.read(JOB, after_sequence=0, max_bytes=1)) == 1
    # The first is cut to 5, and counts as 5.
    assert len(await store.read(JOB, after_sequence=5, max_bytes=25)) == 3
    assert len(await store.read(JOB, after_sequence=5, max_bytes=26)) == 4


async def test_reading_piece_by_piece_gives_everything_once(stores: Stores, store: KeptLogStore):
    data = bytes(range(256)) * 4
    for at in range(0, 512, 64):
        await store.append([chunk(data[at : at + 64], at)])
    store = await stores.reopen()
    for at in range(512, 1024, 64):
        await store.append([chunk(data[at : at + 64], at)])

    seen, after = b"", 0
    while entries := await store.read(JOB, after_sequence=after, max_bytes=100):
        seen += b"".join(entry.chunk.data for entry in entries)
        after = entries[-1].sequence

    assert seen == data


@pytest.mark.parametrize("moment", ["at once", "after a restart"])
async def test_offsets_become_a_sequence_from_which_exactly_the_rest_follows(
    stores: Stores, store: KeptLogStore, moment: str
):
    streams = {OUT: b"abcdef", ERR: b"XYZ"}
    await store.append([chunk(b"old", attempt=1)])
    await store.append(
        [
            chunk(b"abc", attempt=2),
            chunk(b"XY", 0, ERR, attempt=2),
            chunk(b"def", 3, attempt=2),
            chunk(b"Z", 2, ERR, attempt=2),
        ]
    )
    if moment == "after a restart":
        store = await stores.reopen()

    for out in range(8):
        for err in range(5):
            offsets = {OUT: out, ERR: err}
            after = await store.sequence_at_offsets(JOB, 2, offsets)
            rest = {OUT: b"", ERR: b""}
            for entry in await read_all(store, after, attempt=2):
                c = entry.chunk
                rest[c.stream] += c.data[max(0, offsets[c.stream] - c.offset) :]
            assert rest == {OUT: streams[OUT][out:], ERR: streams[ERR][err:]}


async def test_a_sequence_at_offsets_is_the_largest(store: KeptLogStore):
    await store.append([chunk(b"abc"), chunk(b"XY", 0, ERR), chunk(b"def", 3)])

    assert await store.sequence_at_offsets(JOB, 1, {OUT: 0, ERR: 0}) == 0
    assert await store.sequence_at_offsets(JOB, 1, {OUT: 2, ERR: 2}) == 2
    assert await store.sequence_at_offsets(JOB, 1, {OUT: 3, ERR: 1}) == 4
    assert await store.sequence_at_offsets(JOB, 1, {OUT: 5, ERR: 2}) == 7
    assert await store.sequence_at_offsets(JOB, 1, {OUT: 6, ERR: 2}) == 8
    assert await store.sequence_at_offsets(JOB, 1, {OUT: 9, ERR: 9}) == 8
    # A stream that is not named is wanted from its beginning.
    assert await store.sequence_at_offsets(JOB, 1, {OUT: 6}) == 3


async def test_old_output_goes_and_newer_stays(stores: Stores, store: KeptLogStore):
    await store.append([chunk(b"old")])
    stores.clock.time += timedelta(hours=2)
    await store.append([chunk(b"new", 3), chunk(b"x", job_id=OTHER)])

    assert await store.delete_before(START) == 0
    assert await store.delete_before(START + timedelta(hours=1)) == 1
    assert await store.delete_before(START + timedelta(hours=1)) == 0

    assert told(await read_all(store)) == [(6, b"new")]
    assert told(await read_all(store, job_id=OTHER)) == [(1, b"x")]


async def test_a_stream_goes_on_where_it_was_after_its_output_was_deleted(
    stores: Stores, store: KeptLogStore
):
    await store.append([chunk(b"old")])
    stores.clock.time += timedelta(hours=2)
    assert await store.delete_before(stores.clock.time) == 1
    store = await stores.reopen()

    assert await read_all(store) == []
    assert await store.ends(JOB, 1) == {OUT: 3, ERR: 0}
    assert await store.last_sequence(JOB) == 3
    assert await store.append([chunk(b"new", 3)]) == [end(6)]
    assert told(await read_all(store)) == [(6, b"new")]


async def test_old_output_of_a_job_that_is_kept_stays(stores: Stores, store: KeptLogStore):
    await store.append([chunk(b"mine")])
    stores.clock.time += timedelta(hours=2)
    # Into a segment of its own, where there are files: the first is ended.
    assert await store.delete_before(START + timedelta(hours=1), keep=[JOB]) == 0
    await store.append([chunk(b"theirs", job_id=OTHER)])
    stores.clock.time += timedelta(hours=2)

    assert await store.delete_before(stores.clock.time, keep=[JOB]) == 1

    assert told(await read_all(store)) == [(4, b"mine")]
    assert await read_all(store, job_id=OTHER) == []
    assert await store.delete_before(stores.clock.time, keep=[OTHER]) == 1
    assert await read_all(store) == []


@pytest.mark.parametrize("moment", ["at once", "after a restart"])
async def test_of_a_job_that_is_forgotten_nothing_is_left_and_its_id_begins_anew(
    stores: Stores, store: KeptLogStore, moment: str
):
    third = JobId("job-3")
    await store.append([chunk(b"mine"), chunk(b"theirs", job_id=OTHER)])
    await store.append([chunk(b"!", 4), chunk(b"?", stream=ERR, attempt=2)])
    await store.append([chunk(b"third", job_id=third)])
    if moment == "after a restart":
        store = await stores.reopen()

    await store.forget([JOB, third, JobId("never")])

    for _ in range(2):
        assert await read_all(store) == []
        assert await store.last_sequence(JOB) == 0
        assert await store.ends(JOB, 1) == {OUT: 0, ERR: 0}
        assert [each.job_id for each in await store.outputs(after="", limit=9)] == [OTHER]
        assert told(await read_all(store, job_id=OTHER)) == [(6, b"theirs")]
        store = await stores.reopen()
    assert await store.append([chunk(b"anew")]) == [end(4)]
    assert told(await read_all(store)) == [(4, b"anew")]


async def test_where_it_is_too_much_the_oldest_goes(stores: Stores, store: KeptLogStore):
    data = random.Random(1).randbytes(1000)
    assert await store.limit_for(0) is None
    for number in range(5):
        await store.append([chunk(data, 1000 * number)])
        stores.clock.time += timedelta(hours=2)
        # A new segment, where there are files.
        await store.delete_before(stores.clock.time, keep=[JOB])

    assert await store.limit_for(10_000) is None
    limit = await store.limit_for(3700)
    assert limit is not None
    assert await store.delete_before(limit) == 2

    assert b"".join(d for _, d in told(await read_all(store))) == data * 3
    assert await store.limit_for(3700) is None


async def test_tells_up_to_where_each_job_is_stored_in_pages(stores: Stores, store: KeptLogStore):
    await store.append([chunk(b"abc"), chunk(b"XY", 0, ERR), chunk(b"d", attempt=2)])
    await store.append([chunk(b"x", job_id=OTHER)])
    await store.append([chunk(b"", job_id=JobId("silent"))])

    first = StoredOutput(job_id=JOB, sequence=6, ends={(1, OUT): 3, (1, ERR): 2, (2, OUT): 1})
    assert await store.outputs(after="", limit=1) == [first]
    (second,) = await store.outputs(after=JOB, limit=5)
    assert (second.job_id, second.sequence, second.ends) == (OTHER, 1, {(1, OUT): 1})
    assert await store.outputs(after=OTHER, limit=5) == []


async def test_closing_twice_is_closing_once(store: KeptLogStore):
    await store.append([chunk(b"abc")])
    await store.close()
    await store.close()
