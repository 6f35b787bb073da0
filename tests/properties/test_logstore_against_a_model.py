"""Random chunks, overlaps, gaps, restarts and crashes: every log store agrees with a plain model."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from hodei.adapters.logstore import MemoryLogStore, SegmentLogStore
from hodei.adapters.logstore.writer import SegmentLimits
from hodei.adapters.postgres.logs import PostgresLogStore, compaction, rows
from hodei.domain.logs import LogChunk, LogGapError, LogStream
from hodei.kernel.ids import JobId
from hodei.ports.logs import KeptLogStore, StreamEnd

JOBS = [JobId("job-1"), JobId("job-2")]
START = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = SegmentLimits(max_bytes=400, max_age_s=100)

Key = tuple[int, LogStream]


class JumpingClock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - START).total_seconds()


@dataclass
class ModelJob:
    """Every stored byte in its order, with where it belongs."""

    order: list[tuple[Key, int, int]] = field(default_factory=list)
    ends: dict[Key, int] = field(default_factory=dict)

    def append(self, chunk: LogChunk) -> bool:
        key = (chunk.attempt, chunk.stream)
        end = self.ends.get(key, 0)
        if chunk.offset > end:
            return False
        fresh = chunk.data[end - chunk.offset :]
        self.order += [(key, end + n, byte) for n, byte in enumerate(fresh)]
        self.ends[key] = end + len(fresh)
        return True


pieces = st.lists(
    st.tuples(
        st.sampled_from(JOBS),
        st.integers(1, 2),
        st.sampled_from(LogStream),
        st.integers(-40, 1),
        st.binary(max_size=60),
    ),
    min_size=1,
    max_size=4,
)


class LogStoreMachine(RuleBasedStateMachine):
    kind = "memory"
    url = ""

    @initialize()
    def start(self) -> None:
        self.clock = JumpingClock()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp(prefix="hodei-log-model-"))
        self.generation = 0
        self.model = {job_id: ModelJob() for job_id in JOBS}
        self.store = self.open()

    def open(self) -> KeptLogStore:
        if self.kind == "memory":
            return MemoryLogStore(self.clock)
        if self.kind == "postgres":
            return self.runner.run(PostgresLogStore.open(self.url, self.clock))
        place = self.directory / str(self.generation)
        return self.runner.run(SegmentLogStore.open(place, self.clock, limits=LIMITS))

    @rule(pieces=pieces)
    def append(self, pieces: list[tuple[JobId, int, LogStream, int, bytes]]) -> None:
        chunks: list[LogChunk] = []
        planned = {job_id: self.model[job_id].ends.copy() for job_id in JOBS}
        for job_id, attempt, stream, distance, data in pieces:
            ends = planned[job_id]
            offset = max(0, ends.get((attempt, stream), 0) + distance)
            chunk = LogChunk(
                job_id=job_id, attempt=attempt, stream=stream, offset=offset, data=data, at=START
            )
            ends[attempt, stream] = max(ends.get((attempt, stream), 0), chunk.end)
            chunks.append(chunk)
        refused = next((c for c in chunks if not self.model[c.job_id].append(c)), None)

        if refused is None:
            assert self.runner.run(self.store.append(chunks)) == self.ends_of(chunks)
        else:
            with pytest.raises(LogGapError) as caught:
                self.runner.run(self.store.append(chunks))
            key = (refused.attempt, refused.stream)
            assert caught.value.chunk == refused
            assert caught.value.stored_end == self.model[refused.job_id].ends.get(key, 0)

    def ends_of(self, chunks: list[LogChunk]) -> list[StreamEnd]:
        keys = dict.fromkeys((c.job_id, c.attempt, c.stream) for c in chunks)
        return [
            StreamEnd(
                job_id=job_id,
                attempt=attempt,
                stream=stream,
                end=self.model[job_id].ends[attempt, stream],
            )
            for job_id, attempt, stream in keys
        ]

    @rule(seconds=st.integers(1, 200))
    def time_passes(self, seconds: int) -> None:
        self.clock.time += timedelta(seconds=seconds)

    @rule()
    def restart(self) -> None:
        if self.kind != "memory":
            self.runner.run(self.store.close())
            self.store = self.open()

    @rule(lost_index=st.booleans(), torn=st.binary(max_size=30))
    def crash(self, *, lost_index: bool, torn: bytes) -> None:
        """Opens what is on the disk at this instant, as if the process had died here."""
        if self.kind != "segments":
            return
        place = self.directory / str(self.generation)
        self.generation += 1
        copy = self.directory / str(self.generation)
        # The index first: it may be behind the segments, never ahead of them.
        copy.mkdir()
        for path in [] if lost_index else sorted(place.glob("index.db*")):
            shutil.copy(path, copy)
        shutil.copytree(place / "segments", copy / "segments")
        for path in sorted((copy / "segments").iterdir())[-1:]:
            path.write_bytes(path.read_bytes() + torn)
        self.runner.run(self.store.close())
        self.store = self.open()

    @rule(
        job_id=st.sampled_from(JOBS),
        after=st.integers(0, 400),
        max_bytes=st.integers(1, 100),
        attempt=st.integers(0, 2),
    )
    def read(self, job_id: JobId, after: int, max_bytes: int, attempt: int) -> None:
        seen: list[tuple[Key, int, int]] = []
        at = after
        while entries := self.runner.run(
            self.store.read(job_id, after_sequence=at, max_bytes=max_bytes, attempt=attempt)
        ):
            size = sum(len(entry.chunk.data) for entry in entries)
            assert size - len(entries[-1].chunk.data) < max_bytes
            for entry in entries:
                c = entry.chunk
                assert c.data
                key = (c.attempt, c.stream)
                seen += [(key, c.offset + n, byte) for n, byte in enumerate(c.data)]
                at = entry.sequence
        rest = self.model[job_id].order[after:]
        assert seen == [byte for byte in rest if attempt in {0, byte[0][0]}]

    @rule(
        job_id=st.sampled_from(JOBS),
        attempt=st.integers(1, 2),
        out=st.integers(0, 150),
        err=st.none() | st.integers(0, 150),
    )
    def find_offsets(self, job_id: JobId, attempt: int, out: int, err: int | None) -> None:
        offsets = {LogStream.STDOUT: out}
        if err is not None:
            offsets[LogStream.STDERR] = err
        order = self.model[job_id].order
        first_not_before = next(
            (
                n
                for n, ((of, stream), offset, _) in enumerate(order)
                if of == attempt and offset >= offsets.get(stream, 0)
            ),
            len(order),
        )
        found = self.runner.run(self.store.sequence_at_offsets(job_id, attempt, offsets))
        assert found == first_not_before

    @invariant()
    def ends_agree(self) -> None:
        for job_id, job in self.model.items():
            assert self.runner.run(self.store.last_sequence(job_id)) == len(job.order)
            for attempt in (1, 2):
                assert self.runner.run(self.store.ends(job_id, attempt)) == {
                    stream: job.ends.get((attempt, stream), 0) for stream in LogStream
                }

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        shutil.rmtree(self.directory)


class SegmentMachine(LogStoreMachine):
    kind = "segments"


class PostgresMachine(LogStoreMachine):
    """Two servers in turn, each with what it remembers of before, and joining of rows."""

    kind = "postgres"

    @initialize()
    def start(self) -> None:
        super().start()
        self.runner.run(empty(self.url))
        self.other = self.open()

    @rule()
    def another_server_goes_on(self) -> None:
        self.store, self.other = self.other, self.store

    @rule(job_id=st.sampled_from(JOBS))
    def rows_are_joined(self, job_id: JobId) -> None:
        assert isinstance(self.store, PostgresLogStore)
        self.runner.run(self.store.compact(job_id))

    def teardown(self) -> None:
        self.runner.run(self.other.close())
        super().teardown()


async def empty(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("TRUNCATE log_jobs, log_segments")
    await connection.close()


def examples(count: int) -> settings:
    return settings(
        max_examples=count,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("machine", "count"),
    [(LogStoreMachine, 40), (SegmentMachine, 25)],
    ids=["memory", "segments"],
)
def test_a_store_agrees_with_a_plain_model(machine: type[RuleBasedStateMachine], count: int):
    run_state_machine_as_test(machine, settings=examples(count))


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_two_servers_on_one_database_agree_with_a_plain_model(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(PostgresMachine, "url", postgres_url)
    monkeypatch.setattr(rows, "FULL_BYTES", 200)
    monkeypatch.setattr(compaction, "_PAUSE_S", 0)
    run_state_machine_as_test(PostgresMachine, settings=examples(8))
