"""Reads output back. Each statement sees all that was acknowledged before it, by any server."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg

from hodei.adapters.postgres.named_sql import load
from hodei.adapters.postgres.reader import Readers
from hodei.domain.logs import LogEntry, LogStream
from hodei.kernel.ids import JobId
from hodei.ports.logs import StoredOutput

from .group import Head
from .rows import decode

_SQL: Final = load("logs.sql")

_ROWS_AT_ONCE: Final = 256
_MOST_ENTRIES: Final = 8192
"""Of one read: bounds what a job of tiny chunks makes it hold."""
_DECODED_INLINE: Final = 16 * 2**10
"""Bytes of rows that are decoded on the event loop; more are in a thread."""


async def head(readers: Readers, job_id: JobId) -> Head:
    """Up to where a job is stored."""
    rows = await readers.fetch(_SQL["heads"], [job_id])
    return Head.of(rows[0]["sequence"], rows[0]["ends"]) if rows else Head()


async def read(
    readers: Readers, job_id: JobId, *, after: int, max_bytes: int, attempt: int
) -> list[LogEntry]:
    """See `LogStore.read`."""
    found: list[LogEntry] = []
    size = 0
    while size < max_bytes and len(found) < _MOST_ENTRIES:
        rows = await readers.fetch(
            _SQL["segments_after"], job_id, after, attempt, max_bytes - size, _ROWS_AT_ONCE
        )
        if not rows:
            break
        for entry in await _entries(job_id, rows):
            if entry.sequence > after:
                found.append(entry.after(after))
                size += len(found[-1].chunk.data)
                if size >= max_bytes or len(found) == _MOST_ENTRIES:
                    return found
        after = rows[-1]["sequence"]
    return found


async def sequence_at_offsets(
    readers: Readers, job_id: JobId, attempt: int, offsets: Mapping[LogStream, int]
) -> int:
    """See `LogStore.sequence_at_offsets`."""
    # Before the search: what is appended meanwhile may lie after the offsets.
    last = (await head(readers, job_id)).sequence
    wanted = [offsets.get(stream, 0) for stream in LogStream]
    after = 0
    while rows := await readers.fetch(_SQL["segment_reaching"], job_id, attempt, after, *wanted):
        for entry in await _entries(job_id, rows):
            chunk = entry.chunk
            offset = offsets.get(chunk.stream, 0)
            if chunk.end > offset:
                return min(last, entry.start + max(0, offset - chunk.offset))
        after = rows[0]["sequence"]
    return last


async def outputs(readers: Readers, after: str, limit: int) -> list[StoredOutput]:
    """See `LogKeeping.outputs`."""
    return [
        Head.of(row["sequence"], row["ends"]).output_of(JobId(row["job_id"]))
        for row in await readers.fetch(_SQL["outputs"], after, limit)
    ]


async def _entries(job_id: JobId, rows: Sequence[asyncpg.Record]) -> list[LogEntry]:
    def decode_all() -> list[LogEntry]:
        return [
            entry
            for row in rows
            for entry in decode(job_id, row["attempt"], row["sequence"], row["format"], row["data"])
        ]

    if sum(len(row["data"]) for row in rows) <= _DECODED_INLINE:
        return decode_all()
    return await asyncio.to_thread(decode_all)
