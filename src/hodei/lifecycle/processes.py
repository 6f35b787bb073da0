"""Which process a pid means: pids are used again, also within a second on a busy system."""

import os
import select
import signal
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_START_TIME_FIELD = 19
"""Of /proc/PID/stat, counted from the state, which follows the name in parentheses."""


@cache
def boot_id() -> str:
    """The running system's; another after each boot, when pids begin anew."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def stat_fields(pid: int) -> list[bytes] | None:
    """The fields of /proc/PID/stat from the state on; None when there is no such process."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        stat = os.read(fd, 4096)
    except ProcessLookupError:
        return None
    finally:
        os.close(fd)
    # The name before the last parenthesis may have spaces and parentheses of its own.
    return stat[stat.rindex(b")") + 2 :].split()


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is none."""
    fields = stat_fields(pid)
    return None if fields is None else int(fields[_START_TIME_FIELD])


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """One process and no other that gets its pid later."""

    pid: int
    start_ticks: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """The identity of a process that is there now."""
        ticks = start_ticks(pid)
        return None if ticks is None else cls(pid=pid, start_ticks=ticks, boot_id=boot_id())

    def open(self) -> int | None:
        """A pidfd of the process, which the caller closes; None when it is gone.

        A process that has ended and that nobody has waited for yet still counts as there; its
        pidfd is readable.
        """
        if self.boot_id != boot_id():
            return None
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        # The pidfd holds whoever has the pid now; only after that is it worth asking who it is.
        if start_ticks(self.pid) != self.start_ticks:
            os.close(fd)
            return None
        return fd

    def is_running(self) -> bool:
        """Whether it is there and has not ended; one that nobody has waited for yet has."""
        fd = self.open()
        if fd is None:
            return False
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            return not poll.poll(0)
        finally:
            os.close(fd)

    def send_signal(self, signum: int) -> bool:
        """Signals the process, and never another; returns whether it was there."""
        fd = self.open()
        if fd is None:
            return False
        try:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signum)
                return True
            return False
        finally:
            os.close(fd)
