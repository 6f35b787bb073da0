"""The log store on PostgreSQL: several servers, lost connections, and rows that are joined."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from dev_db import Cluster
from hodei.adapters.postgres.logs import PostgresLogStore, compaction, heads, rows
from hodei.adapters.postgres.logs.group import Head
from hodei.adapters.postgres.logs.heads import KnownHeads
from hodei.domain.logs import LogChunk, LogGapError, LogStream
from hodei.kernel.ids import JobId
from hodei.lifecycle.system_clock import SystemClock
from hodei.lifecycle.wake import Wake
from hodei.ports.logs import LogStoreUnavailableError
from support.cutting_proxy import Cut, cutting_proxy

OUT, ERR = LogStream.STDOUT, LogStream.STDERR
JOB = JobId("job-1")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
APPEND = b"INSERT INTO log_jobs"


def chunk(
    data: bytes,
    offset: int = 0,
    *,
    stream: LogStream = OUT,
    attempt: int = 1,
    job_id: JobId = JOB,
) -> LogChunk:
    return LogChunk(
        job_id=job_id, attempt=attempt, stream=stream, offset=offset, data=data, at=NOON
    )


async def open_store(url: str) -> PostgresLogStore:
    return await PostgresLogStore.open(url, SystemClock())


@pytest.fixture
async def servers(postgres_url: str) -> AsyncIterator[tuple[PostgresLogStore, PostgresLogStore]]:
    stores = await open_store(postgres_url), await open_store(postgres_url)
    yield stores
    for store in stores:
        await store.close()


async def output(store: PostgresLogStore, job_id: JobId = JOB, after: int = 0) -> bytes:
    data = b""
    while page := await store.read(job_id, after_sequence=after, max_bytes=2**20):
        for entry in page:
            assert entry.start == after
            after = entry.sequence
            data += entry.chunk.data
    return data


async def rows_of(url: str, job_id: JobId = JOB) -> list[int]:
    """The lengths of the job's rows."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT length FROM log_segments WHERE job_id = $1 ORDER BY sequence", job_id
    )
    await connection.close()
    return [row["length"] for row in rows]


