"""What is in the database, for whoever looks after it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hodei.wire.instants import from_micros

from . import schema
from .connection import connect, translated_errors

_COUNTS: Final = """
SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM jobs), (SELECT count(*) FROM workers),
    (SELECT at FROM events ORDER BY position LIMIT 1), pg_database_size(current_database())
"""
_LOGS: Final = """
SELECT coalesce(sum(size), 0)::bigint, min(stored_at) FROM log_segments
"""
_LOGS_SINCE: Final = "0010"
"""The first schema that has them."""
_USERS: Final = """
SELECT coalesce(string_agg(name, ', ' ORDER BY name), '') FROM servers WHERE ended_at IS NULL
"""
_SERVERS_SINCE: Final = "0020"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What is there."""

    schema: schema.Schema
    events: int
    jobs: int
    workers: int
    oldest_event_at: datetime | None
    size_bytes: int
    """Of the whole database: what was let go of is used again, and seldom given back to the disk."""
    log_bytes: int
    """Of the output of jobs, as it is stored."""
    oldest_log_at: datetime | None
    used_by: str
    """The servers that use it now, by name; empty for none."""


async def overview(url: str) -> Overview:
    """Looks at the database.

    Raises:
        SchemaError: Its tables are another program's.
        StoreUnavailableError: It cannot be read.
    """
    connection = await connect(url, application_name="hodei db status")
    try:
        with translated_errors(url):
            found = await schema.read_schema(connection)
            row = await connection.fetchrow(_COUNTS) if found.revision else None
            events, jobs, workers, oldest_event, size = row or (0, 0, 0, None, 0)
            has_logs = found.revision >= _LOGS_SINCE
            row = await connection.fetchrow(_LOGS) if has_logs else None
            log_bytes, oldest_log = row or (0, None)
            has_servers = found.revision >= _SERVERS_SINCE
            used_by = str(await connection.fetchval(_USERS)) if has_servers else ""
    finally:
        await connection.close()
    return Overview(
        schema=found,
        events=events,
        jobs=jobs,
        workers=workers,
        oldest_event_at=_instant(oldest_event),
        size_bytes=size,
        log_bytes=log_bytes,
        oldest_log_at=_instant(oldest_log),
        used_by=used_by,
    )


def _instant(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)
