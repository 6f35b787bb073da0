"""File descriptors that travel between processes, and those that must not."""

import os
import socket


def receive(channel: socket.socket, max_bytes: int, max_fds: int) -> tuple[bytes, list[int]]:
    """One packet with the descriptors that came along, which no program started from here gets.

    Not `socket.recv_fds`: Python 3.11 drops its flags, and with them MSG_CMSG_CLOEXEC.
    """
    room = socket.CMSG_SPACE(max_fds * _FD_BYTES)
    packet, ancillary, _, _ = channel.recvmsg(max_bytes, room, socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = len(data) - len(data) % _FD_BYTES
            fds += memoryview(data[:whole]).cast("i")
    return packet, fds


_FD_BYTES = 4


def close_all_but(keep: set[int]) -> None:
    """Closes every descriptor of this process but some."""
    start = 0
    for fd in sorted(keep):
        if start < fd:  # closerange(0, 0) closes all: it asks the kernel for 0 to -1
            os.closerange(start, fd)
        start = fd + 1
    os.closerange(start, os.sysconf("SC_OPEN_MAX"))
