"""The job's ends of its pipes, and the agent's."""

import asyncio
import errno
import fcntl
import os
from collections.abc import Callable
from typing import Final

PIPE_BYTES: Final = 2**20
"""What a pipe holds: a job writes on while the agent looks elsewhere. The kernel's limit for
users without privileges, and the size from which reading gets no faster."""
READ_BYTES: Final = 256 * 1024
FULL_BATCH_BYTES: Final = 64 * 1024
"""Output that comes at this size at least is read without any pause."""
FIRST_LOOK_S: Final = 0.002
"""After the start: most short jobs are over by then, and are read once, at their end."""
SHORTEST_PAUSE_S: Final = 0.005
LONGEST_PAUSE_S: Final = 0.05

_buffer: Final = bytearray(READ_BYTES)
"""Every read goes through here: a fresh 256 KiB for each short line costs more than the copy."""
_view: Final = memoryview(_buffer)


def open_pipe() -> tuple[int, int]:
    """A pipe with its full size; neither end is inherited or blocks the agent's side."""
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    try:
        fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except OSError as error:
        # A user without privileges has a budget for pipes; small ones work too.
        if error.errno not in {errno.EPERM, errno.EBUSY}:
            raise
    return read_fd, write_fd


class Pacing:
    """How long to leave a pipe alone after a read, so that the kernel makes the batches.

    The first bytes of a quiet stream are taken at once. Small ones that follow wait for 5 ms, then
    for twice that each time, up to 50 ms. Large ones are taken as they come.
    """

    def __init__(self) -> None:
        self._pause_s = 0.0

    def after(self, size: int) -> float:
        """Seconds until the next read."""
        if size >= FULL_BATCH_BYTES:
            self._pause_s = 0.0
        else:
            self._pause_s = min(max(2 * self._pause_s, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
        return self._pause_s

    def fell_silent(self) -> None:
        """There was nothing to read."""
        self._pause_s = 0.0


class PipeReader:
    """Reads one output stream of a job on the event loop, without ever waiting for it."""

    def __init__(
        self, fd: int, *, on_data: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._on_data = on_data
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._pacing = Pacing()
        self._timer: asyncio.Handle | None
        self._is_listening = False
        self._is_paused = False
        self._is_last = False
        self._timer = self._loop.call_later(FIRST_LOOK_S, self._on_timer)

    def pause(self) -> None:
        """Leaves what comes in the pipe."""
        self._is_paused = True
        self._quiesce()

    def resume(self) -> None:
        """Reads on."""
        if self._is_paused and self._fd >= 0:
            self._is_paused = False
            self._timer = self._loop.call_soon(self._on_timer)

    def finish(self) -> None:
        """Nobody writes any more: reads what is left, as soon as it may, and ends."""
        self._is_last = True
        if self._fd >= 0 and not self._is_paused:
            self._quiesce()
            self._read_to_the_end()

    def close(self) -> None:
        """Lets go of the pipe. Idempotent."""
        if self._fd >= 0:
            self._quiesce()
            os.close(self._fd)
            self._fd = -1

    def _read_to_the_end(self) -> None:
        # Bounded by what a pipe holds.
        while self._fd >= 0 and not self._is_paused:
            self._read()

    def _read(self) -> int:
        """Reads once; returns how much."""
        try:
            size = os.readv(self._fd, [_buffer])
        except BlockingIOError:
            if self._is_last:
                self._end()
            return 0
        if size == 0:
            self._end()
        else:
            self._on_data(bytes(_view[:size]))
        return size

    def _end(self) -> None:
        self.close()
        self._on_end()

    def _on_readable(self) -> None:
        size = self._read()
        if size > 0:
            self._go_on_after(size)

    def _on_timer(self) -> None:
        self._timer = None
        if self._is_last:
            self._read_to_the_end()
            return
        size = self._read()
        if size == 0:
            self._pacing.fell_silent()
            self._listen()
        else:
            self._go_on_after(size)

    def _go_on_after(self, size: int) -> None:
        if self._fd < 0 or self._is_paused:
            return
        pause_s = self._pacing.after(size)
        if pause_s == 0:
            self._listen()
        else:
            self._quiesce()
            self._timer = self._loop.call_later(pause_s, self._on_timer)

    def _listen(self) -> None:
        if not self._is_listening and not self._is_paused and self._fd >= 0:
            self._is_listening = True
            self._loop.add_reader(self._fd, self._on_readable)

    def _quiesce(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_listening:
            self._is_listening = False
            self._loop.remove_reader(self._fd)


class PipeFeeder:
    """Writes a job's stdin on the event loop, without ever waiting for it."""

    def __init__(self, fd: int, data: bytes) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._left = memoryview(data)
        self._loop = asyncio.get_running_loop()
        self._loop.add_writer(fd, self._on_writable)

    def close(self) -> None:
        """Ends the job's stdin. Idempotent."""
        if self._fd >= 0:
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_writable(self) -> None:
        try:
            self._left = self._left[os.write(self._fd, self._left[:PIPE_BYTES]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            # The job does not want to read it; that is its own affair.
            self.close()
            return
        if not self._left:
            self.close()
