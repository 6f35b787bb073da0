"""Reads a job's output: what is stored, then what comes, each byte once and in order."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

from hodei.application.journal import Journal
from hodei.application.log_hub import LogHub
from hodei.domain.logs import LogEntry, LogStream
from hodei.kernel.errors import InvalidFieldsError
from hodei.kernel.ids import JobId
from hodei.ports.logs import LogStore

_PAGE_BYTES = 1024 * 1024
"""Read at once: large enough to be quick, small enough for many readers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogWindow:
    """Which part of a job's output is wanted."""

    attempt: int = 0
    """0 for all, or for the newest one where offsets are given."""
    after_sequence: int = 0
    offsets: dict[LogStream, int] = field(default_factory=dict[LogStream, int])
    """Leave out what lies before these."""
    from_now: bool = False
    """Leave out all that is stored already."""


class TailLogs:
    """The use case behind `SubscribeLogs` and `GetLogs`."""

    def __init__(self, *, journal: Journal, logs: LogStore, hub: LogHub) -> None:
        self._journal = journal
        self._logs = logs
        self._hub = hub

    async def tail(
        self, job_id: JobId, window: LogWindow, *, follow: bool
    ) -> AsyncGenerator[LogEntry, None]:
        """Entries in stored order. With `follow` it ends when the job has ended and all is told.

        The reader's pace is its own: nothing waits for it, and nothing is kept for it in memory.

        Raises:
            NotFoundError: There is no such job.
            InvalidFieldsError: There is no such attempt.
            LogStoreUnavailableError: They cannot be read just now.
        """
        sequence, attempt = await self._begin(job_id, window)
        with self._hub.reading(job_id) as wake:
            while True:
                # Asked before the page is read: what is stored before the end is then in the page.
                has_ended = (await self._journal.job(job_id)).is_terminal
                page = await self._logs.read(
                    job_id, after_sequence=sequence, max_bytes=_PAGE_BYTES, attempt=attempt
                )
                for entry in page:
                    sequence = entry.sequence
                    wanted = _from_offset(entry, window.offsets.get(entry.chunk.stream, 0))
                    if wanted is not None:
                        yield wanted
                if page:
                    continue
                if has_ended or not follow:
                    return
                await wake.wait()

    async def page(
        self, job_id: JobId, *, attempt: int, after_sequence: int, max_bytes: int
    ) -> list[LogEntry]:
        """Some stored entries. Raises as `tail`."""
        await self._begin(job_id, LogWindow(attempt=attempt))
        return await self._logs.read(
            job_id, after_sequence=after_sequence, max_bytes=max_bytes, attempt=attempt
        )

    async def end(self, job_id: JobId) -> int:
        """The sequence of the newest stored entry; 0 when there is none."""
        return await self._logs.last_sequence(job_id)

    async def _begin(self, job_id: JobId, window: LogWindow) -> tuple[int, int]:
        job = await self._journal.job(job_id)
        if window.attempt > len(job.attempts):
            raise InvalidFieldsError.of(
                "attempt",
                f"job {job_id} has {len(job.attempts)} attempts so far; 0 means all of them",
            )
        attempt = window.attempt
        sequence = window.after_sequence
        if any(window.offsets.values()):
            # Before the first attempt, the one that will come.
            attempt = attempt or len(job.attempts) or 1
            start = await self._logs.sequence_at_offsets(job_id, attempt, window.offsets)
            sequence = max(sequence, start)
        if window.from_now:
            sequence = max(sequence, await self._logs.last_sequence(job_id))
        return sequence, attempt


def _from_offset(entry: LogEntry, offset: int) -> LogEntry | None:
    """The part of the entry from an offset on; None when all of it lies before."""
    chunk = entry.chunk
    if chunk.offset >= offset:
        return entry
    if chunk.end <= offset:
        return None
    cut = replace(chunk, offset=offset, data=chunk.data[offset - chunk.offset :])
    return replace(entry, chunk=cut)
