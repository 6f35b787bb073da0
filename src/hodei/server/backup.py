"""A copy of a data directory that a server may be using, from which another can start."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hodei.adapters.logstore.backup import back_up as back_up_logs
from hodei.adapters.sqlite.backup import back_up as back_up_database
from hodei.adapters.sqlite.connection import FILE_NAME
from hodei.kernel.errors import AlreadyExistsError, NotFoundError, RefusedError
from hodei.server.data_dir import BELONGINGS, DataDir


class BackupError(RefusedError):
    """The copy cannot be made where it was asked for."""

    code = "BACKUP"


_KEYS: Final = "cluster_id"
"""What every data directory has in which a server was ever started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedUp:
    """A copy that is whole."""

    place: str
    size_bytes: int
    has_database: bool
    """Whether jobs and output are in it: they are not, where they are in PostgreSQL."""


def back_up(data_dir: Path, target: Path, *, report: Callable[[str], None]) -> BackedUp:
    """Copies what a server keeps in `data_dir` into a new directory, all or nothing.

    The database is of one moment, and the output that it tells of is in the copy: it is copied after
    it. What workers have in their own directories is left out.

    Raises:
        NotFoundError: No server was ever started on `data_dir`.
        AlreadyExistsError: There is something at `target`.
        BackupError: `target` cannot be written.
        UnavailableError: A store cannot be read.
    """
    if not (data_dir / _KEYS).exists():
        raise NotFoundError("data directory of a server", str(data_dir), "name one")
    if target.exists():
        raise AlreadyExistsError(f"{target} is there already: name a directory that is not")
    partial = target.with_name(f"{target.name}.partial")
    has_database = (data_dir / FILE_NAME).exists() and not DataDir.moved_marker(data_dir).exists()
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700, parents=True)
        if has_database:
            report("copying the database")
            back_up_database(data_dir, partial)
            report("copying the output of jobs")
            back_up_logs(DataDir.logs_of(data_dir), DataDir.logs_of(partial))
        report("copying keys and certificates")
        _copy_belongings(data_dir, partial)
        size = _make_durable(partial)
        partial.rename(target)
    except OSError as error:
        raise BackupError(
            f"{target} cannot be written: {error}; {partial} may be removed"
        ) from error
    return BackedUp(place=str(target.absolute()), size_bytes=size, has_database=has_database)


def _copy_belongings(data_dir: Path, target: Path) -> None:
    for name in BELONGINGS:
        source = data_dir / name
        if source.is_dir():
            shutil.copytree(source, target / name)
        elif source.exists():
            shutil.copy2(source, target / name)


def _make_durable(directory: Path) -> int:
    """Waits until all of it is on the disk; returns its size."""
    size = 0
    for path in [*directory.rglob("*"), directory]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            size += os.fstat(descriptor).st_size if path.is_file() else 0
        finally:
            os.close(descriptor)
    return size