class TestSeveralServers:
    async def test_what_one_has_acknowledged_the_other_reads(
        self, servers: tuple[PostgresLogStore, PostgresLogStore]
    ):
        a, b = servers
        await a.append([chunk(b"abc")])
        assert await output(b) == b"abc"
        assert await b.ends(JOB, 1) == {OUT: 3, ERR: 0}
        await b.append([chunk(b"abcdef"), chunk(b"!", stream=ERR)])
        assert await output(a) == b"abcdef!"
        assert await a.last_sequence(JOB) == 7

    async def test_a_gap_that_another_has_filled_is_none(
        self, servers: tuple[PostgresLogStore, PostgresLogStore]
    ):
        a, b = servers
        await a.append([chunk(b"abc")])
        await b.append([chunk(b"def", 3)])

        # It remembers the end as it was before the other went on.
        assert [end.end for end in await a.append([chunk(b"ghi", 6)])] == [9]
        assert await output(b) == b"abcdefghi"

    async def test_a_true_gap_tells_the_end_that_another_has_stored(
        self, servers: tuple[PostgresLogStore, PostgresLogStore]
    ):
        a, b = servers
        await a.append([chunk(b"abc")])
        await b.append([chunk(b"def", 3)])

        with pytest.raises(LogGapError) as caught:
            await a.append([chunk(b"x", 7)])

        assert caught.value.stored_end == 6

    async def test_what_is_not_new_is_answered_with_the_end_that_another_has_stored(
        self, servers: tuple[PostgresLogStore, PostgresLogStore]
    ):
        a, b = servers
        await a.append([chunk(b"abc")])
        await b.append([chunk(b"def", 3)])

        assert [end.end for end in await a.append([chunk(b"b", 1)])] == [6]

    async def test_the_first_words_that_both_bring_are_stored_once(
        self, servers: tuple[PostgresLogStore, PostgresLogStore]
    ):
        for number in range(20):
            job_id = JobId(f"job-{number}")
            mine = [chunk(b"abc", job_id=job_id), chunk(b"X", stream=ERR, job_id=job_id)]
            answers = await _both(servers, mine, mine)
            assert all({end.end for end in ends} == {3, 1} for ends in answers)
            assert await output(servers[0], job_id) == b"abcX"

    @pytest.mark.slow
    async def test_of_a_stream_that_moved_every_byte_is_there_once_and_none_is_promised_in_vain(
        self, servers: tuple[PostgresLogStore, PostgresLogStore]
    ):
        """A worker has come to another server while its old one still has bytes on the way."""
        draw = random.Random(7)
        whole = {
            (JobId(f"job-{number}"), stream): draw.randbytes(30_000)
            for number in range(5)
            for stream in LogStream
        }

        async def bring(store: PostgresLogStore, seed: int) -> None:
            own = random.Random(seed)
            stored = dict.fromkeys(whole, 0)
            while any(stored[key] < len(whole[key]) for key in whole):
                chunks: list[LogChunk] = []
                for (job_id, stream), at in stored.items():
                    start = max(0, at - own.randrange(200))
                    data = whole[job_id, stream][start : at + own.randrange(1, 3000)]
                    chunks.append(chunk(data, start, stream=stream, job_id=job_id))
                own.shuffle(chunks)
                for end in await store.append(chunks):
                    assert end.end >= stored[end.job_id, end.stream]
                    stored[end.job_id, end.stream] = end.end
                # Whatever was promised is there for everybody.
                job_id, stream = own.choice(list(whole))
                (other,) = [each for each in servers if each is not store]
                assert (await other.ends(job_id, 1))[stream] >= stored[job_id, stream]

        async with asyncio.TaskGroup() as group:
            for seed, store in enumerate(servers * 2):
                group.create_task(bring(store, seed))

        for number in range(5):
            job_id = JobId(f"job-{number}")
            read = dict.fromkeys(LogStream, b"")
            for entry in await servers[0].read(job_id, after_sequence=0, max_bytes=2**30):
                assert entry.chunk.offset == len(read[entry.chunk.stream])
                read[entry.chunk.stream] += entry.chunk.data
            assert read == {stream: whole[job_id, stream] for stream in LogStream}

    async def test_others_are_told_of_what_is_stored_and_only_then(self, postgres_url: str):
        told: list[set[JobId]] = []
        store = await PostgresLogStore.open(
            postgres_url, SystemClock(), on_appended=lambda job_ids: told.append(set(job_ids))
        )
        await store.append([chunk(b"abc"), chunk(b"x", job_id=JobId("job-2"))])
        await store.append([chunk(b"abc")])
        assert told == [{JOB, JobId("job-2")}]
        await store.close()

    async def test_what_was_let_go_of_is_not_gone_on_with(
        self, servers: tuple[PostgresLogStore, PostgresLogStore]
    ):
        """Its id may be another job's by now."""
        a, b = servers
        await a.append([chunk(b"old")])
        await b.forget([JOB])

        assert [end.end for end in await a.append([chunk(b"newer")])] == [5]
        assert await output(b) == b"newer"

    def test_a_job_that_is_quiet_for_long_is_looked_up_again(self):
        now = [0.0]
        known = KnownHeads(lambda: now[0])
        known.keep({JOB: Head(3, {"1.1": 3})})
        now[0] = heads._KEPT_S
        assert known.get(JOB) == Head(3, {"1.1": 3})
        now[0] += 1
        assert known.get(JOB) is None


async def _both(
    servers: tuple[PostgresLogStore, PostgresLogStore], *chunks: list[LogChunk]
) -> list[list]:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(store.append(each))
            for store, each in zip(servers, chunks, strict=True)
        ]
    return [task.result() for task in tasks]


async def refused(store: PostgresLogStore, each: LogChunk) -> None:
    with pytest.raises(LogStoreUnavailableError, match="cannot be reached"):
        await store.append([each])


