"""Decides what of many appends is new and where it will lie. No I/O: the writer performs it."""

from collections.abc import Callable, Sequence

from hodei.adapters.logstore.frames import ChunkRow, encode_head, frame_bytes
from hodei.adapters.logstore.tails import Stored
from hodei.domain.logs import LogChunk, LogGapError, LogStream
from hodei.kernel.ids import JobId
from hodei.ports.logs import StreamEnd

Outcome = list[StreamEnd] | LogGapError
"""What an append answers once its group is durable."""


class Group:
    """Appends that one write makes durable together.

    Works on copies: when the write fails, the group is dropped and nothing has changed.

    Args:
        lookup: How far a job is stored; the answer is the group's to change.
        segment: The number of the segment that is written.
        position: Its size.
    """

    def __init__(self, lookup: Callable[[JobId], Stored], segment: int, position: int) -> None:
        self._lookup = lookup
        self._segment = segment
        self._position = position
        self.buffers: list[bytes] = []
        self.rows: list[ChunkRow] = []
        self.stored: dict[JobId, Stored] = {}

    def add(self, chunks: Sequence[LogChunk]) -> Outcome:
        """Takes the chunks in, up to the first that leaves a gap."""
        ends: dict[tuple[JobId, int, LogStream], int] = {}
        for chunk in chunks:
            key = (chunk.attempt, chunk.stream.value)
            stored = self._stored(chunk.job_id)
            end = stored.ends.get(key, 0)
            try:
                new = chunk.new_to(end)
            except LogGapError as error:
                return error
            if new.data:
                self._take(new, stored)
                end = new.end
            ends[chunk.job_id, chunk.attempt, chunk.stream] = end
        return [
            StreamEnd(job_id=job_id, attempt=attempt, stream=stream, end=end)
            for (job_id, attempt, stream), end in ends.items()
        ]

    def _take(self, chunk: LogChunk, stored: Stored) -> None:
        size = len(chunk.data)
        stored.sequence += size
        stored.ends[chunk.attempt, chunk.stream.value] = chunk.end
        self.buffers += (encode_head(chunk, stored.sequence), chunk.data)
        self.rows.append(
            ChunkRow(
                chunk.job_id,
                stored.sequence,
                chunk.attempt,
                chunk.stream.value,
                chunk.offset,
                size,
                self._segment,
                self._position,
            )
        )
        self._position += frame_bytes(chunk.job_id, size)

    def _stored(self, job_id: JobId) -> Stored:
        stored = self.stored.get(job_id)
        if stored is None:
            stored = self.stored[job_id] = self._lookup(job_id)
        return stored
