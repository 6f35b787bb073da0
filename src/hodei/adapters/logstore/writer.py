"""The one thread that writes segments.

It takes all appends that wait, makes them durable with one write and one fdatasync, shows them to
readers, and answers all of them with one call into the event loop.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

import structlog

from hodei.adapters.logstore.failures import unwritable
from hodei.adapters.logstore.group import Group, Outcome
from hodei.adapters.logstore.index import Index
from hodei.adapters.logstore.indexer import Indexer
from hodei.adapters.logstore.segment import OpenSegment
from hodei.adapters.logstore.tails import MAX_UNINDEXED, SealedSegment, Stored, Tails
from hodei.domain.logs import LogChunk
from hodei.kernel.clock import Clock
from hodei.kernel.errors import BrokenError, HodeiError
from hodei.kernel.ids import JobId
from hodei.ports.logs import StreamEnd

log = structlog.get_logger()

_MAX_GROUP_BYTES: Final = 4 << 20
"""Of one write, about: more would only add latency and memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentLimits:
    """When a segment ends."""

    max_bytes: int = 64 << 20
    max_age_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class AppendRequest:
    """Chunks, and who waits for them."""

    chunks: Sequence[LogChunk]
    answer: asyncio.Future[list[StreamEnd]]


@dataclass(frozen=True, slots=True)
class SealRequest:
    """Ends the open segment where its last chunk was stored before `limit`."""

    limit: datetime
    answer: asyncio.Future[None]


_Answer = tuple[asyncio.Future[Any], object]
"""Who waits, and what for: a result, or an error of ours to raise."""


@dataclass(frozen=True, slots=True)
class _Stop:
    """Ends the thread once everything before it is done."""


class SegmentWriter:
    """Owns the open segment.

    Args:
        directory: Of the segments.
        clock: Dates segments.
        limits: When a segment ends.
        next_segment: The first number that was never used.
        tails: Where readers find what was written.
        index: Where jobs are looked up that `tails` does not hold.
        indexer: Is told when `tails` has something new.
    """

    def __init__(  # noqa: PLR0913 - the parts that meet here, by name
        self,
        directory: Path,
        *,
        clock: Clock,
        limits: SegmentLimits,
        next_segment: int,
        tails: Tails,
        index: Index,
        indexer: Indexer,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._limits = limits
        self._next_segment = next_segment
        self._tails = tails
        self._index = index
        self._indexer = indexer
        self._segment: OpenSegment | None = None
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[AppendRequest | SealRequest | _Stop] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="hodei-log-writer", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def hand_over(self, request: AppendRequest | SealRequest) -> None:
        """Queues a request; its future is resolved in the event loop. Never blocks."""
        self._queue.put(request)

    def stop(self) -> None:
        """Does what was handed over and ends the thread. Blocks until then."""
        self._queue.put(_Stop())
        self._thread.join()

    def _run(self) -> None:
        while True:
            appends, other = self._take()
            if appends:
                self._answer_appends(appends)
            match other:
                case SealRequest(limit, answer):
                    self._resolve([(answer, self._seal_before(limit))])
                case _Stop():
                    # Unsealed, it would only be kept for longer.
                    with suppress(OSError):
                        self._seal()
                    return
                case None:
                    pass

    def _take(self) -> tuple[list[AppendRequest], SealRequest | _Stop | None]:
        """Waits for a request, then takes all that wait behind it up to the first of another kind."""
        appends: list[AppendRequest] = []
        size = 0
        request = self._queue.get()
        while isinstance(request, AppendRequest):
            appends.append(request)
            size += sum(len(chunk.data) for chunk in request.chunks)
            if size >= _MAX_GROUP_BYTES:
                return appends, None
            try:
                request = self._queue.get_nowait()
            except Empty:
                return appends, None
        return appends, request

    def _answer_appends(self, requests: list[AppendRequest]) -> None:
        try:
            outcomes: Sequence[Outcome | HodeiError] = self._store(requests)
        except (OSError, sqlite3.Error) as error:
            log.warning("log_append_failed", error=str(error), requests=len(requests))
            outcomes = [unwritable(self._directory, error) for _ in requests]
        except Exception as error:
            # The edge of the thread: a defect must not leave callers waiting for ever.
            log.exception("log_append_broken")
            outcomes = [BrokenError(f"the log store has a defect: {error!r}") for _ in requests]
        answers = [request.answer for request in requests]
        self._resolve(list(zip(answers, outcomes, strict=True)))

    def _store(self, requests: list[AppendRequest]) -> list[Outcome]:
        if self._tails.waiting >= MAX_UNINDEXED:
            # The index is behind, or cannot be written; then this fails, and memory stays bounded.
            self._indexer.flush()
        now = self._clock.now()
        segment = self._writable_segment(now)
        group = Group(self._lookup, segment.number, segment.size)
        outcomes = [group.add(request.chunks) for request in requests]
        if group.buffers:
            segment.append(b"".join(group.buffers), now)
            self._tails.publish(group.stored, group.rows)
            self._indexer.notice()
        return outcomes

    def _lookup(self, job_id: JobId) -> Stored:
        return self._tails.stored(job_id) or self._index.stored(job_id)

    def _writable_segment(self, now: datetime) -> OpenSegment:
        segment = self._segment
        monotonic = self._clock.monotonic()
        if segment is not None and (
            segment.size >= self._limits.max_bytes
            or monotonic - segment.opened_at >= self._limits.max_age_s
        ):
            self._seal()
            segment = None
        if segment is None:
            number = self._next_segment
            self._next_segment += 1
            segment = OpenSegment(self._directory, number, now, monotonic)
            self._segment = segment
        return segment

    def _seal_before(self, limit: datetime) -> HodeiError | None:
        if self._segment is not None and self._segment.last_stored_at < limit:
            try:
                self._seal()
            except OSError as error:
                return unwritable(self._directory, error)
        return None

    def _seal(self) -> None:
        segment = self._segment
        if segment is not None:
            segment.close()
            self._segment = None
            self._tails.seal(SealedSegment(segment.number, segment.last_stored_at))
            self._indexer.notice()

    def _resolve(self, answers: Sequence[_Answer]) -> None:
        # The loop may be closed already where nobody waited for `stop`.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_set_answers, answers)


def _set_answers(answers: Sequence[_Answer]) -> None:
    for future, answer in answers:
        if future.done():  # The caller was cancelled.
            continue
        if isinstance(answer, HodeiError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
