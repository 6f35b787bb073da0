"""What the agent and its slots say to each other: one message per packet of a SOCK_SEQPACKET pair.

Both ends are the same program, forked: the layout may change with any release. Strings of a job
cannot contain NUL, so NUL joins them.
"""

import mmap
import os
import struct
from dataclasses import dataclass
from typing import Final

from hodei.agent.job_process import ExitReport, SpawnError, SpawnRequest
from hodei.domain.jobs.reasons import ReasonCode

MAX_PACKET: Final = 64 * 1024
"""Larger requests travel in a memory file whose descriptor the packet carries."""

MAX_FDS: Final = 4
"""The job's three, and the memory file."""

_SPAWN, _SPAWN_IN_FILE, _SIGNAL, _KILL = range(1, 5)
_SPAWNED, _REFUSED, _ENDED = range(11, 14)

_SPAWN_HEAD = struct.Struct("<BII")
_SIGNAL_BODY = struct.Struct("<BB")
_PID_BODY = struct.Struct("<Bi")
_REPORT_BODY = struct.Struct("<BiiddQ?")
_UNSET = -1


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a job's main process with the descriptors that came along."""

    argv: list[bytes]
    env: dict[bytes, bytes]
    cwd: bytes
    fds: list[int]


@dataclass(frozen=True, slots=True)
class Signal:
    """Signal every process of the job."""

    signum: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End every process of the job."""


@dataclass(frozen=True, slots=True)
class Spawned:
    """The main process runs."""

    pid: int


Request = Spawn | Signal | Kill
Reply = Spawned | SpawnError | ExitReport


def encode_spawn(request: SpawnRequest) -> bytes:
    """The request without its descriptors.

    Raises:
        SpawnError: A string that no program can be given.
    """
    parts = [request.cwd, *request.argv]
    for name, value in request.env.items():
        if not name or b"=" in name:
            raise SpawnError(
                ReasonCode.PROCESS_SPAWN_FAILED,
                f"{name!r} cannot name an environment variable: it is empty or contains `=`",
            )
        parts.append(name + b"=" + value)
    body = b"\0".join(parts)
    if body.count(b"\0") != len(parts) - 1:
        raise SpawnError(
            ReasonCode.PROCESS_SPAWN_FAILED,
            "an argument, an environment variable or the working directory contains a NUL byte,"
            " which no program can be given",
        )
    return _SPAWN_HEAD.pack(_SPAWN, len(request.argv), len(request.env)) + body


def in_file(spawn: bytes) -> tuple[bytes, int]:
    """The packet and the memory file for a request that is too large for a packet."""
    fd = os.memfd_create("hodei-spawn")
    written = memoryview(spawn)
    while written:
        written = written[os.write(fd, written) :]
    return bytes([_SPAWN_IN_FILE]), fd


def _read_file(fd: int) -> bytes:
    # Mapped rather than read: descriptors that travelled share their position with the sender's.
    try:
        with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as mapped:
            return mapped[:]
    finally:
        os.close(fd)


def encode_signal(signum: int) -> bytes:
    """A `Signal`."""
    return _SIGNAL_BODY.pack(_SIGNAL, signum)


KILL: Final = bytes([_KILL])
"""A `Kill`."""


def decode_request(packet: bytes, fds: list[int]) -> Request:
    """What the agent wants. The descriptors of a `Spawn` are the receiver's to close."""
    if packet[0] == _SPAWN_IN_FILE:
        packet = _read_file(fds.pop())
    if packet[0] == _SPAWN:
        _, arguments, variables = _SPAWN_HEAD.unpack_from(packet)
        parts = packet[_SPAWN_HEAD.size :].split(b"\0")
        assert len(parts) == 1 + arguments + variables
        pairs = (each.partition(b"=") for each in parts[1 + arguments :])
        return Spawn(
            argv=parts[1 : 1 + arguments],
            env={name: value for name, _, value in pairs},
            cwd=parts[0],
            fds=fds,
        )
    if packet[0] == _SIGNAL:
        return Signal(_SIGNAL_BODY.unpack(packet)[1])
    assert packet == KILL
    return Kill()


def encode_reply(reply: Reply) -> bytes:
    """What a slot has to say."""
    if isinstance(reply, Spawned):
        return _PID_BODY.pack(_SPAWNED, reply.pid)
    if isinstance(reply, SpawnError):
        return bytes([_REFUSED]) + f"{reply.reason_code}\0{reply.message}".encode()
    return _REPORT_BODY.pack(
        _ENDED,
        _UNSET if reply.exit_code is None else reply.exit_code,
        _UNSET if reply.signal is None else reply.signal,
        reply.user_cpu_s,
        reply.system_cpu_s,
        reply.max_rss_bytes,
        reply.out_of_memory,
    )


def decode_reply(packet: bytes) -> Reply:
    """What the slot said."""
    if packet[0] == _SPAWNED:
        return Spawned(_PID_BODY.unpack(packet)[1])
    if packet[0] == _REFUSED:
        code, _, message = packet[1:].decode().partition("\0")
        return SpawnError(ReasonCode(code), message)
    _, exit_code, signum, user_s, system_s, rss, out_of_memory = _REPORT_BODY.unpack(packet)
    return ExitReport(
        exit_code=None if exit_code == _UNSET else exit_code,
        signal=None if signum == _UNSET else signum,
        user_cpu_s=user_s,
        system_cpu_s=system_s,
        max_rss_bytes=rss,
        out_of_memory=out_of_memory,
    )
