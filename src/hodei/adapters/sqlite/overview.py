"""What is in the database, for whoever looks after it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hodei.wire.instants import from_micros

from . import schema
from .connection import FILE_NAME, connect, translated_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What is there."""

    revision: str
    """Of the schema; empty where there is no database yet."""
    events: int = 0
    jobs: int = 0
    workers: int = 0
    oldest_event_at: datetime | None = None
    size_bytes: int = 0
    """Of the database's files."""


def overview(data_dir: Path) -> Overview:
    """Looks at the database in `data_dir`. A server may be running on it.

    Raises:
        SchemaError: It is of a newer version of Hodei, or not one of ours.
        StoreUnavailableError: It cannot be read.
    """
    if not (data_dir / FILE_NAME).exists():
        return Overview(revision="")
    with translated_errors():
        connection = connect(data_dir, read_only=True)
        try:
            if schema.is_fresh(connection):
                return Overview(revision="")
            revision = schema.known_revision(connection)
            events, jobs, workers, oldest = (
                connection.execute(query).fetchone()[0]
                for query in (
                    "SELECT count(*) FROM events",
                    "SELECT count(*) FROM jobs",
                    "SELECT count(*) FROM workers",
                    "SELECT (SELECT at FROM events ORDER BY position LIMIT 1)",
                )
            )
            size = sum(path.stat().st_size for path in data_dir.glob(f"{FILE_NAME}*"))
        finally:
            connection.close()
    return Overview(
        revision=revision,
        events=events,
        jobs=jobs,
        workers=workers,
        oldest_event_at=None if oldest is None else from_micros(oldest),
        size_bytes=size,
    )