class TestFaults:
    @pytest.mark.parametrize("cut", Cut)
    async def test_a_connection_that_is_lost_over_an_append_leaves_nothing_out_or_twice(
        self, postgres_url: str, cut: Cut
    ):
        async with cutting_proxy(postgres_url) as proxy:
            store = await open_store(proxy.url)
            await store.append([chunk(b"abc")])
            proxy.cut_at(b"def", cut)

            assert [end.end for end in await store.append([chunk(b"def", 3)])] == [6]

            assert proxy.cuts == 1
            assert await output(store) == b"abcdef"
            await store.close()

    async def test_while_the_database_is_away_nothing_is_acknowledged(self, postgres_url: str):
        async with cutting_proxy(postgres_url) as proxy:
            store = await open_store(proxy.url)
            await store.append([chunk(b"abc")])
            proxy.refuses = True
            proxy.cut_at(b"def", Cut.BEFORE)
            async with asyncio.TaskGroup() as group:
                for each in (chunk(b"def", 3), chunk(b"x", job_id=JobId("job-2"))):
                    group.create_task(refused(store, each))

            proxy.refuses = False
            assert [end.end for end in await store.append([chunk(b"def", 3)])] == [6]
            assert await output(store) == b"abcdef"
            await store.close()

    async def test_the_end_of_all_its_sessions_is_got_over(
        self, postgres: Cluster, postgres_url: str
    ):
        store = await open_store(postgres_url)
        await store.append([chunk(b"abc")])
        await asyncio.to_thread(
            postgres.ask,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'tests'",
        )

        assert [end.end for end in await store.append([chunk(b"def", 3)])] == [6]
        await store.close()

    async def test_a_row_that_is_damaged_is_named_and_not_shown(self, postgres_url: str):
        store = await open_store(postgres_url)
        await store.append([chunk(b"spam and eggs " * 100)])
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(
            "UPDATE log_segments SET data = set_byte(data, 30, get_byte(data, 30) # 1)"
        )
        await connection.close()

        with pytest.raises(LogStoreUnavailableError, match=r"job-1 up to sequence 1400.*damaged"):
            await store.read(JOB, after_sequence=0, max_bytes=1)
        await store.close()

    async def test_a_closed_store_says_so(self, postgres_url: str):
        store = await open_store(postgres_url)
        await store.close()
        await store.close()
        with pytest.raises(LogStoreUnavailableError, match="closed"):
            await store.append([chunk(b"abc")])
        with pytest.raises(LogStoreUnavailableError, match="closed"):
            await store.read(JOB, after_sequence=0, max_bytes=1)

    async def test_what_was_handed_over_is_stored_before_it_closes(self, postgres_url: str):
        store = await open_store(postgres_url)
        async with asyncio.TaskGroup() as group:
            appends = [
                group.create_task(store.append([chunk(b"x", job_id=JobId(f"job-{number}"))]))
                for number in range(50)
            ]
            await asyncio.sleep(0)
            group.create_task(store.close())
        assert [end.end for each in appends for end in each.result()] == [1] * 50


