"""The index over the segments: an SQLite file that may lag, and is completed after a crash.

It is written with synchronous=NORMAL: a power failure may take its last transactions, never its
consistency. Each transaction also says up to where each segment is indexed, so that `recovery`
knows where to go on.
"""

import json
import sqlite3
import threading
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple

from hodei.adapters.logstore.frames import ChunkRow
from hodei.adapters.logstore.tails import SealedSegment, Stored
from hodei.kernel.errors import RefusedError
from hodei.kernel.ids import JobId

FILE_NAME: Final = "index.db"

_SCHEMA_VERSION: Final = 1

_SCHEMA: Final = """
-- One row for each frame. A scan of a job's output is a range of the primary key.
CREATE TABLE chunks (
    job_id TEXT NOT NULL,
    sequence INTEGER NOT NULL,   -- just after the chunk
    attempt INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    position INTEGER NOT NULL,   -- of the frame in the segment's file
    PRIMARY KEY (job_id, sequence)
) WITHOUT ROWID;
CREATE INDEX chunks_by_segment ON chunks (segment);

-- How far each stream is stored. Outlives its chunks: a job that speaks again after its old
-- output was deleted goes on where it was.
CREATE TABLE streams (
    job_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    stream_end INTEGER NOT NULL,
    sequence INTEGER NOT NULL,   -- of the job, after the stream's last chunk
    PRIMARY KEY (job_id, attempt, stream)
) WITHOUT ROWID;

CREATE TABLE segments (
    segment INTEGER PRIMARY KEY,
    indexed_to INTEGER NOT NULL, -- frames before this position are in `chunks`
    last_stored_us INTEGER       -- NULL while the segment may grow
);
"""

# What is there stays: it was stored first.
_ADD_CHUNK: Final = "INSERT OR IGNORE INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

_SET_STREAM: Final = """
INSERT INTO streams VALUES (?, ?, ?, ?, ?)
ON CONFLICT (job_id, attempt, stream)
DO UPDATE SET stream_end = excluded.stream_end, sequence = excluded.sequence
"""

_SET_INDEXED: Final = """
INSERT INTO segments VALUES (?, ?, NULL)
ON CONFLICT (segment) DO UPDATE SET indexed_to = excluded.indexed_to
"""

_SEAL: Final = """
INSERT INTO segments VALUES (?, 0, ?)
ON CONFLICT (segment) DO UPDATE SET last_stored_us = excluded.last_stored_us
"""

_STREAMS: Final = "SELECT attempt, stream, stream_end, sequence FROM streams WHERE job_id = ?"

_CHUNKS_AFTER: Final = """
SELECT * FROM chunks
WHERE job_id = ?1 AND sequence > ?2 AND (?3 = 0 OR attempt = ?3)
ORDER BY sequence
"""

_SEALED_BEFORE: Final = """
SELECT segment FROM segments
WHERE last_stored_us < ?1 AND NOT EXISTS (
    SELECT 1 FROM chunks
    WHERE chunks.segment = segments.segment AND job_id IN (SELECT value FROM json_each(?2))
)
ORDER BY segment
"""

_FORGET_JOB: Final = """
DELETE FROM chunks WHERE (job_id, sequence) IN
    (SELECT job_id, sequence FROM chunks WHERE job_id = ? LIMIT ?)
"""

_OUTPUTS: Final = """
SELECT job_id, attempt, stream, stream_end, sequence FROM streams
WHERE job_id IN (SELECT DISTINCT job_id FROM streams WHERE job_id > ? ORDER BY job_id LIMIT ?)
ORDER BY job_id
"""

# Walks the job's rows, 0.13 us each; an index of its own would cost every append more.
_CHUNK_AT_OFFSET: Final = """
SELECT * FROM chunks
WHERE job_id = ? AND attempt = ? AND stream = ? AND offset + length > ?
ORDER BY sequence LIMIT 1
"""

_FORGET_CHUNKS: Final = """
DELETE FROM chunks WHERE (job_id, sequence) IN
    (SELECT job_id, sequence FROM chunks WHERE segment = ? LIMIT ?)
"""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BUSY_TIMEOUT_S: Final = 10.0


class IndexVersionError(RefusedError):
    """The index was written by a newer release; this one must leave it alone."""

    code = "LOG_INDEX_TOO_NEW"


class SegmentState(NamedTuple):
    """What the index knows of a segment."""

    indexed_to: int
    is_sealed: bool


