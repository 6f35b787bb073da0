"""Joins a job's small rows into large ones, in the background and a few at a time.

Each append leaves a row of its own for each of its jobs. Whoever has appended enough of them to a job
puts them together, while it is written or after. A job that says little is left as it is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import asyncpg
import structlog

from hodei.adapters.postgres.named_sql import load
from hodei.adapters.postgres.reader import Readers
from hodei.kernel.errors import HodeiError
from hodei.kernel.ids import JobId
from hodei.lifecycle.service import TaskSet
from hodei.lifecycle.wake import Wake

from . import rows as log_rows
from .rows import Run, decode, encode

log = structlog.get_logger()

_SQL: Final = load("logs.sql")

LOOSE_ROWS: Final = 64
"""A job with so many is looked at."""
_BYTES_AT_ONCE: Final = 4 * 2**20
_ROWS_AT_ONCE: Final = 1024
_JOBS_AT_ONCE: Final = 10_000
_PAUSE_S: Final = 0.05
"""Between two steps: it has time, and others want the database."""
_RETRY_AFTER_S: Final = 5.0


class _GoneError(Exception):
    """Some of the rows were let go of meanwhile, and must not come back."""


class _Part(NamedTuple):
    """Rows that become one."""

    taken: list[asyncpg.Record]
    run: Run
    stored_at: int


class Compaction:
    """A loop that joins rows until it is closed."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._jobs: dict[JobId, None] = {}
        self._wake = Wake()
        self._tasks = TaskSet()
        self._tasks.start(self._run(), name="hodei-postgres-log-compaction")

    def notice(self, loose: dict[JobId, int]) -> None:
        """Takes note of jobs, and of how many rows of theirs are not put together."""
        for job_id, rows in loose.items():
            if rows >= LOOSE_ROWS:
                self._jobs[job_id] = None
                self._wake.notify()

    async def close(self) -> None:
        """Ends it; what it was about to do, another or the next start does."""
        await self._tasks.close()

    async def compact(self, job_id: JobId) -> None:
        """Joins all of a job's rows that are worth it.

        Raises:
            StoreUnavailableError: The database cannot be used.
        """
        is_more = True
        while is_more:
            is_more = await self._step(job_id)
            await asyncio.sleep(_PAUSE_S)

    async def _run(self) -> None:
        await self._trying(self._notice_left_over)
        while True:
            await self._wake.wait()
            while self._jobs:
                job_id = next(iter(self._jobs))
                del self._jobs[job_id]
                await self._trying(partial(self.compact, job_id))

    async def _trying(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except HodeiError as error:
            # Not at once again: what is scattered can be read as well.
            log.warning("log_compaction_delayed", message=str(error))
            await asyncio.sleep(_RETRY_AFTER_S)

    async def _notice_left_over(self) -> None:
        """What servers that died had not got round to."""
        after = ""
        while rows := await self._readers.fetch(_SQL["scattered_jobs"], after, _JOBS_AT_ONCE):
            self.notice({JobId(row["job_id"]): row["loose"] for row in rows})
            after = rows[-1]["job_id"]
            await asyncio.sleep(_PAUSE_S)

    async def _step(self, job_id: JobId) -> bool:
        """Joins the oldest loose rows; whether there may be more."""
        try:
            return await self._join(job_id)
        except _GoneError:
            return False

    async def _join(self, job_id: JobId) -> bool:
        async with self._readers.transaction() as connection:
            if not await connection.fetchval(_SQL["compacting"], job_id):
                return False
            rows = await connection.fetch(
                _SQL["loose_segments"], job_id, _BYTES_AT_ONCE, _ROWS_AT_ONCE
            )
            parts = await asyncio.to_thread(_parts, job_id, rows)
            for part in parts:
                if len(part.taken) > 1:
                    taken = [row["sequence"] for row in part.taken]
                    out = await connection.fetch(_SQL["take_out"], job_id, taken)
                    if len(out) != len(taken):
                        raise _GoneError
                    columns = zip(*[(*part.run[:5], part.stored_at, *part.run[5:])], strict=True)
                    await connection.execute(_SQL["put_in"], job_id, *columns)
            if rows:
                done_to = _done_to(parts)
                await connection.execute(_SQL["compacted"], job_id, done_to, len(rows))
        is_whole_page = len(rows) == _ROWS_AT_ONCE or _length(rows) >= _BYTES_AT_ONCE
        return is_whole_page and len(parts) < len(rows)


def _parts(job_id: JobId, rows: Sequence[asyncpg.Record]) -> list[_Part]:
    """Which rows become one, in their order."""
    groups: list[list[asyncpg.Record]] = []
    for row in rows:
        last = groups[-1] if groups else []
        if last and _goes_on(last[-1], row) and _length(last) < log_rows.FULL_BYTES:
            last.append(row)
        else:
            groups.append([row])
    return [_part(job_id, group) for group in groups]


def _goes_on(row: asyncpg.Record, after: asyncpg.Record) -> bool:
    """Whether one row follows another without a hole, and tells of the same attempt."""
    is_next = after["sequence"] - after["length"] == row["sequence"]
    return is_next and after["attempt"] == row["attempt"]


def _part(job_id: JobId, rows: list[asyncpg.Record]) -> _Part:
    last = rows[-1]
    if len(rows) == 1:
        format_, data = last["format"], last["data"]
    else:
        format_, data = encode(
            [
                entry
                for row in rows
                for entry in decode(
                    job_id, row["attempt"], row["sequence"], row["format"], row["data"]
                )
            ]
        )
    run = Run(
        sequence=last["sequence"],
        length=_length(rows),
        attempt=last["attempt"],
        stdout_end=max(row["stdout_end"] for row in rows),
        stderr_end=max(row["stderr_end"] for row in rows),
        format=format_,
        data=data,
    )
    return _Part(rows, run, max(row["stored_at"] for row in rows))


def _done_to(parts: Sequence[_Part]) -> int:
    """The sequence up to which there is nothing to join any more."""
    run = parts[-1].run
    return run.sequence if run.length >= log_rows.FULL_BYTES else run.sequence - run.length


def _length(rows: Sequence[asyncpg.Record]) -> int:
    return sum(row["length"] for row in rows)
