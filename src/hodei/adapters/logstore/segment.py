"""The segment file that is written."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"(\d{6,})\.seg")


def segment_path(directory: Path, number: int) -> Path:
    """The file of a segment."""
    return directory / f"{number:06}.seg"


def segment_numbers(directory: Path) -> list[int]:
    """The segments that have a file, in order."""

    def numbers() -> Iterator[int]:
        for path in directory.iterdir():
            if (match := _NAME.fullmatch(path.name)) is not None:
                yield int(match[1])

    return sorted(numbers())


def sync_directory(directory: Path) -> None:
    """Makes the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class OpenSegment:
    """The segment that gets the next chunks. Of the writer's thread alone.

    Everything before `size` is durable; what lies after it is no part of the log.
    """

    def __init__(self, directory: Path, number: int, now: datetime, monotonic: float) -> None:
        """Makes the file. Raises OSError; the number must then not be used again."""
        self.number = number
        self.size = 0
        self.opened_at = monotonic
        self.last_stored_at = now
        self._is_torn = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._fd = os.open(segment_path(directory, number), flags, 0o600)
        try:
            sync_directory(directory)
        except OSError:
            os.close(self._fd)
            raise

    def append(self, data: bytes, now: datetime) -> None:
        """Writes the data behind what is there; durable when this returns.

        Raises:
            OSError: The file is as it was before, or will be before the next append.
        """
        self._repair()
        try:
            self._write(data)
            os.fdatasync(self._fd)
        except OSError:
            self._is_torn = True
            # Now where that is possible: the room may be needed to get out of a full disk.
            with suppress(OSError):
                self._repair()
            raise
        self.size += len(data)
        self.last_stored_at = now

    def close(self) -> None:
        """Closes the file.

        Raises:
            OSError: What was not acknowledged cannot be cut off; the file stays open. Whoever
                went on in another segment could after a crash find those bytes and, there, the
                same ones sent again.
        """
        self._repair()
        os.close(self._fd)

    def _write(self, data: bytes) -> None:
        position = self.size
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, position)
            view = view[written:]
            position += written

    def _repair(self) -> None:
        # Durably, before anything else is written.
        if self._is_torn:
            os.ftruncate(self._fd, self.size)
            os.fsync(self._fd)
            self._is_torn = False
