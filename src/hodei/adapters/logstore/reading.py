"""Finds and reads entries. Every function here blocks: the store calls them in threads."""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Final

from hodei.adapters.logstore.frames import ChunkRow, DamagedFrameError, decode, row_of
from hodei.adapters.logstore.index import Index
from hodei.adapters.logstore.segment import segment_path
from hodei.adapters.logstore.tails import Tails
from hodei.domain.logs import LogEntry, LogStream
from hodei.kernel.ids import JobId
from hodei.ports.logs import LogStoreUnavailableError

_MAX_ROWS: Final = 8192
"""Of one read: bounds what a job of tiny chunks makes it hold."""


class Reader:
    """Reads what the writer has published, from `tails` and the index together.

    `tails` is always asked first: a row that the indexer moves meanwhile is then found twice,
    which is seen, and not missed.
    """

    def __init__(self, directory: Path, tails: Tails, index: Index) -> None:
        self._directory = directory
        self._tails = tails
        self._index = index

    def last_sequence(self, job_id: JobId) -> int:
        """See the port."""
        tail = self._tails.sequence_and_rows(job_id)
        return self._index.stored(job_id).sequence if tail is None else tail[0]

    def ends(self, job_id: JobId, attempt: int) -> dict[LogStream, int]:
        """See the port."""
        stored = self._tails.stored(job_id) or self._index.stored(job_id)
        return {stream: stored.ends.get((attempt, stream.value), 0) for stream in LogStream}

    def read(self, job_id: JobId, after: int, max_bytes: int, attempt: int) -> list[LogEntry]:
        """See the port."""
        entries: list[LogEntry] = []
        while not entries:
            rows = self._rows_after(job_id, after, max_bytes, attempt)
            if not rows:
                break
            # No entry although there were rows: their segments have just been deleted.
            entries = [entry.after(after) for entry in self._entries(rows)]
            after = rows[-1].sequence
        return entries

    def sequence_at_offsets(
        self, job_id: JobId, attempt: int, offsets: Mapping[LogStream, int]
    ) -> int:
        """See the port."""
        # Before the search: what is appended meanwhile may lie after the offsets.
        last = self.last_sequence(job_id)
        candidates = [last]
        for stream in LogStream:
            offset = offsets.get(stream, 0)
            row = self._row_at_offset(job_id, attempt, stream, offset)
            if row is not None:
                candidates.append(row.start_sequence + max(0, offset - row.offset))
        return min(candidates)

    def _rows_after(
        self, job_id: JobId, after: int, max_bytes: int, attempt: int
    ) -> list[ChunkRow]:
        recent = self._recent(job_id)
        if recent and recent[0].start_sequence <= after:
            rows: list[ChunkRow] = []
        else:
            rows = self._index.chunks_after(job_id, after, attempt=attempt, max_bytes=max_bytes)
        covered = rows[-1].sequence if rows else after
        rows += (row for row in recent if row.sequence > covered and attempt in {0, row.attempt})
        return _up_to(rows, after, max_bytes)

    def _row_at_offset(
        self, job_id: JobId, attempt: int, stream: LogStream, offset: int
    ) -> ChunkRow | None:
        recent = self._recent(job_id)
        row = self._index.chunk_at_offset(job_id, attempt, stream.value, offset)
        if row is not None:
            return row
        for row in recent:
            if (row.attempt, row.stream) == (attempt, stream) and row.offset + row.length > offset:
                return row
        return None

    def _recent(self, job_id: JobId) -> list[ChunkRow]:
        tail = self._tails.sequence_and_rows(job_id)
        return [] if tail is None else tail[1]

    def _entries(self, rows: Sequence[ChunkRow]) -> Iterator[LogEntry]:
        for number, group in groupby(rows, key=attrgetter("segment")):
            try:
                fd = os.open(segment_path(self._directory, number), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                for row in group:
                    yield _entry(fd, row)
            finally:
                os.close(fd)


def _entry(fd: int, row: ChunkRow) -> LogEntry:
    frame = os.pread(fd, row.frame_bytes, row.position)
    try:
        entry = decode(frame)
    except DamagedFrameError:
        entry = None
    if entry is None or row_of(entry, row.segment, row.position) != row:
        raise LogStoreUnavailableError(
            f"the output of job {row.job_id} is damaged at byte {row.position} of segment "
            f"{row.segment} of the log store: see to the disk"
        )
    return entry


def _up_to(rows: list[ChunkRow], after: int, max_bytes: int) -> list[ChunkRow]:
    """The first rows that hold `max_bytes` after a sequence; at least one where there is one."""
    size = 0
    for count, row in enumerate(rows, start=1):
        size += row.sequence - max(row.start_sequence, after)
        if size >= max_bytes or count == _MAX_ROWS:
            return rows[:count]
    return rows
