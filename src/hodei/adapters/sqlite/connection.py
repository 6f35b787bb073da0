"""Connections to the database, with all that every one of them needs, and what its errors mean."""

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hodei.kernel.errors import BrokenError
from hodei.ports.stores import StoreUnavailableError

FILE_NAME: Final = "hodei.db"

_BUSY_TIMEOUT_S: Final = 5.0
"""Another process holds the write lock for moments only, such as a migration or a backup."""

_CACHED_STATEMENTS: Final = 128
"""More than the statements of one connection, each in its few lengths (see `bulk`)."""

_SETTINGS: Final = (
    # A commit is on the disk when it returns.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # 1 MiB of pages for the one that writes; the system's cache holds the rest.
    "PRAGMA cache_size = -1024",
    "PRAGMA temp_store = MEMORY",
    # One large batch must not leave a large log behind for good.
    "PRAGMA journal_size_limit = 67108864",
)


def connect(data_dir: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode: transactions are begun and ended in so many words.

    Raises:
        StoreUnavailableError: The file cannot be opened.
    """
    path = data_dir / FILE_NAME
    try:
        # The files that SQLite adds get the permissions of this one.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreUnavailableError(f"cannot open {path}: {error.strerror}") from error
    with translated_errors():
        connection = sqlite3.connect(
            path,
            timeout=_BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_CACHED_STATEMENTS,
        )
        try:
            _require_wal(connection, path)
            for setting in _SETTINGS:
                connection.execute(setting)
            if read_only:
                connection.execute("PRAGMA query_only = ON")
                # What they read twice, the system's cache has; each would hold its own otherwise.
                connection.execute("PRAGMA cache_size = -256")
        except BaseException:
            connection.close()
            raise
    return connection


def _require_wal(connection: sqlite3.Connection, path: Path) -> None:
    # A reader never waits for the writer, nor the writer for a reader.
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreUnavailableError(
            f"{path} is on a file system without shared memory, such as a network share: choose a "
            "data directory on a local disk"
        )


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """One write transaction: committed at the end, undone on any error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has undone it by itself after some errors, such as a full disk.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def translated_errors() -> Generator[None]:
    """Turns errors of SQLite into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error) from error


def translate(error: sqlite3.Error) -> StoreUnavailableError | BrokenError:
    """What an error of SQLite means for the caller."""
    match error:
        case sqlite3.OperationalError() | sqlite3.DatabaseError(sqlite_errorname="SQLITE_NOTADB"):
            return StoreUnavailableError(
                f"the database cannot be used now: {error}{_advice(error)}"
            )
        case _:
            return BrokenError(f"the database refused what should be right: {error}")


def _advice(error: sqlite3.Error) -> str:
    match getattr(error, "sqlite_errorname", "").split("_")[1:2]:
        case ["FULL"]:
            return "; free some space on its disk, nothing that was accepted is lost"
        case ["BUSY"]:
            return "; another process is writing to it: stop that one, or try again"
        case ["IOERR"] | ["CANTOPEN"] | ["READONLY"]:
            return "; look at the disk and at the permissions of the data directory"
        case _:
            return ""
