"""The keeper: parent of one agent, and proof of its end.

It is the subreaper of everything that the agent starts, and ends only when all of that is gone:
whoever sees the keeper end has seen the whole tree end. The agent dies with the keeper, and the
slots with the agent, each with its job.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, Protocol

from hodei.agent import json_log, prctl, process_tree
from hodei.agent.cgroups import WorkerCgroup
from hodei.agent.slots import SlotProcess, fork_slots
from hodei.lifecycle.processes import ProcessIdentity, boot_id

_TO_THE_AGENT: Final = {
    signal.SIGTERM: signal.SIGTERM,
    signal.SIGINT: signal.SIGINT,
    signal.SIGHUP: signal.SIGTERM,
}
"""What the keeper passes on, and as what."""

_END_NOW: Final = signal.SIGQUIT
"""Kills the whole tree at once."""

_AWAITED: Final = {*_TO_THE_AGENT, _END_NOW, signal.SIGCHLD}

_REAPED_AT_ONCE: Final = 4096
"""Processes that fork and exit all the time can do so faster than they are waited for."""

RunAgent = Callable[[Sequence[SlotProcess]], int]
"""Is the agent, given its slots; returns its exit code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An agent that has read its bootstrap document and can run."""

    worker_id: str
    slots: int
    run: RunAgent
    key_fd: int | None = None
    """From which `run` reads its first key; for the agent alone."""


class Prepare(Protocol):
    """Makes an agent of a bootstrap document."""

    def __call__(self, document: bytes, work_dir: Path, key_fd: int | None = None, /) -> Prepared:
        """Reads the document of an agent that is about to run.

        Args:
            document: JSON, as docs/explanation/worker-protocol.md has it.
            work_dir: The agent's own directory.
            key_fd: See `premade_key`; None where no key is in the making yet.

        Raises:
            RefusedError: The document is none.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What the keeper needs to know of the worker."""

    worker_id: str
    slots: int
    directory: Path
    """Gets `processes.json` once the agent runs and `exit.json` once everything is gone."""
    job_umask: int
    lock_fd: int
    """A locked file that keeper, agent and slots hold open, jobs not: free means all gone."""
    ready_fd: int | None = None
    """Gets the content of `processes.json`; it is closed then."""
    key_fd: int | None = None
    """Is for the agent alone."""


def keep(worker: Worker, run_agent: RunAgent) -> int:
    """Runs the agent in a child and waits for the end of its tree; returns the agent's code."""
    prctl.name_process("hodei-keeper")
    prctl.become_subreaper()
    # Waited for by name below, so that no handler can run at a bad moment.
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    cgroup = WorkerCgroup.create(worker.worker_id)
    if cgroup is None:
        json_log.set_up()
        json_log.log.info(
            "no_control_group",
            message="no cgroup v2 may be made here; jobs are ended by walking their process tree",
        )
    keeper_pid = os.getpid()
    agent_pid = os.fork()
    if agent_pid == 0:
        _become_agent(worker, run_agent, keeper_pid, cgroup)
    if worker.key_fd is not None:
        os.close(worker.key_fd)
    _tell(worker, agent_pid, cgroup)
    keeper = _Keeper(agent_pid, cgroup)
    keeper.wait()
    if cgroup is not None:
        cgroup.remove()
    ended = {"exit_code": keeper.exit_code, "signal": keeper.signal}
    _write(worker.directory / "exit.json", ended)
    return 128 + keeper.signal if keeper.signal is not None else keeper.exit_code or 0


class _Keeper:
    def __init__(self, agent_pid: int, cgroup: WorkerCgroup | None) -> None:
        self._agent_pid = agent_pid
        self._cgroup = cgroup
        self.exit_code: int | None = None
        self.signal: int | None = None

    def wait(self) -> None:
        """Returns when the agent has ended and nothing that it started is left."""
        while not self._agent_has_ended():
            signum = signal.sigwaitinfo(_AWAITED).si_signo
            self._reap()
            if signum == _END_NOW:
                break
            if signum in _TO_THE_AGENT and not self._agent_has_ended():
                os.kill(self._agent_pid, _TO_THE_AGENT[signal.Signals(signum)])
        sweep = self._cgroup.kill if self._cgroup is not None else None
        process_tree.end_descendants(self._reap, sweep)

    def _agent_has_ended(self) -> bool:
        return self.exit_code is not None or self.signal is not None

    def _reap(self) -> bool:
        for _ in range(_REAPED_AT_ONCE):
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid == self._agent_pid:
                code = os.waitstatus_to_exitcode(status)
                self.exit_code, self.signal = (code, None) if code >= 0 else (None, -code)
        return False


def _become_agent(
    worker: Worker, run_agent: RunAgent, keeper_pid: int, cgroup: WorkerCgroup | None
) -> NoReturn:
    code = 1
    try:
        if prctl.signal_on_parent_death(signal.SIGKILL, parent=keeper_pid):
            code = run_agent(_set_up_agent(worker, cgroup))
    except SystemExit as request:
        code = request.code if isinstance(request.code, int) else 1
    except BaseException:  # noqa: BLE001 - the edge of the process: nobody is left to raise to
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        # Threads of libraries do not get to hold the end up.
        os._exit(code)


def _set_up_agent(worker: Worker, cgroup: WorkerCgroup | None) -> list[SlotProcess]:
    prctl.name_process("hodei-agent")
    prctl.become_subreaper()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)
    # Ctrl-C in a terminal reaches the keeper alone, which passes it on once.
    os.setsid()
    if worker.ready_fd is not None:
        os.close(worker.ready_fd)
    if cgroup is not None and not cgroup.enter_agent():
        cgroup = None
    return fork_slots(
        worker.slots, cgroup=cgroup, job_umask=worker.job_umask, keep=[worker.lock_fd]
    )


def _tell(worker: Worker, agent_pid: int, cgroup: WorkerCgroup | None) -> None:
    agent = ProcessIdentity.of(agent_pid)
    keeper = ProcessIdentity.of(os.getpid())
    assert agent is not None, "it is not waited for yet"
    assert keeper is not None
    record = {
        "boot_id": boot_id(),
        "keeper": {"pid": keeper.pid, "start_ticks": keeper.start_ticks},
        "agent": {"pid": agent.pid, "start_ticks": agent.start_ticks},
        "cgroup": None if cgroup is None else str(cgroup.directory),
    }
    content = _write(worker.directory / "processes.json", record)
    if worker.ready_fd is not None:
        with suppress(BrokenPipeError):  # the server is gone; its successor reads the file
            os.write(worker.ready_fd, content)
        os.close(worker.ready_fd)


def _write(path: Path, record: Mapping[str, object]) -> bytes:
    content = json.dumps(record).encode()
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)
    return content
