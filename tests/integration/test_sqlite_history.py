"""Any history, told to the SQLite store and to the one in memory: both say the same of it, and the
tables are what the events lead to.
"""

import asyncio
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from hodei.adapters.sqlite import SqliteStore
from hodei.adapters.sqlite.connection import FILE_NAME
from hodei.adapters.sqlite.rebuild import rebuild
from support.histories import histories, live_through


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(history=histories)
def test_any_history_is_the_same_in_both_stores_and_in_rebuilt_tables(history: list[tuple]):
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(live_in(Path(directory), history))
        before = tables(Path(directory))
        rebuild(Path(directory))

        assert tables(Path(directory)) == before


async def live_in(data_dir: Path, history: list[tuple]) -> None:
    store = await SqliteStore.open(data_dir)
    await live_through(store, history)
    await store.close()


def tables(data_dir: Path) -> dict[str, list]:
    """Every row of every table but the events'."""
    connection = sqlite3.connect(data_dir / FILE_NAME)
    names = ("jobs", "attempts", "job_labels", "job_tags", "workers", "demands")
    found = {
        name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in names
    }
    connection.close()
    return found
