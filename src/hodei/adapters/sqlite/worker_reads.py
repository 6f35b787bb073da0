"""Reads of workers."""

import sqlite3
from typing import Final

from hodei.domain.workers.worker import Worker
from hodei.kernel.ids import WorkerId
from hodei.wire import state_codec
from hodei.wire.cursors import decode_cursor, encode_cursor

from .named_sql import load

_SQL: Final = load("reads.sql")
_KIND: Final = "workers"


def load_worker(connection: sqlite3.Connection, worker_id: WorkerId) -> Worker | None:
    """See `WorkerStore.load_worker`."""
    row = connection.execute(_SQL["worker_by_id"], {"id": worker_id}).fetchone()
    return None if row is None else state_codec.decode_worker(row[0])


def list_workers(
    connection: sqlite3.Connection, *, include_ended: bool, limit: int, cursor: str
) -> tuple[list[Worker], str]:
    """See `WorkerStore.list_workers`."""
    query = _SQL["workers_before"] if include_ended else _SQL["living_workers_before"]
    parameters = {"before": decode_cursor(_KIND, cursor), "limit": limit + 1}
    found = connection.execute(query, parameters).fetchall()
    shown = found[:limit]
    more = encode_cursor(_KIND, shown[-1][0]) if len(found) > limit else ""
    return [state_codec.decode_worker(data) for _, data in shown], more


def living_workers(connection: sqlite3.Connection) -> list[Worker]:
    """See `WorkerStore.living_workers`; oldest first."""
    return [
        state_codec.decode_worker(data) for (data,) in connection.execute(_SQL["living_workers"])
    ]
