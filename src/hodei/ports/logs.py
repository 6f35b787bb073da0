"""Where the jobs' output is kept."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hodei.domain.logs import LogChunk, LogEntry, LogStream
from hodei.kernel.errors import UnavailableError
from hodei.kernel.ids import JobId


class LogStoreUnavailableError(UnavailableError):
    """Bytes could not be stored or read: disk full, I/O error. Nothing was acknowledged."""

    code = "LOG_STORE_UNAVAILABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnd:
    """Up to where one stream of one attempt is stored."""

    job_id: JobId
    attempt: int
    stream: LogStream
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOutput:
    """Up to where the output of one job is stored."""

    job_id: JobId
    sequence: int
    """Of its newest entry."""
    ends: dict[tuple[int, LogStream], int]
    """Of each stream of each attempt that has a byte."""


class LogStore(Protocol):
    """Append-only output, addressed by byte offsets."""

    async def append(self, chunks: Sequence[LogChunk]) -> list[StreamEnd]:
        """Stores the chunks in their order.

        Returns, for each stream touched, its new end, once everything before it would survive a
        crash of the machine (concurrent calls share one fdatasync). Idempotent by offset: bytes
        that are stored already are left out, whatever their content.

        Raises:
            LogGapError: A chunk begins after the end of its stream. The chunks before it are
                stored; it and those after it are not.
            LogStoreUnavailableError: Nothing is acknowledged; the same call may be repeated.
        """
        ...

    async def ends(self, job_id: JobId, attempt: int) -> dict[LogStream, int]:
        """The durable end of each stream of the attempt; 0 for one without a byte."""
        ...

    async def read(
        self, job_id: JobId, *, after_sequence: int, max_bytes: int, attempt: int = 0
    ) -> list[LogEntry]:
        """Durable entries that end after a sequence, in stored order, about `max_bytes` of them.

        The first is cut so that it begins just after `after_sequence`. Empty when there is no
        more for now. `attempt` 0 means all. A reader never holds up a writer.

        Raises:
            LogStoreUnavailableError: They could not be read.
        """
        ...

    async def sequence_at_offsets(
        self, job_id: JobId, attempt: int, offsets: dict[LogStream, int]
    ) -> int:
        """The largest sequence before which every stored byte lies before these offsets.

        Reading on from it and dropping what lies before the offsets gives exactly the rest.
        """
        ...

    async def last_sequence(self, job_id: JobId) -> int:
        """The sequence of the newest entry; 0 when there is none."""
        ...

    async def close(self) -> None:
        """Finishes what was handed over. Idempotent."""
        ...


class LogKeeping(Protocol):
    """What becomes of output after it was written."""

    async def delete_before(self, limit: datetime, *, keep: Collection[JobId] = ()) -> int:
        """Lets go of output stored before `limit`, whole segments at a time; returns how many.

        A segment with output of a job that is to be kept stays. How far each stream is stored is not
        forgotten with its bytes.
        """
        ...

    async def forget(self, job_ids: Collection[JobId]) -> None:
        """Lets go of all output of jobs that are no more, and of how far it went.

        Their ids may be used again. Once it has returned, a crash does not undo it, or undoes
        with it all that was done after it.
        """
        ...

    async def limit_for(self, max_bytes: int) -> datetime | None:
        """The limit before which to delete, so that what is left is as stored at most so large.

        None where it is no larger. A segment that is being written cannot go.
        """
        ...

    async def outputs(self, *, after: str, limit: int) -> list[StoredOutput]:
        """The jobs that have or had output, by their ids, from after one on ('' for the first)."""
        ...


class KeptLogStore(LogStore, LogKeeping, Protocol):
    """All of it, as one adapter gives it."""
