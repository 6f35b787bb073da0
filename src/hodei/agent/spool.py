"""Output on disk that does not fit into memory, one queue of bytes per stream.

A queue is a row of files that grow at one end and are deleted from the other, so that room is
given back long before the queue is empty. The reactor counts the bytes and keeps the bound; a
file that is read in part takes up to `segment_bytes` more than it counts.

Not for the event loop: every method may wait for the disk. One thread calls them, in order.
"""

import errno
import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hodei.agent.reactor.events import JobKey, StreamKey

SEGMENT_BYTES: Final = 2**20
"""A file's size; the next piece goes into the next file."""


@dataclass(slots=True)
class _Segment:
    path: Path
    begin: int = 0
    end: int = 0


@dataclass(slots=True)
class _Queue:
    segments: deque[_Segment] = field(default_factory=deque[_Segment])
    next_number: int = 0
    tail_fd: int = -1


class Spool:
    """Queues of bytes in files of one directory, which is emptied first."""

    def __init__(self, directory: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._queues: dict[StreamKey, _Queue] = {}
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left_behind in directory.iterdir():
            left_behind.unlink()

    def append(self, key: StreamKey, data: bytes) -> None:
        """Adds bytes at the end.

        Raises:
            OSError: The disk does not take them; nothing of them was added.
        """
        queue = self._queues.get(key) or _Queue()
        segment = self._tail(key, queue)
        self._queues[key] = queue
        try:
            _write_all(queue.tail_fd, data)
        except OSError:
            os.ftruncate(queue.tail_fd, segment.end)
            os.lseek(queue.tail_fd, segment.end, os.SEEK_SET)
            raise
        segment.end += len(data)

    def take(self, key: StreamKey, size: int) -> bytes:
        """Removes `size` bytes from the front and returns them.

        Where the disk does not give them, all are removed, and those before the bad place are
        returned.
        """
        parts: list[bytes] = []
        left = size
        try:
            while left and (queue := self._queues.get(key)):
                segment = queue.segments[0]
                part = min(left, segment.end - segment.begin)
                parts.append(_read(segment.path, segment.begin, part))
                self._advance(key, queue, part)
                left -= part
        except OSError:
            self.drop(key, left)
        return b"".join(parts)

    def drop(self, key: StreamKey, size: int) -> None:
        """Removes `size` bytes from the front."""
        while size and (queue := self._queues.get(key)):
            part = min(size, queue.segments[0].end - queue.segments[0].begin)
            self._advance(key, queue, part)
            size -= part

    def remove(self, job: JobKey) -> None:
        """Removes everything of an attempt."""
        for key in [key for key in self._queues if key.job == job]:
            self._close(key)

    def close(self) -> None:
        """Removes everything."""
        for key in list(self._queues):
            self._close(key)

    def _tail(self, key: StreamKey, queue: _Queue) -> _Segment:
        if queue.segments and queue.segments[-1].end < self._segment_bytes:
            return queue.segments[-1]
        name = f"{key.job.job_id}.{key.job.attempt}.{key.stream.name.lower()}.{queue.next_number}"
        path = self._directory / name
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if queue.tail_fd >= 0:
            os.close(queue.tail_fd)
        queue.tail_fd = fd
        queue.next_number += 1
        queue.segments.append(_Segment(path))
        return queue.segments[-1]

    def _advance(self, key: StreamKey, queue: _Queue, size: int) -> None:
        """Moves the front on; a file that was read whole is deleted, also the one being written.

        A queue that is empty has no file, so that a quiet stream takes no room.
        """
        segment = queue.segments[0]
        segment.begin += size
        if segment.begin < segment.end:
            return
        if len(queue.segments) == 1:
            self._close(key)
        else:
            queue.segments.popleft().path.unlink(missing_ok=True)

    def _close(self, key: StreamKey) -> None:
        queue = self._queues.pop(key)
        os.close(queue.tail_fd)
        for segment in queue.segments:
            segment.path.unlink(missing_ok=True)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _read(path: Path, begin: int, size: int) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.pread(fd, size, begin)
    finally:
        os.close(fd)
    if len(data) < size:
        raise OSError(errno.EIO, "it is shorter than what was written to it", str(path))
    return data
