"""Takes over the output that another log store has."""

import asyncio
from collections.abc import AsyncIterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hodei.adapters.postgres.connection import Connection
from hodei.domain.logs import LogEntry, LogStream
from hodei.kernel.errors import AlreadyExistsError
from hodei.ports.logs import StoredOutput
from hodei.wire.instants import to_micros

from . import rows
from .group import Head

_SEGMENT_COLUMNS: Final = (
    "job_id",
    "sequence",
    "length",
    "attempt",
    "stdout_end",
    "stderr_end",
    "stored_at",
    "format",
    "size",
    "data",
)
_HEAD_COLUMNS: Final = ("job_id", "previous", "sequence", "ends", "loose", "compacted_to")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutput:
    """All that is kept of one job's output."""

    stored: StoredOutput
    pages: AsyncIterable[Sequence[LogEntry]]
    """Its entries in their order, some at a time."""


async def fill(connection: Connection, outputs: AsyncIterable[JobOutput]) -> None:
    """Writes output with the very sequences and offsets that it has, in the caller's transaction.

    Raises:
        AlreadyExistsError: There is output in the database.
    """
    if await connection.fetchval("SELECT EXISTS (SELECT 1 FROM log_jobs)"):
        raise AlreadyExistsError("the database has output of jobs already: name one that has none")
    async for output in outputs:
        stored = output.stored
        head = Head.from_output(stored)
        ends: dict[tuple[int, LogStream], int] = {}
        async for page in output.pages:
            records = await asyncio.to_thread(_records, page, ends)
            await connection.copy_records_to_table(
                "log_segments", records=records, columns=_SEGMENT_COLUMNS
            )
        await connection.copy_records_to_table(
            "log_jobs",
            records=[
                (
                    stored.job_id,
                    stored.sequence,
                    stored.sequence,
                    head.as_text(),
                    0,
                    stored.sequence,
                )
            ],
            columns=_HEAD_COLUMNS,
        )


def _records(
    page: Sequence[LogEntry], ends: dict[tuple[int, LogStream], int]
) -> list[tuple[Any, ...]]:
    records: list[tuple[Any, ...]] = []
    for run in _runs(page):
        last = run[-1]
        attempt = last.chunk.attempt
        for entry in run:
            ends[attempt, entry.chunk.stream] = entry.chunk.end
        format_, data = rows.encode(run)
        record = (
            last.chunk.job_id,
            last.sequence,
            sum(len(entry.chunk.data) for entry in run),
            attempt,
            *(ends.get((attempt, stream), 0) for stream in LogStream),
            # When it was stored is not told; it was read from the job just before.
            to_micros(max(entry.chunk.at for entry in run)),
            format_,
            len(data),
            data,
        )
        records.append(record)
    return records


def _runs(page: Sequence[LogEntry]) -> Iterator[list[LogEntry]]:
    """The entries in rows: of one attempt, without a hole, and not too large."""
    run: list[LogEntry] = []
    size = 0
    for entry in page:
        if run and (
            size >= rows.FULL_BYTES
            or entry.chunk.attempt != run[-1].chunk.attempt
            or entry.start != run[-1].sequence
        ):
            yield run
            run, size = [], 0
        run.append(entry)
        size += len(entry.chunk.data)
    if run:
        yield run
