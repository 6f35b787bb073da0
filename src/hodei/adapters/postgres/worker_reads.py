"""Reads of workers."""

from typing import Final

from hodei.domain.workers.worker import Worker
from hodei.kernel.ids import WorkerId
from hodei.wire import state_codec
from hodei.wire.cursors import decode_cursor, encode_cursor

from .named_sql import load
from .reader import Readers

_SQL: Final = load("reads.sql")
_KIND: Final = "workers"


async def load_worker(readers: Readers, worker_id: WorkerId) -> Worker | None:
    """See `WorkerStore.load_worker`."""
    rows = await readers.fetch(_SQL["worker_by_id"], worker_id)
    return state_codec.decode_worker(rows[0][0]) if rows else None


async def list_workers(
    readers: Readers, *, include_ended: bool, limit: int, cursor: str
) -> tuple[list[Worker], str]:
    """See `WorkerStore.list_workers`."""
    query = _SQL["workers_before"] if include_ended else _SQL["living_workers_before"]
    found = await readers.fetch(query, decode_cursor(_KIND, cursor), limit + 1)
    shown = found[:limit]
    more = encode_cursor(_KIND, shown[-1][0]) if len(found) > limit else ""
    return [state_codec.decode_worker(data) for _, data in shown], more


async def living_workers(readers: Readers) -> list[Worker]:
    """See `WorkerStore.living_workers`; oldest first."""
    rows = await readers.fetch(_SQL["living_workers"])
    return [state_codec.decode_worker(data) for (data,) in rows]
