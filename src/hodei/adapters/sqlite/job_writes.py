"""Writes of jobs and workers: what a group of their batches comes to."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from hodei.wire.store_group import GroupPlan, Head
from hodei.wire.store_rows import PreparedBatch

from .bulk import BulkStatement
from .named_sql import load

_SQL: Final = load("writes.sql")
_INSERT_EVENTS: Final = BulkStatement(_SQL["insert_events"])
_INSERT_DEMANDS: Final = BulkStatement(_SQL["insert_demands"])
_UPSERT_JOBS: Final = BulkStatement(_SQL["upsert_jobs"])
_UPSERT_ATTEMPTS: Final = BulkStatement(_SQL["upsert_attempts"])
_INSERT_LABELS: Final = BulkStatement(_SQL["insert_labels"])
_INSERT_TAGS: Final = BulkStatement(_SQL["insert_tags"])
_UPSERT_WORKERS: Final = BulkStatement(_SQL["upsert_workers"])

Outcome = int | tuple[str, ...]
"""The position of a batch's first event, or the streams that conflict."""


def write_batches(
    connection: sqlite3.Connection, batches: Sequence[PreparedBatch]
) -> list[Outcome]:
    """Writes batches within the transaction of the caller."""
    plan = GroupPlan(
        last_position=connection.execute(_SQL["last_position"]).fetchone()[0],
        jobs=_job_heads(connection, batches),
        workers=_worker_heads(connection, batches),
    )
    outcomes = [plan.add(each) for each in batches]
    write_plan(connection, plan)
    return outcomes


def write_plan(connection: sqlite3.Connection, plan: GroupPlan) -> None:
    """Executes a plan, within a transaction of the caller."""
    _INSERT_EVENTS.execute(connection, plan.events)
    _INSERT_DEMANDS.execute(connection, list(plan.demands.items()))
    _UPSERT_JOBS.execute(connection, list(plan.jobs.values()))
    _UPSERT_ATTEMPTS.execute(connection, list(plan.attempts.values()))
    _INSERT_LABELS.execute(connection, plan.labels)
    _INSERT_TAGS.execute(connection, plan.tags)
    for demand_id, change in plan.queued.items():
        if change:
            connection.execute(_SQL["count_queued"], (change, demand_id))
    _UPSERT_WORKERS.execute(connection, list(plan.workers.values()))


def size_of(batch: PreparedBatch) -> int:
    """How many writes a batch has."""
    return len(batch.jobs) + len(batch.workers)


def _job_heads(connection: sqlite3.Connection, batches: Sequence[PreparedBatch]) -> dict[str, Head]:
    ids = [job.row.id for batch in batches for job in batch.jobs]
    return {
        id_: Head(position, version, demand_id if state == "QUEUED" else "")
        for id_, position, version, state, demand_id in _heads(connection, "job_heads", ids)
    }


def _worker_heads(
    connection: sqlite3.Connection, batches: Sequence[PreparedBatch]
) -> dict[str, Head]:
    ids = [worker.row.id for batch in batches for worker in batch.workers]
    return {
        id_: Head(position, version)
        for id_, position, version in _heads(connection, "worker_heads", ids)
    }


def _heads(connection: sqlite3.Connection, query: str, ids: list[str]) -> list[Any]:
    if not ids:
        return []
    return json.loads(connection.execute(_SQL[query], [json.dumps(ids)]).fetchone()[0])
