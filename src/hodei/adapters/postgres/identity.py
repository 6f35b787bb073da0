"""What all servers of an installation have in common, as it lies in their database: sealed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from . import schema
from .connection import connect, translated_errors
from .named_sql import load

_SQL: Final = load("cluster.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedIdentity:
    """Something that only a key opens."""

    key_id: str
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundIdentity:
    """What the database has."""

    identity: SealedIdentity | None
    now: datetime
    """The database's time."""


async def find_identity(url: str, *, or_put: SealedIdentity | None = None) -> FoundIdentity:
    """What is there; where there is nothing, `or_put` is from now on.

    Raises:
        SchemaError: The schema is not one that this code can use.
        StoreUnavailableError: The database does not answer.
    """
    connection = await connect(url, application_name="hodei identity")
    try:
        with translated_errors(url):
            schema.require_usable(await schema.read_schema(connection))
            if or_put is not None:
                await connection.execute(_SQL["put_identity"], or_put.key_id, or_put.sealed)
            row = await connection.fetchrow(_SQL["identity"])
            found = None if row is None else SealedIdentity(key_id=row[0], sealed=row[1])
            ((now,),) = await connection.fetch(_SQL["now"])
            return FoundIdentity(identity=found, now=now)
    finally:
        await connection.close()
