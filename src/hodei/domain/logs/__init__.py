"""How a job's output is addressed: by attempt, stream and byte offset."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from typing import Final

from hodei.kernel.errors import BrokenError, InvalidFieldsError
from hodei.kernel.ids import ID_RULE, JobId, is_valid_id

_MAX_ATTEMPT: Final = 2**31 - 1


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

    def since(self, offset: int) -> "LogChunk":
        """The part from an offset on: all of it, where it begins there or later."""
        if self.offset >= offset:
            return self
        cut = min(offset, self.end)
        return replace(self, offset=cut, data=self.data[cut - self.offset :])

    def new_to(self, stored_end: int) -> "LogChunk":
        """The part that a stream does not have which is stored up to an offset; may be empty.

        Raises:
            LogGapError: It begins after that.
        """
        if self.offset > stored_end:
            raise LogGapError(self, stored_end)
        return self.since(stored_end)

    def require_storable(self) -> None:
        """Sees to it that a store can take it: one that it cannot would fail others with it.

        Raises:
            InvalidFieldsError: Its id or its numbers are out of range.
        """
        if not is_valid_id(self.job_id):
            raise InvalidFieldsError.of("job_id", f"must be {ID_RULE}")
        if not 1 <= self.attempt <= _MAX_ATTEMPT:
            raise InvalidFieldsError.of("attempt", f"{self.attempt} is not in 1 to {_MAX_ATTEMPT}")
        if self.offset < 0:
            raise InvalidFieldsError.of("offset", f"{self.offset} is less than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A chunk as a reader gets it."""

    chunk: LogChunk
    sequence: int
    """Bytes of the job's output up to the chunk's end, over all its streams and attempts in the
    order in which they were stored: where a reader goes on."""

    @property
    def start(self) -> int:
        """The sequence just before it."""
        return self.sequence - len(self.chunk.data)

    def after(self, sequence: int) -> "LogEntry":
        """The part after a sequence: all of it, where it begins there or later."""
        if self.start >= sequence:
            return self
        return replace(self, chunk=self.chunk.since(self.chunk.offset + sequence - self.start))


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
