"""How a job's output is addressed: by attempt, stream and byte offset."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from hodei.kernel.errors import BrokenError
from hodei.kernel.ids import JobId


class LogStream(IntEnum):
    """The two streams of a process; the numbers are those of the wire."""

    STDOUT = 1
    STDERR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChunk:
    """Some bytes of one stream of one attempt."""

    job_id: JobId
    attempt: int
    stream: LogStream
    offset: int
    """Where `data` begins in its stream, in bytes after masking."""
    data: bytes
    at: datetime
    """When the agent read it."""

    @property
    def end(self) -> int:
        """The offset just after it."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A chunk as a reader gets it."""

    chunk: LogChunk
    sequence: int
    """Bytes of the job's output up to the chunk's end, over all its streams and attempts in the
    order in which they were stored: where a reader goes on."""


class LogGapError(BrokenError):
    """A chunk begins after the end of what is stored: bytes between are missing.

    The agent must send again from `stored_end`.
    """

    code = "LOG_GAP"

    def __init__(self, chunk: LogChunk, stored_end: int) -> None:
        self.chunk = chunk
        self.stored_end = stored_end
        super().__init__(
            f"{chunk.stream.name} of attempt {chunk.attempt} of job {chunk.job_id} is stored up to "
            f"{stored_end}, and the chunk begins at {chunk.offset}"
        )
