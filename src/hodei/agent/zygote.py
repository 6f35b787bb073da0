"""The zygote: has everything imported and forks workers on request, in a tenth of the time.

It opens no channel and starts no thread, so that what it forks begins clean. Its standard input
is a SOCK_SEQPACKET to the local provider; at the end of that it ends, and its workers live on.
"""

import gc
import json
import os
import signal
import socket
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from hodei.agent import prctl
from hodei.agent.descriptors import close_all_but, receive
from hodei.agent.keeper import Prepare, Worker, keep

READY: Final = b'{"ready": true}'
"""The first and only thing that the zygote says; failures to start go to the `ready` pipe."""

_MAX_PACKET: Final = 64 * 1024
_FDS: Final = 4
"""Of a request, in this order: lock, ready pipe, log, bootstrap document."""


def serve(prepare: Prepare) -> int:
    """Forks workers until the provider closes its end; returns the exit code.

    A request is `{"directory": …}`, the worker's, with its descriptors. The answer is what the
    keeper writes into the ready pipe; that pipe closed without a word means that it failed, and
    the log says how.
    """
    prctl.name_process("hodei-zygote")
    job_umask = os.umask(0o077)
    os.chdir("/")
    # The objects of the imports are never garbage, and pages that nobody counts on stay shared.
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are reaped by the kernel
    channel = socket.socket(fileno=os.dup(0))
    channel.send(READY)
    while True:
        packet, fds = receive(channel, _MAX_PACKET, _FDS)
        if not packet:
            return 0
        try:
            if os.fork() == 0:
                _become_keeper(Path(json.loads(packet)["directory"]), fds, job_umask, prepare)
        except OSError as error:
            with suppress(BrokenPipeError):
                os.write(fds[1], json.dumps({"error": str(error)}).encode())
        finally:
            for fd in fds:
                os.close(fd)


def _become_keeper(directory: Path, fds: list[int], job_umask: int, prepare: Prepare) -> NoReturn:
    code = 1
    try:
        lock_fd, ready_fd, log_fd, document_fd = fds
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for fd, standard in ((null, 0), (log_fd, 1), (log_fd, 2)):
            os.dup2(fd, standard)
        with open(document_fd, "rb", closefd=False) as file:
            document = file.read()
        close_all_but({0, 1, 2, lock_fd, ready_fd})
        prepared = prepare(document, directory / "work")
        worker = Worker(
            worker_id=prepared.worker_id,
            slots=prepared.slots,
            directory=directory,
            job_umask=job_umask,
            lock_fd=lock_fd,
            ready_fd=ready_fd,
        )
        code = keep(worker, prepared.run)
    except BaseException:  # noqa: BLE001 - the edge of the process: nobody is left to raise to
        traceback.print_exc()
    finally:
        os._exit(code)
