"""How chunks lie in a row: what tells of them, then all their bytes, compressed where it is worth it.

A row holds a run of entries of one attempt of one job. Little-endian throughout.
"""

import struct
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from hodei.domain.logs import LogChunk, LogEntry, LogStream
from hodei.kernel.ids import JobId
from hodei.ports.logs import LogStoreUnavailableError
from hodei.wire.instants import from_micros, to_micros

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_PLAIN: Final = 1
_ZSTD: Final = 2

_COUNT: Final = struct.Struct("<I")
_CHUNK: Final = struct.Struct("<BQIq")
"""Stream, offset, length, microseconds since 1970."""

_COMPRESSED_FROM: Final = 400
"""Bytes: less than that hardly shrinks."""
_OPTIONS: Final[dict[int, int]] = {
    zstd.CompressionParameter.compression_level: 3,
    # Damage that the database did not notice must not be taken for output.
    zstd.CompressionParameter.checksum_flag: 1,
}


class Run(NamedTuple):
    """A row as it is written, but for its job and its time."""

    sequence: int
    """Of its last byte."""
    length: int
    """How many bytes of output it holds."""
    attempt: int
    stdout_end: int
    stderr_end: int
    """Up to where the attempt's streams are stored, this row included."""
    format: int
    data: bytes


FULL_BYTES: Final = 512 * 2**10
"""Of output in one row that was put together: large enough to compress well, small enough to be read
for a part of it."""


def encode(entries: Sequence[LogEntry]) -> tuple[int, bytes]:
    """The format and the data of a run of entries."""
    chunks = [entry.chunk for entry in entries]
    plain = b"".join(
        (
            _COUNT.pack(len(chunks)),
            *(
                _CHUNK.pack(chunk.stream, chunk.offset, len(chunk.data), to_micros(chunk.at))
                for chunk in chunks
            ),
            *(chunk.data for chunk in chunks),
        )
    )
    if len(plain) >= _COMPRESSED_FROM:
        packed = zstd.compress(plain, options=_OPTIONS)
        if len(packed) < len(plain):
            return _ZSTD, packed
    return _PLAIN, plain


def decode(job_id: JobId, attempt: int, sequence: int, format_: int, data: bytes) -> list[LogEntry]:
    """The entries of a row.

    Raises:
        LogStoreUnavailableError: It is damaged, or of a newer version of Hodei.
    """
    try:
        return _decode(job_id, attempt, sequence, _plain(format_, data))
    except (zstd.ZstdError, struct.error, ValueError) as error:
        raise LogStoreUnavailableError(
            f"the output of job {job_id} up to sequence {sequence} cannot be read: the row of "
            f"log_segments is damaged, or of a newer version of Hodei ({error})"
        ) from error


def _plain(format_: int, data: bytes) -> bytes:
    match format_:
        case 1:
            return data
        case 2:
            return zstd.decompress(data)
        case _:
            raise ValueError(f"its format is {format_}")


def _decode(job_id: JobId, attempt: int, sequence: int, plain: bytes) -> list[LogEntry]:
    (count,) = _COUNT.unpack_from(plain)
    position = _COUNT.size + count * _CHUNK.size
    sequence -= len(plain) - position
    entries: list[LogEntry] = []
    for stream, offset, length, at in _CHUNK.iter_unpack(plain[_COUNT.size : position]):
        sequence += length
        chunk = LogChunk(
            job_id=job_id,
            attempt=attempt,
            stream=LogStream(stream),
            offset=offset,
            data=plain[position : position + length],
            at=from_micros(at),
        )
        entries.append(LogEntry(chunk=chunk, sequence=sequence))
        position += length
    if position != len(plain):
        raise ValueError(f"it holds {len(plain)} bytes and tells of {position}")
    return entries
