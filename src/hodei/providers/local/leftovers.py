"""What a worker left behind whose keeper was killed and could not clean up.

Three marks, each of which a process has from its start: the worker's control group where there is
one, the lock that keeper, agent and slots hold open, and HODEI_WORKER_ID in the environment that
jobs got. A process that shed all of them ran on purpose to outlive its job, and while its keeper
lived it could not.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from hodei.lifecycle.processes import ProcessIdentity
from hodei.providers.local.instance import Instance, Processes


def end_leftovers(instance: Instance, processes: Processes | None) -> list[int]:
    """Kills what is found of a worker; returns the pids, which may take a moment to end.

    An empty list means that nothing is left.
    """
    suspects = set(_marked(instance))
    if processes is not None:
        suspects |= {processes.keeper, processes.agent}
        suspects |= set(_in_cgroup(processes))
        _kill_cgroup(processes)
    found = [each for each in suspects if each.is_running()]
    for identity in found:
        with suppress(PermissionError):
            identity.send_signal(signal.SIGKILL)
    return [each.pid for each in found]


def remove_cgroup(processes: Processes | None) -> None:
    """Removes the worker's control group, which is empty."""
    if processes is None or processes.cgroup is None:
        return
    with suppress(OSError):
        for part in processes.cgroup.iterdir():
            if part.is_dir():
                part.rmdir()
        processes.cgroup.rmdir()


def _kill_cgroup(processes: Processes) -> None:
    if processes.cgroup is not None:
        with suppress(OSError):
            (processes.cgroup / "cgroup.kill").write_text("1", encoding="ascii")


def _in_cgroup(processes: Processes) -> Iterator[ProcessIdentity]:
    # Listed, too, for `cgroup.kill` misses a process whose first thread has ended (Linux 6.18).
    if processes.cgroup is None or not processes.cgroup.is_dir():
        return
    for directory in (processes.cgroup, *processes.cgroup.iterdir()):
        try:
            pids = (directory / "cgroup.procs").read_text(encoding="ascii").split()
        except OSError:
            continue
        for pid in pids:
            identity = ProcessIdentity.of(int(pid))
            if identity is not None:
                yield identity


def _marked(instance: Instance) -> Iterator[ProcessIdentity]:
    mark = f"HODEI_WORKER_ID={instance.worker_id}".encode()
    lock = str(instance.lock_path.resolve())
    me = os.getpid()
    for name in os.listdir("/proc"):  # noqa: PTH208 - names, without a Path for each
        if not name.isdigit() or int(name) == me:
            continue
        identity = ProcessIdentity.of(int(name))
        if identity is not None and (_has_variable(name, mark) or _holds(name, lock)):
            yield identity


def _has_variable(pid: str, variable: bytes) -> bool:
    # A process whose first thread has ended shows its environment in its other threads only.
    tasks = Path(f"/proc/{pid}/task").glob("*/environ")
    for path in chain((Path(f"/proc/{pid}/environ"),), tasks):
        try:
            environment = path.read_bytes()
        except OSError:
            continue
        if environment:
            return variable in environment.split(b"\0")
    return False


def _holds(pid: str, path: str) -> bool:
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208 - as above
    except OSError:
        return False
    for descriptor in descriptors:
        with suppress(OSError):
            if os.readlink(f"/proc/{pid}/fd/{descriptor}") == path:  # noqa: PTH115 - as above
                return True
    return False
