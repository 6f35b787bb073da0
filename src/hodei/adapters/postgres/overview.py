"""What is in the database, for whoever looks after it."""

from dataclasses import dataclass
from typing import Final

from . import schema
from .connection import connect, translated_errors
from .sole_server import user_of

_COUNTS: Final = """
SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM jobs), (SELECT count(*) FROM workers)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What is there."""

    schema: schema.Schema
    events: int
    jobs: int
    workers: int
    used_by: str
    """The server that uses it now; empty for none."""


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
            events, jobs, workers = row or (0, 0, 0)
            used_by = await user_of(connection)
    finally:
        await connection.close()
    return Overview(schema=found, events=events, jobs=jobs, workers=workers, used_by=used_by)
