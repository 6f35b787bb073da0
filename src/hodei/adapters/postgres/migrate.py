"""Brings the database to the schema that this code knows, by Alembic.

The server does not import this: Alembic and SQLAlchemy take 30 MB and a good part of a second, which
only an upgrade is worth. Alembic writes the migrations down as SQL and asyncpg runs them, so that
there is one driver.

Servers of the release before go on meanwhile: a migration adds, and takes away only what that
release no longer used. `hodei_schema.oldest_usable` says so to those that start.
"""

from dataclasses import dataclass
from importlib.resources import as_file, files
from io import StringIO
from typing import Final

from alembic import command
from alembic.config import Config

from . import schema
from .connection import Connection, connect, translated_errors

_LOCK: Final = 448545449322
"""The advisory lock of migrations: two at once run one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What was done."""

    before: str
    """The revision that was found; empty for a new database."""
    after: str


async def migrate(url: str) -> Migration:
    """Upgrades the database, or makes its tables. Idempotent; servers may run on it.

    All revisions commit together: a migration that fails leaves the database as it was.

    Raises:
        SchemaError: The database is another program's.
        StoreUnavailableError: It cannot be read or written.
    """
    connection = await connect(url, application_name="hodei db migrate")
    try:
        with translated_errors(url):
            async with connection.transaction():
                return await _migrate(connection)
    finally:
        await connection.close()


async def _migrate(connection: Connection) -> Migration:
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    found = await schema.read_schema(connection)
    if found.revision >= schema.REVISION:
        # A newer one is left alone: whether this code can use it is asked when a server starts.
        return Migration(before=found.revision, after=found.revision)
    await connection.execute(statements(found.revision))
    return Migration(before=found.revision, after=schema.REVISION)


def statements(since: str, *, until: str = "head") -> str:
    """The SQL that leads from a revision, empty for none, to another: the newest, as a rule."""
    written = StringIO()
    with as_file(files("hodei.adapters.postgres") / "migrations") as scripts:
        config = Config(output_buffer=written)
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        command.upgrade(config, f"{since or 'base'}:{until}", sql=True)
    return written.getvalue()
