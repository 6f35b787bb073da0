"""Brings the database to the schema that this code knows, by Alembic.

The server does not import this: Alembic and SQLAlchemy take 30 MB and a good part of a second, which
only an upgrade is worth.
"""

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

from . import schema
from .connection import connect, translated_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What was done."""

    before: str
    """The revision that was found; empty for a new database."""
    after: str


def migrate(data_dir: Path) -> Migration:
    """Upgrades the database in `data_dir`, or makes it. Idempotent; no server may run on it.

    All revisions commit together: a migration that fails leaves the database as it was.

    Raises:
        SchemaError: The database is of a newer version of Hodei, or not one of ours.
        StoreUnavailableError: It cannot be read or written.
    """
    with translated_errors():
        connection = connect(data_dir)
        try:
            before = "" if schema.is_fresh(connection) else schema.known_revision(connection)
        finally:
            connection.close()
        if before != schema.REVISION:
            upgrade(data_dir)
    return Migration(before=before, after=schema.REVISION)


def upgrade(data_dir: Path) -> None:
    """Runs every migration that the database has not seen."""
    engine = create_engine("sqlite://", creator=lambda: connect(data_dir), poolclass=NullPool)
    event.listen(engine, "begin", _begin)
    with as_file(files("hodei.adapters.sqlite") / "migrations") as scripts:
        config = Config()
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _begin(connection: Connection) -> None:
    # The connection is in autocommit mode, so that a transaction holds changes of the schema too.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
