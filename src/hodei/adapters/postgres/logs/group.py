"""Decides what of many appends is new, and the rows that it comes to. No I/O: `appender` writes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import msgspec

from hodei.domain.logs import LogChunk, LogEntry, LogGapError, LogStream
from hodei.kernel.ids import JobId
from hodei.ports.logs import StoredOutput, StreamEnd

from .rows import Run, encode

Outcome = list[StreamEnd] | LogGapError
"""What an append answers once its group is stored."""


@dataclass(slots=True)
class Head:
    """Up to where a job is stored."""

    sequence: int = 0
    ends: dict[str, int] = field(default_factory=dict[str, int])
    """Of each stream, by attempt and number."""

    @classmethod
    def of(cls, sequence: int, ends: str) -> "Head":
        """As it stands in `log_jobs`."""
        return cls(sequence, msgspec.json.decode(ends, type=dict[str, int]))

    def end(self, attempt: int, stream: LogStream) -> int:
        """Up to where a stream of an attempt is stored."""
        return self.ends.get(f"{attempt}.{stream.value}", 0)

    def take(self, chunk: LogChunk) -> None:
        """Goes on by a chunk."""
        self.sequence += len(chunk.data)
        self.ends[f"{chunk.attempt}.{chunk.stream.value}"] = chunk.end

    def output_of(self, job_id: JobId) -> StoredOutput:
        """The same in the words of the port."""
        ends: dict[tuple[int, LogStream], int] = {}
        for key, end in self.ends.items():
            attempt, stream = key.split(".")
            ends[int(attempt), LogStream(int(stream))] = end
        return StoredOutput(job_id=job_id, sequence=self.sequence, ends=ends)

    @classmethod
    def from_output(cls, output: StoredOutput) -> "Head":
        """The other way round."""
        ends = {f"{attempt}.{stream.value}": end for (attempt, stream), end in output.ends.items()}
        return cls(output.sequence, ends)

    def as_text(self) -> str:
        """The ends as they stand in `log_jobs`."""
        return msgspec.json.encode(self.ends).decode()


@dataclass(slots=True)
class _Job:
    previous: int
    """The sequence before the group: another than this in the database, and nothing is written."""
    head: Head
    entries: list[LogEntry] = field(default_factory=list[LogEntry])


class LogGroup:
    """Appends that one statement stores together; the caller's heads stay as they are.

    Args:
        heads: Of every job that is appended to.
    """

    def __init__(self, heads: Mapping[JobId, Head]) -> None:
        self._heads = heads
        self._jobs: dict[JobId, _Job] = {}

    def add(self, chunks: Sequence[LogChunk]) -> Outcome:
        """Takes the chunks in, up to the first that leaves a gap."""
        ends: dict[tuple[JobId, int, LogStream], int] = {}
        for chunk in chunks:
            job = self._job(chunk.job_id)
            end = job.head.end(chunk.attempt, chunk.stream)
            try:
                new = chunk.new_to(end)
            except LogGapError as error:
                return error
            if new.data:
                job.head.take(new)
                job.entries.append(LogEntry(chunk=new, sequence=job.head.sequence))
                end = new.end
            ends[chunk.job_id, chunk.attempt, chunk.stream] = end
        return [
            StreamEnd(job_id=job_id, attempt=attempt, stream=stream, end=end)
            for (job_id, attempt, stream), end in ends.items()
        ]

    @property
    def heads(self) -> dict[JobId, Head]:
        """Of the jobs that get something, as they are once it is stored."""
        return {job_id: job.head for job_id, job in self._jobs.items() if job.entries}

    @property
    def size(self) -> int:
        """Bytes of output that are new."""
        return sum(job.head.sequence - job.previous for job in self._jobs.values())

    def arguments(self, stored_at: int) -> list[Any]:
        """What the statement `append` takes. Compresses, which takes its time."""
        written = {job_id: job for job_id, job in self._jobs.items() if job.entries}
        segments: list[tuple[Any, ...]] = []
        heads: list[tuple[Any, ...]] = []
        for job_id, job in written.items():
            runs = list(_runs(job))
            segments += [(job_id, *run) for run in runs]
            head = job.head
            heads.append((job_id, job.previous, head.sequence, head.as_text(), len(runs)))
        *of_segments, data = zip(*segments, strict=True)
        return [*zip(*heads, strict=True), *of_segments, stored_at, data]

    def _job(self, job_id: JobId) -> _Job:
        job = self._jobs.get(job_id)
        if job is None:
            head = self._heads[job_id]
            job = _Job(head.sequence, Head(head.sequence, dict(head.ends)))
            self._jobs[job_id] = job
        return job


def _runs(job: _Job) -> Iterator[Run]:
    """The job's entries as rows, one for each change of the attempt."""
    for attempt, entries in groupby(job.entries, key=lambda entry: entry.chunk.attempt):
        run = list(entries)
        # Where an attempt comes twice in a group, the first row says more than it reaches to: who
        # searches looks at one row in vain.
        stdout_end, stderr_end = (job.head.end(attempt, stream) for stream in LogStream)
        format_, data = encode(run)
        length = sum(len(entry.chunk.data) for entry in run)
        yield Run(run[-1].sequence, length, attempt, stdout_end, stderr_end, format_, data)
