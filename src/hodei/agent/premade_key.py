"""A key made before its agent was there, so that a worker enrols 0.1 s sooner.

A fork of the zygote makes it and ends. It then waits in a pipe, in the kernel's memory alone,
until an agent reads it: the zygote never has it, and neither have keeper and slots.
"""

import asyncio
import os
import struct
from typing import Final, NoReturn

from hodei.agent.descriptors import close_all_but
from hodei.agent.identity import KeySource, make_key

_LENGTHS: Final = struct.Struct("<II")
_MAX_BYTES: Final = 16 * 1024
"""A key and its request take 0.5 KiB; a pipe holds more than this."""

_WITHIN_S: Final = 10.0
"""A key that is not made by then is not waited for any longer."""


def begin() -> int:
    """Starts making a key; returns the end of the pipe from which one agent may read it.

    Only where children are not waited for (SIGCHLD is ignored).
    """
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    try:
        if os.fork() == 0:
            _make(write_fd)
    except BaseException:
        os.close(read_fd)
        raise
    finally:
        os.close(write_fd)
    return read_fd


def _make(write_fd: int) -> NoReturn:
    code = 1
    try:
        close_all_but({0, 1, 2, write_fd})
        key_pem, csr_der = make_key()
        os.write(write_fd, _LENGTHS.pack(len(key_pem), len(csr_der)) + key_pem + csr_der)
        code = 0
    finally:
        # Without a key in the pipe the agent makes its own, and says what went wrong.
        os._exit(code)


class PremadeKeySource:
    """Gives the key from a pipe first, later ones from another source.

    Args:
        fd: The pipe's end, which is closed after the first use.
        later: Also asked where there is no whole key in the pipe.
    """

    def __init__(self, fd: int, later: KeySource) -> None:
        self._fd = fd
        self._later = later

    async def new_key(self) -> tuple[bytes, bytes]:
        """A new key and a request for it."""
        if self._fd < 0:
            return await self._later.new_key()
        try:
            return _parse(await self._read())
        except (TimeoutError, ValueError):
            return await self._later.new_key()

    async def _read(self) -> bytes:
        fd, self._fd = self._fd, -1
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(fd, readable.set)
        try:
            async with asyncio.timeout(_WITHIN_S):
                await readable.wait()
            return os.read(fd, _MAX_BYTES)
        finally:
            loop.remove_reader(fd)
            os.close(fd)


def _parse(packet: bytes) -> tuple[bytes, bytes]:
    if len(packet) < _LENGTHS.size:
        raise ValueError("no key was made")
    key_bytes, request_bytes = _LENGTHS.unpack_from(packet)
    key_pem = packet[_LENGTHS.size : _LENGTHS.size + key_bytes]
    csr_der = packet[_LENGTHS.size + key_bytes :]
    if len(csr_der) != request_bytes:
        raise ValueError("the key is cut off")
    return key_pem, csr_der
