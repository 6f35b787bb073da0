"""What the writer has stored and the index does not show yet, and how far each active job is.

The writer publishes here before it acknowledges, so that a reader sees everything acknowledged;
the indexer moves rows from here into the index. A job without rows here may be forgotten: the
index knows the rest. That bounds the memory by the jobs that are active, not by all there were.
"""

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple

from hodei.adapters.logstore.frames import ChunkRow
from hodei.kernel.ids import JobId

_KEEP_JOBS: Final = 2048
"""Jobs remembered without need: a lookup in the index costs about 10 us, a job here 800 bytes."""

MAX_UNINDEXED: Final = 10_000
"""Rows that may wait for the index, about 7 MB; it takes more than 100,000 a second."""


@dataclass(slots=True)
class Stored:
    """How far a job is stored."""

    sequence: int = 0
    ends: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    """The end of each stream, by attempt and stream."""

    def copy(self) -> "Stored":
        """A copy that may be changed."""
        return Stored(self.sequence, self.ends.copy())


class SealedSegment(NamedTuple):
    """A segment that gets no more chunks."""

    number: int
    last_stored_at: datetime


class Unindexed(NamedTuple):
    """What the index is to take up, in one piece."""

    rows: list[ChunkRow]
    sealed: list[SealedSegment]


@dataclass(slots=True)
class _Tail:
    stored: Stored
    rows: list[ChunkRow] = field(default_factory=list[ChunkRow])


class Tails:
    """Shared by the writer, the indexer and the readers; each call holds a lock for microseconds."""

    def __init__(self, *, keep_jobs: int = _KEEP_JOBS) -> None:
        self._keep_jobs = keep_jobs
        self._lock = threading.Lock()
        self._tails: OrderedDict[JobId, _Tail] = OrderedDict()
        self._rows: deque[ChunkRow] = deque()
        self._sealed: list[SealedSegment] = []

    @property
    def waiting(self) -> int:
        """How many rows the index does not have yet."""
        return len(self._rows)

    def stored(self, job_id: JobId) -> Stored | None:
        """How far the job is stored; None when only the index knows."""
        with self._lock:
            tail = self._tails.get(job_id)
            return None if tail is None else tail.stored.copy()

    def sequence_and_rows(self, job_id: JobId) -> tuple[int, list[ChunkRow]] | None:
        """The job's last sequence, and its rows that are not in the index; None as in `stored`."""
        with self._lock:
            tail = self._tails.get(job_id)
            return None if tail is None else (tail.stored.sequence, tail.rows.copy())

    def publish(self, stored: Mapping[JobId, Stored], rows: Sequence[ChunkRow]) -> None:
        """Shows what has become durable. The values of `stored` are handed over."""
        with self._lock:
            for job_id, each in stored.items():
                tail = self._tails.get(job_id)
                if tail is None:
                    self._tails[job_id] = _Tail(each)
                else:
                    tail.stored = each
                    self._tails.move_to_end(job_id)
            for row in rows:
                self._tails[row.job_id].rows.append(row)
            self._rows.extend(rows)
            self._forget_idle_jobs()

    def seal(self, segment: SealedSegment) -> None:
        """Notes that a segment gets no more chunks; all of its own are published."""
        with self._lock:
            self._sealed.append(segment)

    def unindexed(self, at_most: int) -> Unindexed:
        """The oldest rows; segments sealed, too, where their last row is among these."""
        with self._lock:
            rows = list(islice(self._rows, at_most))
            is_all = len(rows) == len(self._rows)
            return Unindexed(rows, self._sealed.copy() if is_all else [])

    def settle(self, indexed: Unindexed) -> None:
        """Lets go of what the index now has: the answer of the last `unindexed`."""
        with self._lock:
            for _ in indexed.rows:
                self._rows.popleft()
            del self._sealed[: len(indexed.sealed)]
            for job_id, count in Counter(row.job_id for row in indexed.rows).items():
                del self._tails[job_id].rows[:count]
            self._forget_idle_jobs()

    def forget(self, job_ids: Iterable[JobId]) -> None:
        """Forgets jobs of which the index has everything."""
        with self._lock:
            for job_id in job_ids:
                tail = self._tails.get(job_id)
                if tail is not None and not tail.rows:
                    del self._tails[job_id]

    def _forget_idle_jobs(self) -> None:
        while len(self._tails) > self._keep_jobs:
            job_id, tail = next(iter(self._tails.items()))
            if tail.rows:
                # Rows are indexed in the order in which jobs come here: those behind wait as well.
                return
            del self._tails[job_id]
