"""The schema of the database: looked at whenever it is opened, made by `migrate` alone."""

from dataclasses import dataclass
from typing import Final

from hodei.ports.stores import SchemaError

from .connection import Connection

REVISION: Final = "0060"
"""What this code needs: the newest revision under `migrations/versions`."""

_LOOK: Final = """
SELECT
    num_nonnulls(
        to_regclass('alembic_version'), to_regclass('events'), to_regclass('jobs'),
        to_regclass('workers')
    ) = 0,
    num_nulls(to_regclass('alembic_version'), to_regclass('hodei_schema')) = 0
"""
"""Whether nothing is in our way, and whether what is there is ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What the database has."""

    revision: str
    """Empty for a database without tables."""
    oldest_usable: str
    """The oldest revision whose servers may run on it."""


async def read_schema(connection: Connection) -> Schema:
    """What the database has.

    Raises:
        SchemaError: Its tables are another program's.
    """
    is_fresh, is_ours = await connection.fetchrow(_LOOK) or (False, False)
    if is_fresh:
        return Schema(revision="", oldest_usable="")
    if not is_ours:
        raise SchemaError("the database has tables of another program: give Hodei one of its own")
    revision, oldest_usable = await connection.fetchrow(
        "SELECT (SELECT version_num FROM alembic_version), (SELECT oldest_usable FROM hodei_schema)"
    ) or ("", "")
    return Schema(revision=revision, oldest_usable=oldest_usable)


def require_usable(schema: Schema) -> None:
    """Sees to it that this code may run on the schema, which may be newer than it needs.

    Raises:
        SchemaError: It may not; the message says what to do.
    """
    if not schema.revision:
        raise SchemaError("the database has no tables yet: run hodei db migrate")
    if schema.revision < REVISION:
        raise SchemaError(
            f"the database has schema {schema.revision} and this version of Hodei needs "
            f"{REVISION}: run hodei db migrate"
        )
    if schema.oldest_usable > REVISION:
        raise SchemaError(
            f"the database has schema {schema.revision}, which only versions of Hodei for schema "
            f"{schema.oldest_usable} or newer can use, and this one is for {REVISION}: use a newer "
            "version of Hodei, or another database"
        )
