"""The schema of the database: made when it is new, looked at whenever it is opened."""

import sqlite3
from typing import Final

from hodei.ports.stores import SchemaError

from .connection import transaction
from .named_sql import read

REVISION: Final = "0040"
"""The newest revision under `migrations/versions`, which is also that of `schema.sql`."""

KNOWN_REVISIONS: Final = ("0001", "0030", "0040")
"""All of them, oldest first."""

APPLICATION_ID: Final = 0x486F6465
"""Marks the file as ours ("Hode"), for `file` and for whoever opens the wrong one."""


def prepare(connection: sqlite3.Connection) -> None:
    """Makes the schema where there is none, else sees to it that it is the one known here.

    Raises:
        SchemaError: It is another; the message says what to do.
    """
    if is_fresh(connection):
        with transaction(connection):
            # Looked at again: another process may have been faster.
            if is_fresh(connection):
                _create(connection)
    revision = known_revision(connection)
    if revision != REVISION:
        raise SchemaError(
            f"the database has schema {revision} and this version of Hodei needs {REVISION}: "
            "run hodei db migrate"
        )


def is_fresh(connection: sqlite3.Connection) -> bool:
    """Whether there is nothing in the database yet."""
    return connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0


def known_revision(connection: sqlite3.Connection) -> str:
    """The revision of the schema, which this code can use or upgrade.

    Raises:
        SchemaError: It is neither.
    """
    revision = _stored_revision(connection)
    if revision in KNOWN_REVISIONS:
        return revision
    found = f"schema {revision}" if revision else "tables of another program"
    raise SchemaError(
        f"the database has {found}, which this version of Hodei does not know (it knows schemas up "
        f"to {REVISION}): use a newer version of Hodei, or another data directory"
    )


def _stored_revision(connection: sqlite3.Connection) -> str:
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return ""
    return "" if row is None else row[0]


def _create(connection: sqlite3.Connection) -> None:
    statement = ""
    for line in read("schema.sql").splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    connection.execute("INSERT INTO alembic_version (version_num) VALUES (?)", [REVISION])
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