class TestJoining:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rows, "FULL_BYTES", 1000)
        monkeypatch.setattr(compaction, "_ROWS_AT_ONCE", 16)
        monkeypatch.setattr(compaction, "_PAUSE_S", 0)

    @staticmethod
    async def lines(store: PostgresLogStore, count: int, *, start: int = 0) -> bytes:
        told = [b"line %06d\n" % number for number in range(start, start + count)]
        for number, line in enumerate(told, start=start):
            await store.append([chunk(line, number * len(line))])
        return b"".join(told)

    async def test_many_small_rows_become_few_and_say_the_same(
        self,
        servers: tuple[PostgresLogStore, PostgresLogStore],
        postgres_url: str,
        monkeypatch: pytest.MonkeyPatch,
    ):
        # Here by hand: where the other server is just at it, there is nothing to do.
        monkeypatch.setattr(compaction.Compaction, "notice", lambda *_: None)
        store, other = servers
        told = await self.lines(store, 50)
        before = await store.read(JOB, after_sequence=0, max_bytes=2**20)

        await other.compact(JOB)

        assert await rows_of(postgres_url) == [600]
        assert await other.read(JOB, after_sequence=0, max_bytes=2**20) == before
        told += await self.lines(store, 150, start=50)
        await other.compact(JOB)
        assert await rows_of(postgres_url) == [1008, 1008, 384]
        assert await output(store) == told
        for after in (0, 5, 1007, 1008, 1500, 2399):
            assert await output(store, after=after) == told[after:]
        for offset in (0, 7, 1008, 2399):
            assert await store.sequence_at_offsets(JOB, 1, {OUT: offset, ERR: 0}) == offset

    async def test_attempts_are_kept_apart(self, postgres_url: str):
        store = await open_store(postgres_url)
        for attempt in (1, 1, 2, 2, 1):
            end = (await store.ends(JOB, attempt))[OUT]
            await store.append([chunk(b"%d" % attempt * 10, end, attempt=attempt)])

        await store.compact(JOB)

        assert await rows_of(postgres_url) == [20, 20, 10]
        second = await store.read(JOB, after_sequence=0, max_bytes=99, attempt=2)
        assert b"".join(entry.chunk.data for entry in second) == b"2" * 20
        await store.close()

    async def test_it_begins_by_itself_once_there_are_enough(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ):
        joined = Wake()
        step = compaction.Compaction.compact

        async def compact(self: compaction.Compaction, job_id: JobId) -> None:
            await step(self, job_id)
            joined.notify()

        monkeypatch.setattr(compaction.Compaction, "compact", compact)
        store = await open_store(postgres_url)
        told = await self.lines(store, compaction.LOOSE_ROWS - 1)
        assert len(await rows_of(postgres_url)) == compaction.LOOSE_ROWS - 1
        told += await self.lines(store, 1, start=compaction.LOOSE_ROWS - 1)

        await joined.wait()

        assert await rows_of(postgres_url) == [768]
        assert await output(store) == told
        await store.close()

    async def test_what_a_dead_server_left_is_joined_by_the_next(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ):
        with monkeypatch.context() as never:
            never.setattr(compaction.Compaction, "notice", lambda *_: None)
            store = await open_store(postgres_url)
            told = await self.lines(store, compaction.LOOSE_ROWS)
            await store.close()
        joined = Wake()
        step = compaction.Compaction.compact

        async def compact(self: compaction.Compaction, job_id: JobId) -> None:
            await step(self, job_id)
            joined.notify()

        monkeypatch.setattr(compaction.Compaction, "compact", compact)
        store = await open_store(postgres_url)
        await joined.wait()

        assert await rows_of(postgres_url) == [768]
        assert await output(store) == told
        await store.close()

    @pytest.mark.slow
    async def test_readers_and_writers_do_not_notice_it(
        self, servers: tuple[PostgresLogStore, PostgresLogStore]
    ):
        a, b = servers
        done = asyncio.Event()

        async def write() -> bytes:
            told = await self.lines(a, 300)
            done.set()
            return told

        async def join(store: PostgresLogStore) -> None:
            while not done.is_set():
                await store.compact(JOB)

        async def follow() -> bytes:
            seen = b""
            while True:
                was_done = done.is_set()
                page = await b.read(JOB, after_sequence=len(seen), max_bytes=100)
                seen += b"".join(entry.chunk.data for entry in page)
                if was_done and not page:
                    return seen

        async with asyncio.TaskGroup() as group:
            writer, reader = group.create_task(write()), group.create_task(follow())
            group.create_task(join(a))
            group.create_task(join(b))

        assert reader.result() == writer.result()

    async def test_rows_that_are_let_go_of_meanwhile_do_not_come_back(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ):
        store = await open_store(postgres_url)
        told = await self.lines(store, 10)
        parts = compaction._parts

        async def delete_two() -> None:
            connection = await asyncpg.connect(postgres_url)
            await connection.execute("DELETE FROM log_segments WHERE sequence <= 24")
            await connection.close()

        def parts_late(*arguments: object) -> object:
            # In a thread of its own, while the transaction has read and not yet written.
            asyncio.run(delete_two())
            return parts(*arguments)

        with monkeypatch.context() as late:
            late.setattr(compaction, "_parts", parts_late)
            await store.compact(JOB)
        assert await rows_of(postgres_url) == [12] * 8

        await store.compact(JOB)
        assert await rows_of(postgres_url) == [96]
        assert (
            b"".join(
                entry.chunk.data for entry in await store.read(JOB, after_sequence=0, max_bytes=999)
            )
            == told[24:]
        )
        await store.close()

    async def test_a_step_that_fails_leaves_the_rows_as_they_were(
        self, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ):
        store = await open_store(postgres_url)
        told = await self.lines(store, 20)
        statements = dict(compaction._SQL)
        statements["compacted"] = "SELECT 1 / 0, $1::text, $2::bigint, $3::integer"
        with monkeypatch.context() as broken:
            broken.setattr(compaction, "_SQL", statements)
            with pytest.raises(Exception, match="division by zero"):
                await store.compact(JOB)

        assert await rows_of(postgres_url) == [12] * 20
        assert await output(store) == told
        await store.close()
