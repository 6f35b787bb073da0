"""Writes a job's output to this process's own, byte for byte."""

import asyncio
import os
import select
from collections.abc import Mapping
from typing import Final

from hodei.sdk import LogChunk, LogStream

_STDOUT_FD: Final = 1
_STDERR_FD: Final = 2

BOTH: Final[Mapping[LogStream, int]] = {
    LogStream.STDOUT: _STDOUT_FD,
    LogStream.STDERR: _STDERR_FD,
}
"""Each stream to its own."""
TO_STDERR: Final[Mapping[LogStream, int]] = {
    LogStream.STDOUT: _STDERR_FD,
    LogStream.STDERR: _STDERR_FD,
}
"""Both to stderr, where stdout is for the command's own answer."""


async def write_chunk(chunk: LogChunk, fds: Mapping[LogStream, int]) -> None:
    """Writes all of the chunk. A slow reader holds up this call, not the event loop.

    Raises:
        BrokenPipeError: The reader has left.
    """
    await asyncio.to_thread(_write_all, fds[chunk.stream], chunk.data)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            # Whoever started this process has set its end of the pipe to non-blocking.
            select.select([], [fd], [])
