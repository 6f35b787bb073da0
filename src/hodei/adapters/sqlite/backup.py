"""A copy of the database while a server writes to it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from .connection import FILE_NAME, connect, translated_errors


def back_up(data_dir: Path, target: Path) -> None:
    """Copies the database of one moment into a directory. Commits go on meanwhile.

    Raises:
        StoreUnavailableError: It cannot be read, or not be written there.
    """
    with (
        translated_errors(),
        closing(connect(data_dir, read_only=True)) as source,
        closing(sqlite3.connect(target / FILE_NAME)) as copy,
    ):
        # In one step, which reads one moment; in several it would begin anew at each commit.
        source.backup(copy, pages=-1)
