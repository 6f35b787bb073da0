"""The provider's side of the zygote: starting it, asking it for workers, starting it again."""

import asyncio
import os
import select
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from hodei.ports.providers import ProviderUnavailableError
from hodei.providers.local.readable import until_readable

log = structlog.get_logger()

_START_WITHIN_S: Final = 30.0
"""Importing takes 0.2 s; a cold disk on a busy machine may need far longer."""

_STOP_WITHIN_S: Final = 5.0

_SIGNALS: Final = frozenset(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}


class Zygote:
    """One running zygote process."""

    def __init__(self, pid: int, pidfd: int, channel: socket.socket) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._channel = channel

    @classmethod
    async def start(cls, command: Sequence[str], log_path: Path) -> "Zygote":
        """Starts one; returns once it takes requests.

        Raises:
            ProviderUnavailableError: It did not start; the message has the end of its log.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                pid = _spawn([*command, "zygote"], theirs.fileno(), log_path)
            except OSError as error:
                ours.close()
                raise ProviderUnavailableError(
                    f"the agent command {command[0]!r} cannot be started: {error.strerror}"
                ) from error
        ours.setblocking(False)  # noqa: FBT003 - the library's own signature
        zygote = cls(pid, os.pidfd_open(pid), ours)
        is_ready = False
        try:
            async with asyncio.timeout(_START_WITHIN_S):
                await until_readable(ours.fileno())
            is_ready = _receive(ours) != b""
        except TimeoutError:
            log.warning("zygote_slow", pid=pid, within_s=_START_WITHIN_S)
        finally:
            if not is_ready:
                await zygote.stop()
        if not is_ready:
            raise ProviderUnavailableError(
                f"the agent command {' '.join(command)!r} did not get ready: {_last_line(log_path)}"
            )
        return zygote

    def is_running(self) -> bool:
        """Whether the process has not ended."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return not poll.poll(0)

    async def ended(self) -> None:
        """Returns once the process has ended."""
        await until_readable(self._pidfd)

    def fork(self, packet: bytes, fds: Sequence[int]) -> None:
        """Sends a request; its descriptors stay the caller's.

        Raises:
            OSError: The zygote has ended, or does not read.
        """
        socket.send_fds(self._channel, [packet], fds)

    async def stop(self) -> None:
        """Ends the process and waits for it. Idempotent."""
        self._channel.close()
        if self._pidfd < 0:
            return
        try:
            async with asyncio.timeout(_STOP_WITHIN_S):
                await self.ended()
        except TimeoutError:
            log.warning("zygote_killed", pid=self.pid, advice="it did not end by itself")
        finally:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            os.close(self._pidfd)
            self._pidfd = -1
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)  # noqa: ASYNC222 - it was killed just now at the latest


def _receive(channel: socket.socket) -> bytes:
    try:
        return channel.recv(4096)
    except ConnectionResetError:
        return b""


def _spawn(argv: list[str], channel_fd: int, log_path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
    log_fd = os.open(log_path, flags, 0o600)
    try:
        return os.posix_spawnp(
            argv[0],
            argv,
            # The server's own settings may be secret, and jobs inherit what agents have.
            {name: value for name, value in os.environ.items() if not name.startswith("HODEI_")},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, channel_fd, 0),
                (os.POSIX_SPAWN_DUP2, log_fd, 1),
                (os.POSIX_SPAWN_DUP2, log_fd, 2),
            ],
            setsid=True,
            setsigdef=_SIGNALS,
            setsigmask=(),
        )
    finally:
        os.close(log_fd)


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
