"""The log store of tests: in memory, held to the same conformance suite as the real one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Final

from hodei.domain.logs import LogChunk, LogEntry, LogStream
from hodei.kernel.clock import Clock
from hodei.kernel.ids import JobId
from hodei.ports.logs import StoredOutput, StreamEnd

_MOMENT: Final = timedelta(microseconds=1)


@dataclass(slots=True)
class _Job:
    sequence: int = 0
    ends: dict[tuple[int, LogStream], int] = field(default_factory=dict[tuple[int, LogStream], int])
    entries: list[tuple[datetime, LogEntry]] = field(
        default_factory=list[tuple[datetime, LogEntry]]
    )


class MemoryLogStore:
    """`KeptLogStore` without a disk. `close` does nothing, so that a test may open it 'again'."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs: dict[JobId, _Job] = {}

    async def append(self, chunks: Sequence[LogChunk]) -> list[StreamEnd]:
        """Stores the chunks; see the port. Raises LogGapError."""
        ends: dict[tuple[JobId, int, LogStream], int] = {}
        for chunk in chunks:
            job = self._jobs.setdefault(chunk.job_id, _Job())
            end = job.ends.get((chunk.attempt, chunk.stream), 0)
            new = chunk.new_to(end)
            if new.data:
                self._store(job, new)
            ends[chunk.job_id, chunk.attempt, chunk.stream] = max(end, new.end)
        return [
            StreamEnd(job_id=job_id, attempt=attempt, stream=stream, end=end)
            for (job_id, attempt, stream), end in ends.items()
        ]

    async def ends(self, job_id: JobId, attempt: int) -> dict[LogStream, int]:
        """The end of each stream of the attempt."""
        job = self._jobs.get(job_id, _Job())
        return {stream: job.ends.get((attempt, stream), 0) for stream in LogStream}

    async def read(
        self, job_id: JobId, *, after_sequence: int, max_bytes: int, attempt: int = 0
    ) -> list[LogEntry]:
        """Entries that end after a sequence; see the port."""
        found: list[LogEntry] = []
        size = 0
        for _, entry in self._jobs.get(job_id, _Job()).entries:
            if entry.sequence <= after_sequence or attempt not in {0, entry.chunk.attempt}:
                continue
            found.append(entry.after(after_sequence))
            size += len(found[-1].chunk.data)
            if size >= max_bytes:
                break
        return found

    async def sequence_at_offsets(
        self, job_id: JobId, attempt: int, offsets: dict[LogStream, int]
    ) -> int:
        """Where to read on from; see the port. A stream without an offset is wanted whole."""
        job = self._jobs.get(job_id, _Job())
        for _, entry in job.entries:
            chunk = entry.chunk
            offset = offsets.get(chunk.stream, 0)
            if chunk.attempt == attempt and chunk.end > offset:
                return entry.start + max(0, offset - chunk.offset)
        return job.sequence

    async def last_sequence(self, job_id: JobId) -> int:
        """The sequence of the newest entry; 0 when there is none."""
        return self._jobs.get(job_id, _Job()).sequence

    async def delete_before(self, limit: datetime, *, keep: Collection[JobId] = ()) -> int:
        """Lets go of entries stored before `limit`; each counts as a segment of its own."""
        deleted = 0
        for job_id, job in self._jobs.items():
            if job_id not in keep:
                kept = [each for each in job.entries if each[0] >= limit]
                deleted += len(job.entries) - len(kept)
                job.entries = kept
        return deleted

    async def forget(self, job_ids: Collection[JobId]) -> None:
        """Lets go of all that was ever known of these jobs."""
        for job_id in job_ids:
            self._jobs.pop(job_id, None)

    async def limit_for(self, max_bytes: int) -> datetime | None:
        """Before which to delete; see the port. An entry is as large as its data."""
        entries = [each for job in self._jobs.values() for each in job.entries]
        size = 0
        for stored_at, entry in sorted(entries, key=itemgetter(0), reverse=True):
            size += len(entry.chunk.data)
            if size > max_bytes:
                return stored_at + _MOMENT
        return None

    async def outputs(self, *, after: str, limit: int) -> list[StoredOutput]:
        """Up to where the next jobs are stored; see the port."""
        ids = sorted(job_id for job_id in self._jobs if job_id > after)[:limit]
        return [
            StoredOutput(job_id=each, sequence=job.sequence, ends=dict(job.ends))
            for each in ids
            if (job := self._jobs[each]).sequence
        ]

    async def close(self) -> None:
        """Does nothing."""

    def _store(self, job: _Job, chunk: LogChunk) -> None:
        job.sequence += len(chunk.data)
        job.ends[chunk.attempt, chunk.stream] = chunk.end
        job.entries.append((self._clock.now(), LogEntry(chunk=chunk, sequence=job.sequence)))
