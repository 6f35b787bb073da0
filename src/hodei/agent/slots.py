"""Slot processes as the agent sees them: each spawns one job at a time and outlives it.

A slot is a small child of the agent, forked before grpc or asyncio start. It is the subreaper of
its job, so that the job's tree is exactly the slot's descendants, whatever they fork or detach.
"""

import asyncio
import os
import socket
import threading
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final

from hodei.agent import process_tree, slot_loop, slot_wire
from hodei.agent.cgroups import WorkerCgroup
from hodei.agent.descriptors import close_all_but
from hodei.agent.job_process import ExitReport, SlotDiedError, SpawnError, SpawnRequest

__all__ = [
    "ExitReport",
    "SlotDiedError",
    "SlotProcess",
    "SpawnError",
    "SpawnRequest",
    "fork_slots",
]

_BURIAL: Final = threading.Lock()
"""Held by the thread that ends what a slot left."""


class SlotProcess:
    """A slot, for the agent's event loop. One job at a time: `spawn`, then `wait`.

    Attributes:
        index: Its number, from 0.
        pid: Of the slot process.
        died: Set when the slot process is gone. What it left was killed before.
    """

    def __init__(self, index: int, pid: int, channel: socket.socket) -> None:
        self.index = index
        self.pid = pid
        self.died = asyncio.Event()
        self._channel = channel
        self._ended = asyncio.Event()
        self._spawned: asyncio.Future[int] | None = None
        self._report: ExitReport | None = None
        self._runs = False

    async def attach(self) -> None:
        """Listens to the slot on the running event loop."""
        asyncio.get_running_loop().add_reader(self._channel, self._on_readable)

    async def spawn(self, request: SpawnRequest) -> int:
        """Starts a job's main process; returns its pid.

        The descriptors stay the caller's. Cancelled, it leaves a job behind that may run: call
        `kill_tree` and `wait`.

        Raises:
            SpawnError: It does not run.
            SlotDiedError: The slot is gone.
        """
        assert not self._runs, "a slot runs one job at a time"
        if self.died.is_set():
            raise self._death()
        packet = slot_wire.encode_spawn(request)
        fds = [request.stdin_fd, request.stdout_fd, request.stderr_fd]
        self._ended.clear()
        self._report = None
        self._runs = True
        self._spawned = asyncio.get_running_loop().create_future()
        if len(packet) <= slot_wire.MAX_PACKET:
            self._send(packet, fds)
        else:
            self._send_in_file(packet, fds)
        return await self._spawned

    async def wait(self) -> ExitReport:
        """Waits until the main process has ended and its whole tree is gone.

        Raises:
            SlotDiedError: The slot went first. Nothing of the job is left then either.
        """
        await self._ended.wait()
        if self._report is None:
            raise self._death()
        return self._report

    def signal_tree(self, signum: int) -> None:
        """Sends a signal once to each process of the job; nothing when there is no job."""
        if self._runs:
            self._send(slot_wire.encode_signal(signum))

    def kill_tree(self) -> None:
        """Ends every process of the job, with SIGKILL; `wait` tells when it is done."""
        if self._runs:
            self._send(slot_wire.KILL)

    def close(self) -> None:
        """Lets go of the slot, which ends its job and itself. Idempotent."""
        if self._channel.fileno() < 0:
            return
        with suppress(RuntimeError):  # attached to no loop, or to one that has ended
            asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()

    def _death(self) -> SlotDiedError:
        return SlotDiedError(f"slot {self.index} (process {self.pid}) is gone")

    def _send(self, packet: bytes, fds: Sequence[int] = ()) -> None:
        # A slot that has died says so by the end of its channel, which is read in its turn.
        with suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._channel, [packet], fds)

    def _send_in_file(self, packet: bytes, fds: list[int]) -> None:
        packet, file = slot_wire.in_file(packet)
        try:
            self._send(packet, [*fds, file])
        finally:
            os.close(file)

    def _on_readable(self) -> None:
        try:
            packet = self._channel.recv(slot_wire.MAX_PACKET)
        except BlockingIOError:
            return
        except ConnectionResetError:
            packet = b""
        if not packet:
            self._on_death()
            return
        match slot_wire.decode_reply(packet):
            case slot_wire.Spawned(pid):
                self._settle(pid)
            case SpawnError() as error:
                self._runs = False
                self._settle(error)
            case ExitReport() as report:
                self._runs = False
                self._report = report
                self._ended.set()

    def _settle(self, outcome: int | Exception) -> None:
        spawned, self._spawned = self._spawned, None
        if spawned is None or spawned.done():  # the caller was cancelled meanwhile
            return
        if isinstance(outcome, int):
            spawned.set_result(outcome)
        else:
            spawned.set_exception(outcome)

    def _on_death(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._channel)
        # Killing takes as long as the kernel needs; the loop has other jobs to look after.
        strays = loop.run_in_executor(None, self._end_strays)
        strays.add_done_callback(self._bury)

    def _end_strays(self) -> None:
        # One after the other: the kernel's list of children lacks some while others are reaped.
        with _BURIAL:
            # A process closes its channel first and hands its children on later.
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            process_tree.end_strays()

    def _bury(self, strays: asyncio.Future[None]) -> None:
        self._runs = False
        self.died.set()
        self._ended.set()
        self._settle(self._death())
        strays.result()


def fork_slots(
    count: int, *, cgroup: WorkerCgroup | None, job_umask: int, keep: Collection[int] = ()
) -> list[SlotProcess]:
    """Forks slot processes off this one, which must have no other threads yet.

    Args:
        count: How many.
        cgroup: The worker's, where it has one.
        job_umask: What jobs get.
        keep: Descriptors that the slots keep open until they end.
    """
    agent_pid = os.getpid()
    slots: list[SlotProcess] = []
    for index in range(count):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        part = cgroup.slot(index) if cgroup is not None else None
        pid = os.fork()
        if pid == 0:
            close_all_but({0, 1, 2, theirs.fileno(), *keep})
            slot_loop.run_slot(index, theirs, agent_pid=agent_pid, cgroup=part, job_umask=job_umask)
        theirs.close()
        ours.setblocking(False)  # noqa: FBT003 - the library's own signature
        slots.append(SlotProcess(index, pid, ours))
    return slots
