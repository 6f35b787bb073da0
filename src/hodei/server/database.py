"""The database of an installation, looked after by hand: its schema, and what is in it."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from hodei.adapters.logstore.overview import overview as logs_overview
from hodei.adapters.sqlite import overview as sqlite_overview
from hodei.adapters.sqlite import schema as sqlite_schema
from hodei.kernel.errors import RefusedError
from hodei.ports.stores import SchemaError
from hodei.server.config import ServerConfig
from hodei.server.data_dir import DataDir

__all__ = ["DatabaseStatus", "Migrated", "SchemaRefusedError", "migrate", "status"]


class SchemaRefusedError(RefusedError):
    """The database is not one that this version of Hodei can use."""

    code = "SCHEMA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """What a migration did."""

    place: str
    before: str
    """The revision that was found; empty for a new database."""
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseStatus:
    """What a database is like."""

    kind: str
    """`sqlite` or `postgresql`."""
    place: str
    revision: str
    """Of its schema; empty for a database without tables."""
    needed: str
    """What this version of Hodei needs."""
    advice: str
    """What to do before a server can use it; empty for nothing."""
    events: int
    jobs: int
    workers: int
    oldest_event_at: str
    """RFC 3339; empty for none."""
    size_bytes: int
    """Of the database."""
    log_bytes: int
    """Of the output of jobs as it is stored, wherever that is."""
    oldest_log_at: str
    """When the oldest output was stored, roughly; empty for none."""
    used_by: str
    """The server that uses it now; empty for none."""


async def migrate(config: ServerConfig) -> Migrated:
    """Brings the database that `config` names to the schema of this version. Idempotent.

    Raises:
        SchemaRefusedError: It is of a newer version, or another program's.
        DataDirInUseError: A server runs on the data directory; on PostgreSQL one may.
        StoreUnavailableError: It cannot be read or written.
    """
    with _refused():
        if config.database_url:
            # Alembic and the client of PostgreSQL, which other commands and servers do not carry.
            from hodei.adapters.postgres.connection import place  # noqa: PLC0415
            from hodei.adapters.postgres.migrate import migrate as run  # noqa: PLC0415

            done = await run(config.database_url)
            return Migrated(place=place(config.database_url), before=done.before, after=done.after)
        return await asyncio.to_thread(_migrate_sqlite, config)


async def status(config: ServerConfig) -> DatabaseStatus:
    """Looks at the database that `config` names; changes nothing.

    Raises:
        SchemaRefusedError: It is another program's.
        StoreUnavailableError: It cannot be read.
    """
    with _refused():
        if config.database_url:
            return await _postgres_status(config.database_url)
        return await asyncio.to_thread(_sqlite_status, config)


def _migrate_sqlite(config: ServerConfig) -> Migrated:
    from hodei.adapters.sqlite.migrate import migrate as run  # noqa: PLC0415 - as above

    data_dir = DataDir(config.data_dir)
    try:
        done = run(data_dir.path)
    finally:
        data_dir.release()
    return Migrated(place=str(data_dir.path), before=done.before, after=done.after)


def _sqlite_status(config: ServerConfig) -> DatabaseStatus:
    found = sqlite_overview.overview(config.data_dir)
    logs = logs_overview(DataDir.logs_of(config.data_dir))
    behind = found.revision not in {"", sqlite_schema.REVISION}
    return DatabaseStatus(
        kind="sqlite",
        place=str(config.data_dir.absolute()),
        revision=found.revision,
        needed=sqlite_schema.REVISION,
        advice="run hodei db migrate" if behind else "",
        events=found.events,
        jobs=found.jobs,
        workers=found.workers,
        oldest_event_at=_text(found.oldest_event_at),
        size_bytes=found.size_bytes,
        log_bytes=logs.size_bytes,
        oldest_log_at=_text(logs.oldest_at),
        used_by=DataDir.user_of(config.data_dir),
    )


async def _postgres_status(url: str) -> DatabaseStatus:
    from hodei.adapters.postgres import schema  # noqa: PLC0415 - as above
    from hodei.adapters.postgres.connection import place  # noqa: PLC0415
    from hodei.adapters.postgres.overview import overview  # noqa: PLC0415

    found = await overview(url)
    try:
        schema.require_usable(found.schema)
    except SchemaError as error:
        advice = str(error)
    else:
        advice = ""
    return DatabaseStatus(
        kind="postgresql",
        place=place(url),
        revision=found.schema.revision,
        needed=schema.REVISION,
        advice=advice,
        events=found.events,
        jobs=found.jobs,
        workers=found.workers,
        oldest_event_at=_text(found.oldest_event_at),
        size_bytes=found.size_bytes,
        log_bytes=found.log_bytes,
        oldest_log_at=_text(found.oldest_log_at),
        used_by=found.used_by,
    )


def _text(instant: datetime | None) -> str:
    return "" if instant is None else instant.isoformat(timespec="seconds").replace("+00:00", "Z")


@contextmanager
def _refused() -> Generator[None]:
    """Turns an unusable schema into what the command says in one line."""
    try:
        yield
    except SchemaError as error:
        raise SchemaRefusedError(str(error)) from error
