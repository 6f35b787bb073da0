"""A piece of a job's output."""

from dataclasses import dataclass
from datetime import datetime

from hodei.domain.logs import LogStream
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.timestamps import from_timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChunk:
    """Some bytes of one stream of one attempt, exactly as the job wrote them."""

    stream: LogStream
    offset: int
    """Where `data` begins in its stream, in bytes."""
    data: bytes
    attempt: int
    at: datetime
    """When the worker read it."""
    sequence: int
    """Give it as `after_sequence` to go on after this chunk."""


def chunk_from_wire(entry: pb.JobLogEntry) -> LogChunk:
    """The chunk of a message."""
    return LogChunk(
        stream=LogStream.STDERR if entry.is_stderr else LogStream.STDOUT,
        offset=entry.offset,
        data=entry.data,
        attempt=entry.attempt,
        at=from_timestamp(entry.timestamp, field="timestamp"),
        sequence=entry.sequence,
    )
