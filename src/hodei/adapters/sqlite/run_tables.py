"""The tables of the saga engine as a whole, read to hand them over."""

import sqlite3
from typing import Final

from hodei.wire.run_tables import Row, RunTable

from .named_sql import load

_SQL: Final = load("run_tables.sql")


def rows_after(connection: sqlite3.Connection, table: RunTable, key: Row, limit: int) -> list[Row]:
    """Rows of a table after a key, in their order."""
    found = connection.execute(_SQL[f"all_{table.name}"], (*key, limit))
    return [table.plain(row) for row in found]
