"""The log store over segment files: the port's async face on the threads that do the work."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from hodei.adapters.logstore.failures import unreadable, unusable
from hodei.adapters.logstore.index import FILE_NAME, Index
from hodei.adapters.logstore.indexer import Indexer
from hodei.adapters.logstore.reading import Reader
from hodei.adapters.logstore.recovery import recover
from hodei.adapters.logstore.segment import segment_numbers, segment_path
from hodei.adapters.logstore.tails import Tails
from hodei.adapters.logstore.writer import (
    AppendRequest,
    SealRequest,
    SegmentLimits,
    SegmentWriter,
)
from hodei.domain.logs import LogChunk, LogEntry, LogStream
from hodei.kernel.clock import Clock
from hodei.kernel.ids import JobId
from hodei.ports.logs import LogStoreUnavailableError, StoredOutput, StreamEnd

T = TypeVar("T")

_READERS: Final = 4
"""Reads at once; more wait in line. They spend their time in SQLite and the page cache."""
_INDEX_DELAY_S: Final = 0.1
_ROWS_FORGOTTEN_AT_ONCE: Final = 2000
_MOMENT: Final = timedelta(microseconds=1)


class SegmentLogStore:
    """`KeptLogStore` in a directory of this host. Made by `open`; of one event loop."""

    def __init__(
        self,
        directory: Path,
        *,
        index: Index,
        indexer: Indexer,
        writer: SegmentWriter,
        tails: Tails,
    ) -> None:
        self._directory = directory
        self._index = index
        self._indexer = indexer
        self._writer = writer
        self._tails = tails
        self._reader = Reader(directory, tails, index)
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="hodei-log-read")
        self._closing = threading.Lock()
        self._is_closed = False
        self._is_over = False

    @classmethod
    async def open(
        cls, directory: Path, clock: Clock, *, limits: SegmentLimits | None = None
    ) -> "SegmentLogStore":
        """Opens the store, or makes it; after a crash it is completed first.

        The caller holds the directory for itself alone.

        Raises:
            LogStoreUnavailableError: The directory cannot be used.
            IndexVersionError: A newer release wrote it.
        """
        segments = directory / "segments"
        try:
            index, next_segment = await asyncio.to_thread(_prepare, directory, segments, clock)
        except (OSError, sqlite3.Error) as error:
            raise unusable(directory, error) from error
        tails = Tails()
        indexer = Indexer(tails, index, delay_s=_INDEX_DELAY_S)
        writer = SegmentWriter(
            segments,
            clock=clock,
            limits=limits or SegmentLimits(),
            next_segment=next_segment,
            tails=tails,
            index=index,
            indexer=indexer,
        )
        indexer.start()
        writer.start()
        return cls(segments, index=index, indexer=indexer, writer=writer, tails=tails)

    async def append(self, chunks: Sequence[LogChunk]) -> list[StreamEnd]:
        """Stores the chunks; see the port.

        A caller that is cancelled does not know whether they were stored.

        Raises:
            LogGapError: See the port.
            LogStoreUnavailableError: See the port.
            InvalidFieldsError: A chunk's id or numbers are out of range; nothing was stored.
        """
        if not chunks:
            return []
        for chunk in chunks:
            chunk.require_storable()
        self._require_open()
        answer: asyncio.Future[list[StreamEnd]] = asyncio.get_running_loop().create_future()
        self._writer.hand_over(AppendRequest(chunks, answer))
        return await answer

    async def ends(self, job_id: JobId, attempt: int) -> dict[LogStream, int]:
        """The durable end of each stream of the attempt."""
        return await self._in_thread(lambda: self._reader.ends(job_id, attempt))

    async def read(
        self, job_id: JobId, *, after_sequence: int, max_bytes: int, attempt: int = 0
    ) -> list[LogEntry]:
        """Durable entries that end after a sequence; see the port.

        Raises:
            LogStoreUnavailableError: They could not be read, or are damaged.
        """
        tail = self._tails.stored(job_id)
        if tail is not None and tail.sequence <= after_sequence:
            return []  # The usual answer to one who follows a job: no thread is needed.
        return await self._in_thread(
            lambda: self._reader.read(job_id, after_sequence, max_bytes, attempt)
        )

    async def sequence_at_offsets(
        self, job_id: JobId, attempt: int, offsets: dict[LogStream, int]
    ) -> int:
        """Where to read on from, given how far each stream is known; see the port.

        A stream that is not in `offsets` is wanted from its beginning.
        """
        return await self._in_thread(
            lambda: self._reader.sequence_at_offsets(job_id, attempt, offsets)
        )

    async def last_sequence(self, job_id: JobId) -> int:
        """The sequence of the newest entry; 0 when there is none."""
        tail = self._tails.stored(job_id)
        if tail is not None:
            return tail.sequence
        return await self._in_thread(lambda: self._reader.last_sequence(job_id))

    async def delete_before(self, limit: datetime, *, keep: Collection[JobId] = ()) -> int:
        """Deletes segments whose last chunk was stored before `limit`; see the port."""
        self._require_open()
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writer.hand_over(SealRequest(limit, answer))
        await answer
        return await self._in_thread(lambda: self._delete_sealed(limit, keep))

    async def forget(self, job_ids: Collection[JobId]) -> None:
        """Forgets where the output of these jobs lies, and how far it went; see the port.

        Their bytes stay in segments that hold others' too, until these are old enough to go.
        """
        await self._in_thread(lambda: self._forget(job_ids))

    async def limit_for(self, max_bytes: int) -> datetime | None:
        """Before which to delete; see the port."""
        return await self._in_thread(lambda: self._limit_for(max_bytes))

    async def outputs(self, *, after: str, limit: int) -> list[StoredOutput]:
        """Up to where the next jobs are stored; see the port."""
        return await self._in_thread(lambda: self._outputs(after, limit))

    async def close(self) -> None:
        """Finishes what was handed over. Idempotent; whoever calls waits until it is over."""
        # Here, not in the thread: nothing is handed over behind the writer's last request.
        self._is_closed = True
        await asyncio.to_thread(self._close)

    def _outputs(self, after: str, limit: int) -> list[StoredOutput]:
        self._indexer.flush()
        return [
            StoredOutput(
                job_id=job_id,
                sequence=stored.sequence,
                ends={
                    (attempt, LogStream(stream)): end
                    for (attempt, stream), end in stored.ends.items()
                },
            )
            for job_id, stored in self._index.outputs(after, limit).items()
        ]

    def _delete_sealed(self, limit: datetime, keep: Collection[JobId]) -> int:
        self._indexer.flush()
        numbers = self._index.sealed_before(limit, keep)
        for number in numbers:
            # The rows first, the segment's own row last: after a crash it is gone over again.
            while self._index.forget_chunks(number, at_most=_ROWS_FORGOTTEN_AT_ONCE):
                pass
            segment_path(self._directory, number).unlink(missing_ok=True)
            self._index.forget_segment(number)
        return len(numbers)

    def _forget(self, job_ids: Collection[JobId]) -> None:
        self._indexer.flush()
        for job_id in job_ids:
            while not self._index.forget_job(job_id, at_most=_ROWS_FORGOTTEN_AT_ONCE):
                pass
        self._tails.forget(job_ids)

    def _limit_for(self, max_bytes: int) -> datetime | None:
        self._indexer.flush()
        sealed_at = self._index.sealed_at()
        size = 0
        for number in sorted(segment_numbers(self._directory), reverse=True):
            with suppress(FileNotFoundError):
                size += segment_path(self._directory, number).stat().st_size
            if size > max_bytes and number in sealed_at:
                return sealed_at[number] + _MOMENT
        return None

    def _close(self) -> None:
        with self._closing:
            if self._is_over:
                return
            self._is_over = True
            self._writer.stop()
            self._threads.shutdown()
            self._indexer.stop()
            self._index.close()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        self._require_open()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (OSError, sqlite3.Error) as error:
            raise unreadable(self._directory, error) from error

    def _require_open(self) -> None:
        if self._is_closed:
            raise LogStoreUnavailableError("the log store is closed; the server is stopping")


def _prepare(directory: Path, segments: Path, clock: Clock) -> tuple[Index, int]:
    segments.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    index = Index(directory / FILE_NAME)
    try:
        return index, recover(segments, index, clock.now())
    except BaseException:
        index.close()
        raise
