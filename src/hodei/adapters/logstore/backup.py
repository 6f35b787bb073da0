"""A copy of the log store while a server writes to it."""

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from hodei.adapters.logstore.failures import unreadable
from hodei.adapters.logstore.index import FILE_NAME
from hodei.adapters.logstore.segment import segment_numbers, segment_path


def back_up(directory: Path, target: Path) -> None:
    """Copies all that is acknowledged when it begins, and some of what comes meanwhile.

    Raises:
        LogStoreUnavailableError: It cannot be read, or not be written there.
    """
    copied = target / "segments"
    try:
        copied.mkdir(mode=0o700, parents=True)
        # The index first: it may be behind the segments, never ahead of them.
        with (
            closing(sqlite3.connect(directory / FILE_NAME)) as source,
            closing(sqlite3.connect(target / FILE_NAME)) as copy,
        ):
            source.backup(copy, pages=-1)
        for number in segment_numbers(directory / "segments"):
            # One may have been let go of just now.
            with suppress(FileNotFoundError):
                source_path = segment_path(directory / "segments", number)
                shutil.copyfile(source_path, segment_path(copied, number))
    except (OSError, sqlite3.Error) as error:
        raise unreadable(directory, error) from error
