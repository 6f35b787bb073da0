"""How one chunk lies in a segment file.

A frame is a magic word with the version of the format, a CRC-32 of everything after it, the
fields, the job's id and the data. Little-endian throughout. A frame tells everything about its
chunk: the index can be made again from the segments alone.
"""

import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from hodei.domain.logs import LogChunk, LogEntry, LogStream
from hodei.kernel.ids import JobId

_MAGIC: Final = b"HLG1"
_PREFIX: Final = struct.Struct("<4sI")
_FIELDS: Final = struct.Struct("<IIQQqBB")
"""Length of the data, attempt, offset, sequence, microseconds since 1970, stream, length of the id."""
_HEAD_BYTES: Final = _PREFIX.size + _FIELDS.size
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SCAN_BUFFER_BYTES: Final = 1 << 20


class ChunkRow(NamedTuple):
    """Where a chunk lies. Its fields are the columns of the index, in their order."""

    job_id: JobId
    sequence: int
    """Just after the chunk, as in `LogEntry`."""
    attempt: int
    stream: int
    offset: int
    length: int
    segment: int
    position: int
    """Of its frame in the segment file."""

    @property
    def start_sequence(self) -> int:
        """Just before the chunk."""
        return self.sequence - self.length

    @property
    def frame_bytes(self) -> int:
        """The size of its frame."""
        return frame_bytes(self.job_id, self.length)


class DamagedFrameError(Exception):
    """What lies at this position is not a whole frame."""


def frame_bytes(job_id: JobId, length: int) -> int:
    """The size of a frame with `length` bytes of data."""
    return _HEAD_BYTES + len(job_id.encode()) + length


def encode_head(chunk: LogChunk, sequence: int) -> bytes:
    """The frame of a chunk up to its data, which follows as it is (it is not copied here)."""
    job_id = chunk.job_id.encode()
    at = (chunk.at - _EPOCH) // _MICROSECOND
    size = len(chunk.data)
    fields = _FIELDS.pack(
        size, chunk.attempt, chunk.offset, sequence, at, chunk.stream, len(job_id)
    )
    checksum = zlib.crc32(chunk.data, zlib.crc32(job_id, zlib.crc32(fields)))
    return b"".join((_PREFIX.pack(_MAGIC, checksum), fields, job_id))


def decode(frame: bytes) -> LogEntry:
    """The chunk in a whole frame.

    Raises:
        DamagedFrameError: The bytes are not one frame, or were changed.
    """
    if len(frame) < _HEAD_BYTES:
        raise DamagedFrameError
    magic, checksum = _PREFIX.unpack_from(frame)
    if magic != _MAGIC or zlib.crc32(memoryview(frame)[_PREFIX.size :]) != checksum:
        raise DamagedFrameError
    size, attempt, offset, sequence, at, stream, id_size = _FIELDS.unpack_from(frame, _PREFIX.size)
    data_at = _HEAD_BYTES + id_size
    if len(frame) != data_at + size:
        raise DamagedFrameError
    chunk = LogChunk(
        job_id=JobId(frame[_HEAD_BYTES:data_at].decode()),
        attempt=attempt,
        stream=LogStream(stream),
        offset=offset,
        data=frame[data_at:],
        at=_EPOCH + at * _MICROSECOND,
    )
    return LogEntry(chunk=chunk, sequence=sequence)


def scan(path: Path, segment: int, start: int) -> Iterator[ChunkRow]:
    """The rows of the whole frames from `start` on, up to the first that is torn or damaged."""
    with path.open("rb", buffering=_SCAN_BUFFER_BYTES) as file:
        file.seek(start)
        position = start
        while (entry := _next_entry(file)) is not None:
            row = row_of(entry, segment, position)
            yield row
            position += row.frame_bytes


def row_of(entry: LogEntry, segment: int, position: int) -> ChunkRow:
    """The index row of an entry whose frame lies at `position`."""
    chunk = entry.chunk
    return ChunkRow(
        chunk.job_id,
        entry.sequence,
        chunk.attempt,
        chunk.stream.value,
        chunk.offset,
        len(chunk.data),
        segment,
        position,
    )


def _next_entry(file: BinaryIO) -> LogEntry | None:
    head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES or not head.startswith(_MAGIC):
        return None
    size, *_, id_size = _FIELDS.unpack_from(head, _PREFIX.size)
    try:
        return decode(head + file.read(id_size + size))
    except DamagedFrameError:
        return None
