"""What the operating system and SQLite say when the disk does not do its part, in our words."""

import errno
import sqlite3
from pathlib import Path
from typing import Final

from hodei.ports.logs import LogStoreUnavailableError

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

DiskError = OSError | sqlite3.Error


def unwritable(directory: Path, error: DiskError) -> LogStoreUnavailableError:
    """The error of an append that stored nothing."""
    return LogStoreUnavailableError(
        f"the jobs' output cannot be written in {directory} ({error}): {_advice(error)}; nothing "
        f"was acknowledged, workers send it again"
    )


def unreadable(directory: Path, error: DiskError) -> LogStoreUnavailableError:
    """The error of a read or of a deletion."""
    return LogStoreUnavailableError(
        f"the jobs' output cannot be read in {directory} ({error}): {_advice(error)}; the same "
        f"call may be repeated"
    )


def unusable(directory: Path, error: DiskError) -> LogStoreUnavailableError:
    """The error of a store that cannot be opened."""
    return LogStoreUnavailableError(
        f"the log store in {directory} cannot be opened ({error}): {_advice(error)}"
    )


def _advice(error: DiskError) -> str:
    if isinstance(error, OSError):
        is_full = error.errno in _FULL
    else:
        # Errors of the module itself carry no code.
        code = getattr(error, "sqlite_errorcode", None)
        is_full = code == sqlite3.SQLITE_FULL
        if code in _DAMAGED:
            return "the index is damaged; stop the server and delete index.db*, it is made again"
    if is_full:
        return "free some space on its disk, or keep output for a shorter time"
    return "see whether its disk is full or broken, and to the permissions"
