"""The zygote: has everything imported and forks workers on request, in a tenth of the time.

It opens no channel and starts no thread, so that what it forks begins clean. Its standard input
is a SOCK_SEQPACKET to the local provider; at the end of that it ends, and its workers live on.
"""

import gc
import json
import os
import select
import signal
import socket
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from hodei.agent import prctl, premade_key
from hodei.agent.descriptors import close_all_but, receive
from hodei.agent.keeper import Prepare, Worker, keep

READY: Final = b'{"ready": true}'
"""The first and only thing that the zygote says; failures to start go to the `ready` pipe."""

_MAX_PACKET: Final = 64 * 1024
_FDS: Final = 4
"""Of a request, in this order: lock, ready pipe, log, bootstrap document."""

_QUIET_S: Final = 0.5
"""The next key is made when no worker was asked for during this long: those that start now need
the processors."""


def serve(prepare: Prepare) -> int:
    """Forks workers until the provider closes its end; returns the exit code.

    A request is `{"directory": …}`, the worker's, with its descriptors. The answer is what the
    keeper writes into the ready pipe; that pipe closed without a word means that it failed, and
    the log says how.
    """
    close_all_but({0, 1, 2})
    prctl.name_process("hodei-zygote")
    job_umask = os.umask(0o077)
    os.chdir("/")
    # The objects of the imports are never garbage, and pages that nobody counts on stay shared.
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever is forked here is reaped by the kernel
    channel = socket.socket(fileno=os.dup(0))
    channel.send(READY)
    return _Zygote(channel, job_umask, prepare).run()


class _Zygote:
    def __init__(self, channel: socket.socket, job_umask: int, prepare: Prepare) -> None:
        self._channel = channel
        self._job_umask = job_umask
        self._prepare = prepare
        self._key_fd: int | None = None

    def run(self) -> int:
        """Returns the exit code once the provider has closed its end."""
        self._begin_key()
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        while True:
            if self._key_fd is None and not poll.poll(_QUIET_S * 1000):
                self._begin_key()
            packet, fds = receive(self._channel, _MAX_PACKET, _FDS)
            if not packet:
                return 0
            self._fork_worker(Path(json.loads(packet)["directory"]), fds)

    def _begin_key(self) -> None:
        with suppress(OSError):  # the agent makes its own then, or fails for the same reason
            self._key_fd = premade_key.begin()

    def _fork_worker(self, directory: Path, fds: list[int]) -> None:
        try:
            if os.fork() == 0:
                self._become_keeper(directory, fds)
        except OSError as error:
            with suppress(BrokenPipeError):
                os.write(fds[1], json.dumps({"error": str(error)}).encode())
            return
        finally:
            for fd in fds:
                os.close(fd)
        if self._key_fd is not None:
            os.close(self._key_fd)
            self._key_fd = None

    def _become_keeper(self, directory: Path, fds: list[int]) -> NoReturn:
        code = 1
        try:
            os.setsid()
            lock_fd, ready_fd, log_fd, document_fd = fds
            _redirect(log_fd)
            with open(document_fd, "rb", closefd=False) as file:
                document = file.read()
            keys = set() if self._key_fd is None else {self._key_fd}
            close_all_but({0, 1, 2, lock_fd, ready_fd} | keys)
            prepared = self._prepare(document, directory / "work", self._key_fd)
            worker = Worker(
                worker_id=prepared.worker_id,
                slots=prepared.slots,
                directory=directory,
                job_umask=self._job_umask,
                lock_fd=lock_fd,
                ready_fd=ready_fd,
                key_fd=prepared.key_fd,
            )
            code = keep(worker, prepared.run)
        except BaseException:  # noqa: BLE001 - the edge of the process: nobody is left to raise to
            traceback.print_exc()
        finally:
            os._exit(code)


def _redirect(log_fd: int) -> None:
    null_fd = os.open(os.devnull, os.O_RDONLY)
    for fd, standard in ((null_fd, 0), (log_fd, 1), (log_fd, 2)):
        os.dup2(fd, standard)
