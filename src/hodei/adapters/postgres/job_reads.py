"""Reads of jobs."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, LiteralString, cast

import asyncpg

from hodei.domain.jobs.events import JobCreated
from hodei.domain.jobs.job import Job
from hodei.kernel.ids import JobId, WorkerId
from hodei.ports.stores import QueuedDemand
from hodei.wire import event_codec, state_codec
from hodei.wire.instants import from_micros, to_micros
from hodei.wire.store_rows import due_at

from .named_sql import load
from .reader import Readers, decoded

_SQL: Final = load("reads.sql")


def picked_by(pick: LiteralString) -> LiteralString:
    """The statement that gives the jobs which `pick` chooses."""
    return f"WITH picked AS ({pick})\n{_SQL['picked_jobs']}"


_LOAD: Final = picked_by(_SQL["pick_by_id"])
_CLAIM: Final = picked_by(_SQL["pick_claimable"])
_HELD: Final = picked_by(_SQL["pick_held"])
_HELD_BY: Final = picked_by(_SQL["pick_held_by"])
_DUE: Final = picked_by(_SQL["pick_due"])


async def load_jobs(readers: Readers, ids: Sequence[JobId]) -> dict[JobId, Job]:
    """See `JobStore.load_jobs`."""
    found = await _picked(readers, _LOAD, list(ids))
    return {job.id: job for job in found.values()}


async def claim(
    readers: Readers, demand_ids: Sequence[str], limit: int, *, holder: str, for_s: float
) -> list[Job]:
    """See `JobStore.claimable`; nobody but `holder` gets the jobs for so many seconds."""
    wanted = (list(demand_ids), limit, holder, timedelta(seconds=for_s))
    return _first_first(await _picked(readers, _CLAIM, *wanted))


async def queued_demands(readers: Readers) -> list[QueuedDemand]:
    """See `JobStore.queued_demands`."""
    return [
        QueuedDemand(
            demand_id=demand_id,
            demand=state_codec.decode_demand(data),
            count=count,
            first_job=first_job,
        )
        for demand_id, data, count, first_job in await readers.fetch(_SQL["queued_demands"])
    ]


async def held_jobs(readers: Readers, worker_id: WorkerId | None) -> list[Job]:
    """See `JobStore.held_jobs`; oldest first."""
    if worker_id is None:
        found = await _picked(readers, _HELD)
    else:
        found = await _picked(readers, _HELD_BY, worker_id)
    return [found[position] for position in sorted(found)]


async def due_jobs(readers: Readers, now: datetime, limit: int) -> list[Job]:
    """See `JobStore.due_jobs`; the longest due first."""
    found = await _picked(readers, _DUE, to_micros(now), limit)
    return [job for _, job in sorted(found.items(), key=lambda item: (due_at(item[1]), item[0]))]


async def next_due(readers: Readers) -> datetime | None:
    """See `JobStore.next_due`."""
    at = await readers.value(_SQL["next_due"])
    return None if at is None else from_micros(at)


def assembled(rows: Iterable[asyncpg.Record]) -> dict[int, Job]:
    """Jobs by their positions, of the rows that `picked_jobs` gives; others are passed over."""
    jobs: dict[int, asyncpg.Record] = {}
    attempts: dict[int, list[tuple[int, bytes]]] = {}
    for row in rows:
        position, number, data, *_ = row
        if number == 0:
            jobs[position] = row
        elif number > 0:
            attempts.setdefault(position, []).append((number, data))
    return {position: _assemble(row, attempts.get(position, ())) for position, row in jobs.items()}


def _first_first(found: Mapping[int, Job]) -> list[Job]:
    in_order = sorted(found.items(), key=lambda item: (-item[1].spec.priority, item[0]))
    return [job for _, job in in_order]


async def _picked(readers: Readers, statement: LiteralString, *arguments: object) -> dict[int, Job]:
    return await decoded(assembled, await readers.fetch(statement, *arguments))


def _assemble(row: asyncpg.Record, attempts: Sequence[tuple[int, bytes]]) -> Job:
    _, _, data, *created = row
    return state_codec.decode_job(
        data,
        spec=cast("JobCreated", event_codec.decode(*created)).spec,
        attempts=tuple(state_codec.decode_attempt(each) for _, each in sorted(attempts)),
    )
