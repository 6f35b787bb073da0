"""Reads of jobs. Each function takes a connection, and runs on a reader's thread."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple, cast

from hodei.domain.jobs.events import JobCreated
from hodei.domain.jobs.job import Job
from hodei.kernel.ids import JobId, WorkerId
from hodei.ports.stores import QueuedDemand
from hodei.wire import event_codec, state_codec
from hodei.wire.instants import from_micros, to_micros
from hodei.wire.store_rows import due_at

from .named_sql import load

_SQL: Final = load("reads.sql")


class _JobParts(NamedTuple):
    data: bytes
    created: tuple[str, int, bytes]
    """The stored form of the job's first event."""


def pick_jobs(
    connection: sqlite3.Connection, pick: LiteralString, parameters: Mapping[str, Any]
) -> dict[int, Job]:
    """The jobs at the positions that the query `pick` selects, by their positions."""
    statement: LiteralString = f"WITH picked AS ({pick})\n{_SQL['picked_jobs']}"
    jobs: dict[int, _JobParts] = {}
    attempts: dict[int, list[tuple[int, bytes]]] = {}
    for position, number, data, *created in connection.execute(statement, parameters):
        if number == 0:
            jobs[position] = _JobParts(data, (created[0], created[1], created[2]))
        else:
            attempts.setdefault(position, []).append((number, data))
    return {
        position: _assemble(parts, attempts.get(position, ())) for position, parts in jobs.items()
    }


def load_jobs(connection: sqlite3.Connection, ids: Sequence[JobId]) -> dict[JobId, Job]:
    """See `JobStore.load_jobs`."""
    found = pick_jobs(connection, _SQL["pick_by_id"], {"ids": json.dumps(ids)})
    return {job.id: job for job in found.values()}


def load_at(connection: sqlite3.Connection, positions: Sequence[int]) -> list[Job]:
    """The jobs at these positions, in this order."""
    found = pick_jobs(connection, _SQL["pick_by_position"], {"positions": json.dumps(positions)})
    return [found[position] for position in positions]


def claimable(connection: sqlite3.Connection, demand_ids: Sequence[str], limit: int) -> list[Job]:
    """See `JobStore.claimable`."""
    found = pick_jobs(
        connection,
        _SQL["pick_claimable"],
        {"demand_ids": json.dumps(list(dict.fromkeys(demand_ids))), "limit": limit},
    )
    return [
        job for _, job in sorted(found.items(), key=lambda item: (-item[1].spec.priority, item[0]))
    ]


def queued_demands(connection: sqlite3.Connection) -> list[QueuedDemand]:
    """See `JobStore.queued_demands`."""
    return [
        QueuedDemand(
            demand_id=demand_id,
            demand=state_codec.decode_demand(data),
            count=count,
            first_job=first_job,
        )
        for demand_id, data, count, first_job in connection.execute(_SQL["queued_demands"])
    ]


def held_jobs(connection: sqlite3.Connection, worker_id: WorkerId | None) -> list[Job]:
    """See `JobStore.held_jobs`; oldest first."""
    pick = _SQL["pick_held"] if worker_id is None else _SQL["pick_held_by"]
    return _in_order(pick_jobs(connection, pick, {"worker_id": worker_id}))


def due_jobs(connection: sqlite3.Connection, now: datetime, limit: int) -> list[Job]:
    """See `JobStore.due_jobs`; the longest due first."""
    parameters = {"now": to_micros(now), "limit": limit}
    found = pick_jobs(connection, _SQL["pick_due"], parameters)
    return [job for _, job in sorted(found.items(), key=lambda item: (due_at(item[1]), item[0]))]


def next_due(connection: sqlite3.Connection) -> datetime | None:
    """See `JobStore.next_due`."""
    (due_at,) = connection.execute(_SQL["next_due"]).fetchone()
    return None if due_at is None else from_micros(due_at)


def _in_order(found: dict[int, Job]) -> list[Job]:
    return [found[position] for position in sorted(found)]


def _assemble(parts: _JobParts, attempts: Sequence[tuple[int, bytes]]) -> Job:
    created = cast("JobCreated", event_codec.decode(*parts.created))
    return state_codec.decode_job(
        parts.data,
        spec=created.spec,
        attempts=tuple(state_codec.decode_attempt(data) for _, data in sorted(attempts)),
    )
