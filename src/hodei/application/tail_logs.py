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
    """The use case behind `SubscribeLogs` and `GetLogs`.

    Args:
        journal: Tells whether a job has ended.
        logs: Where the output is.
        hub: Wakes followers.
        look_again_s: How often a follower looks without being woken, where others store output
            too; None for never.
    """

    def __init__(
        self, *, journal: Journal, logs: LogStore, hub: LogHub, look_again_s: float | None = None
    ) -> None:
        self._journal = journal
        self._logs = logs
        self._hub = hub
        self._look_again_s = look_again_s

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
                    wanted = entry.chunk.since(window.offsets.get(entry.chunk.stream, 0))
                    if wanted.data:
                        yield replace(entry, chunk=wanted)
                if page:
                    continue
                if has_ended or not follow:
                    return
                if self._look_again_s is None:
                    await wake.wait()
                else:
                    await wake.wait_up_to(self._look_again_s)

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
