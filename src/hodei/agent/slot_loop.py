"""The slot process: starts a job, waits for it, and lets nothing of it survive.

A plain loop without asyncio and without grpc, so that it is small, quick and easy to believe.
"""

import os
import select
import signal
import socket
import traceback
from contextlib import suppress
from types import FrameType
from typing import Final, NoReturn

from hodei.agent import prctl, process_tree, slot_wire, spawning
from hodei.agent.cgroups import OomCounter, SlotCgroup
from hodei.agent.descriptors import receive
from hodei.agent.job_process import ExitReport, SpawnError

_REAPED_AT_ONCE: Final = 4096
"""Processes that fork and exit all the time can do so faster than they are waited for."""


class SlotLoop:
    """One slot. `run` returns when the agent is gone, with nothing of the job left."""

    def __init__(
        self, channel: socket.socket, *, agent_pid: int, cgroup: SlotCgroup | None
    ) -> None:
        self._channel = channel
        self._agent_pid = agent_pid
        self._cgroup = cgroup
        self._oom = OomCounter.of_own_cgroup()
        self._wake, self._waker = _wake_on_sigchld()
        self._main = 0
        """The job's main process; 0 when there is no job."""
        self._report: ExitReport | None = None
        """Of the main process that has ended, until its tree is gone."""
        self._we_killed = False
        self._oom_kills_before = 0

    def run(self) -> None:
        """Serves the agent until it closes its end or ends itself."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        channel = self._channel.fileno()
        while os.getppid() == self._agent_pid:
            for fd, _ in poll.poll():
                if fd != channel:
                    os.read(fd, 4096)
                    self._look_at_children()
                elif not self._serve():
                    process_tree.end_descendants(self._reap, self._sweep)
                    return
        process_tree.end_descendants(self._reap, self._sweep)

    def _serve(self) -> bool:
        packet, fds = receive(self._channel, slot_wire.MAX_PACKET, slot_wire.MAX_FDS)
        if not packet:
            return False
        match slot_wire.decode_request(packet, fds):
            case slot_wire.Spawn() as request:
                self._spawn(request)
            case slot_wire.Signal(signum):
                self._we_killed |= signum == signal.SIGKILL
                process_tree.signal_descendants(signum)
            case slot_wire.Kill():
                self._we_killed = True
                self._end_job()
        return True

    def _spawn(self, request: slot_wire.Spawn) -> None:
        assert self._main == 0, "a slot runs one job at a time"
        self._we_killed = False
        self._oom_kills_before = self._oom.read()
        try:
            spawning.enter(request.cwd)
            self._main = spawning.spawn(request.argv, request.env, request.fds)
        except SpawnError as error:
            self._say(error)
        else:
            self._say(slot_wire.Spawned(self._main))
        finally:
            for fd in request.fds:
                os.close(fd)
            os.chdir("/")  # the job's directory can be removed or unmounted

    def _look_at_children(self) -> None:
        nobody_left = self._reap()
        if self._report is None:
            return
        if nobody_left:
            self._say_report()
        else:
            self._end_job()

    def _end_job(self) -> None:
        if self._main == 0:
            return
        process_tree.end_descendants(self._reap, self._sweep)
        self._say_report()

    def _say_report(self) -> None:
        assert self._report is not None, "the main process has ended with its tree"
        report, self._report, self._main = self._report, None, 0
        self._say(report)

    def _reap(self) -> bool:
        for _ in range(_REAPED_AT_ONCE):
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid != self._main:
                continue
            code = os.waitstatus_to_exitcode(status)
            self._report = ExitReport(
                exit_code=code if code >= 0 else None,
                signal=-code if code < 0 else None,
                user_cpu_s=usage.ru_utime,
                system_cpu_s=usage.ru_stime,
                max_rss_bytes=usage.ru_maxrss * 1024,
                out_of_memory=code == -signal.SIGKILL
                and not self._we_killed
                and self._oom.read() > self._oom_kills_before,
            )
        os.write(self._waker, b"\0")
        return False

    def _sweep(self) -> None:
        if self._cgroup is not None:
            self._cgroup.kill_all_but_self()

    def _say(self, reply: slot_wire.Reply) -> None:
        # Where the agent is gone, the next look at the channel says so.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._channel.send(slot_wire.encode_reply(reply))


def _do_nothing(_signum: int, _frame: FrameType | None) -> None:
    """Is there because a signal without a handler wakes nobody."""


def _wake_on_sigchld() -> tuple[int, int]:
    """A pipe that is readable after a child has ended."""
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, _do_nothing)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    return wake, waker


def run_slot(
    index: int, channel: socket.socket, *, agent_pid: int, cgroup: SlotCgroup | None, job_umask: int
) -> NoReturn:
    """Turns this freshly forked child of the agent into a slot; does not return."""
    # Ctrl-C and the like are for the agent to act on; a slot ends when the agent does. SIGCHLD at
    # its death makes the loop look at its parent, should the channel be held open by somebody.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_IGN)
    try:
        prctl.name_process(f"hodei-slot-{index}")
        prctl.become_subreaper()
        prctl.signal_on_parent_death(signal.SIGCHLD, parent=agent_pid)
        if cgroup is not None and not cgroup.enter():
            cgroup = None
        os.umask(job_umask)
        os.chdir("/")
        SlotLoop(channel, agent_pid=agent_pid, cgroup=cgroup).run()
    except BaseException:  # noqa: BLE001 - the edge of the process: nobody is left to raise to
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