class Index:
    """Safe to use from any thread: writes take turns, reads have connections of their own."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it. Raises IndexVersionError where it is too new."""
        self._path = path
        self._idle_readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._writing = threading.Lock()
        self._db = _connect(path)
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def add(self, rows: Sequence[ChunkRow], sealed: Sequence[SealedSegment] = ()) -> None:
        """Takes up rows, in the order in which they were stored, in one transaction."""
        streams = {
            (row.job_id, row.attempt, row.stream): (row.offset + row.length, row.sequence)
            for row in rows
        }
        indexed = {row.segment: row.position + row.frame_bytes for row in rows}
        with self._transaction() as db:
            db.executemany(_ADD_CHUNK, rows)
            db.executemany(_SET_STREAM, (key + value for key, value in streams.items()))
            db.executemany(_SET_INDEXED, indexed.items())
            db.executemany(_SEAL, ((each.number, _us(each.last_stored_at)) for each in sealed))

    def stored(self, job_id: JobId) -> Stored:
        """How far the job's output is in the index."""
        with self._reader() as db:
            rows = db.execute(_STREAMS, (job_id,)).fetchall()
        ends = {(attempt, stream): end for attempt, stream, end, _ in rows}
        return Stored(max((row[3] for row in rows), default=0), ends)

    def outputs(self, after: str, limit: int) -> dict[JobId, Stored]:
        """How far each of the next jobs is in the index, by id."""
        found: dict[JobId, Stored] = {}
        with self._reader() as db:
            for job_id, attempt, stream, end, sequence in db.execute(_OUTPUTS, (after, limit)):
                stored = found.setdefault(job_id, Stored())
                stored.ends[attempt, stream] = end
                stored.sequence = max(stored.sequence, sequence)
        return found

    def chunks_after(
        self, job_id: JobId, sequence: int, *, attempt: int, max_bytes: int
    ) -> list[ChunkRow]:
        """The rows that end after `sequence`, until they hold `max_bytes`. `attempt` 0: of all."""
        found: list[ChunkRow] = []
        size = 0
        with (
            self._reader() as db,
            closing(db.execute(_CHUNKS_AFTER, (job_id, sequence, attempt))) as rows,
        ):
            for row in rows:
                chunk = ChunkRow(*row)
                found.append(chunk)
                size += chunk.sequence - max(chunk.start_sequence, sequence)
                if size >= max_bytes:
                    break
        return found

    def chunk_at_offset(
        self, job_id: JobId, attempt: int, stream: int, offset: int
    ) -> ChunkRow | None:
        """The first chunk of a stream that ends after `offset`."""
        with self._reader() as db:
            row = db.execute(_CHUNK_AT_OFFSET, (job_id, attempt, stream, offset)).fetchone()
        return None if row is None else ChunkRow(*row)

    def segments(self) -> Mapping[int, SegmentState]:
        """Every segment that the index has heard of, by number."""
        with self._reader() as db:
            rows = db.execute("SELECT * FROM segments").fetchall()
        return {number: SegmentState(to, last is not None) for number, to, last in rows}

    def sealed_before(self, limit: datetime, keep: Collection[JobId]) -> list[int]:
        """The sealed segments whose last chunk was stored before `limit`, and none of `keep`."""
        with self._reader() as db:
            rows = db.execute(_SEALED_BEFORE, (_us(limit), json.dumps(list(keep))))
            return [number for (number,) in rows]

    def sealed_at(self) -> Mapping[int, datetime]:
        """When the last chunk of each sealed segment was stored, by number."""
        query = "SELECT segment, last_stored_us FROM segments WHERE last_stored_us IS NOT NULL"
        with self._reader() as db:
            return {number: _EPOCH + timedelta(microseconds=us) for number, us in db.execute(query)}

    def forget_chunks(self, segment: int, *, at_most: int) -> int:
        """Deletes some rows of a segment; returns how many. Small pieces let the indexer in."""
        with self._transaction() as db:
            return db.execute(_FORGET_CHUNKS, (segment, at_most)).rowcount

    def forget_job(self, job_id: JobId, *, at_most: int) -> bool:
        """Deletes some rows of a job, with the last of them how far it was stored.

        Returns whether that was all. Then it survives a crash of the machine: what is forgotten of
        a job must not come back once its id is another's.
        """
        with self._writing:
            # A commit that reaches the disk takes those before it along.
            self._db.execute("PRAGMA synchronous = FULL")
            try:
                with self._transaction_alone() as db:
                    if db.execute(_FORGET_JOB, (job_id, at_most)).rowcount == at_most:
                        return False
                    db.execute("DELETE FROM streams WHERE job_id = ?", (job_id,))
                    return True
            finally:
                self._db.execute("PRAGMA synchronous = NORMAL")

    def forget_segment(self, segment: int) -> None:
        """Deletes the segment's own row, after those of its chunks and its file."""
        with self._transaction() as db:
            db.execute("DELETE FROM segments WHERE segment = ?", (segment,))

    def close(self) -> None:
        """Closes every connection. Nobody may use the index any more."""
        self._db.close()
        while True:
            try:
                self._idle_readers.get_nowait().close()
            except Empty:
                return

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > _SCHEMA_VERSION:
            raise IndexVersionError(
                f"{self._path} has version {version}, and this release knows {_SCHEMA_VERSION}: "
                f"start the release that wrote it, or a newer one"
            )
        if version == 0:
            self._db.executescript(
                f"BEGIN; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;"
            )

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._writing, self._transaction_alone() as db:
            yield db

    @contextmanager
    def _transaction_alone(self) -> Generator[sqlite3.Connection]:
        """As `_transaction`, for one whose turn it is."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled it back already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _reader(self) -> Generator[sqlite3.Connection]:
        try:
            db = self._idle_readers.get_nowait()
        except Empty:
            db = _connect(self._path)
            db.execute("PRAGMA query_only = ON")
        try:
            yield db
        finally:
            self._idle_readers.put(db)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    db.execute("PRAGMA cache_size = -256")
    return db


def _us(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
