"""How much the agent and its jobs use, and what the machine has.

From the control group where the agent has one to itself, else added up over its processes; not by
psutil, which is 3 MB of the 50 that an agent may have. Not for the event loop: all of this reads
many files.
"""

import os
import shutil
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hodei.agent import process_tree
from hodei.lifecycle.processes import stat_fields

CACHED_FOR_S: Final = 35.0
"""How old a sample may be: sampling a tree of many processes costs milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Use by the agent and everything that it started."""

    cpu_percent: float = 0.0
    """Since the sample before; 100 is one core."""
    memory_bytes: int = 0
    disk_bytes: int = 0
    """In use on the file system of the agent's directory, by whomever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Counters at one moment."""

    cpu_s: float
    memory_bytes: int


class Sampler:
    """Takes samples; one thread at a time."""

    def __init__(
        self,
        work_dir: Path,
        *,
        root: Path = Path("/"),
        tree: "Callable[[], tuple[AbstractSet[int], Totals]] | None" = None,
    ) -> None:
        self._work_dir = work_dir
        self._root = root
        self._tree = tree or own_tree
        self._before: tuple[float, float] | None = None

    def sample(self) -> Sample:
        """What is used now."""
        pids, totals = self._tree()
        totals = group_totals(self._root, pids) or totals
        now = time.monotonic()
        cpu_percent = 0.0
        if self._before is not None and now > self._before[0]:
            at, cpu_s = self._before
            cpu_percent = max(0.0, 100 * (totals.cpu_s - cpu_s) / (now - at))
        self._before = (now, totals.cpu_s)
        return Sample(
            cpu_percent=round(cpu_percent, 1),
            memory_bytes=totals.memory_bytes,
            disk_bytes=shutil.disk_usage(self._work_dir).used,
        )


def own_tree() -> tuple[AbstractSet[int], Totals]:
    """This process and its descendants, and what they use together.

    Processor time of those that have ended is in what their parents waited for.
    """
    me = os.getpid()
    pids: set[int] = set()
    ticks, pages = 0, 0
    for pid in [me, *(member.pid for member in process_tree.descendants(me))]:
        fields = stat_fields(pid)
        if fields is None:
            continue  # it has just ended
        pids.add(pid)
        # utime, stime, cutime, cstime and rss of proc(5), counted from the state.
        ticks += sum(int(field) for field in fields[11:15])
        pages += int(fields[21])
    return pids, Totals(
        cpu_s=ticks / os.sysconf("SC_CLK_TCK"), memory_bytes=pages * os.sysconf("SC_PAGE_SIZE")
    )


def group_totals(root: Path, pids: AbstractSet[int]) -> Totals | None:
    """What the control group uses that holds `pids` and, but for their parent, nobody else.

    None where there is no such group, or it does not count both memory and processor time.
    """
    try:
        paths = _group_paths(root)
        return _version_2(root, paths, pids) or _version_1(root, paths, pids)
    except (OSError, ValueError):
        return None


def _group_paths(root: Path) -> dict[str, str]:
    """The groups of this process by controller; version 2's is named by the empty string."""
    paths: dict[str, str] = {}
    for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path.lstrip("/")
    return paths


def _version_2(root: Path, paths: dict[str, str], pids: AbstractSet[int]) -> Totals | None:
    if "" not in paths:
        return None
    group = root / "sys/fs/cgroup" / paths[""]
    # The file is missing in the machine's root group, and where nobody enabled the controller.
    if not (group / "memory.current").exists() or not _is_ours(group, pids):
        return None
    usage = dict(
        line.split() for line in (group / "cpu.stat").read_text(encoding="ascii").splitlines()
    )
    return Totals(
        cpu_s=int(usage["usage_usec"]) / 1e6, memory_bytes=_number(group / "memory.current")
    )


def _version_1(root: Path, paths: dict[str, str], pids: AbstractSet[int]) -> Totals | None:
    if "memory" not in paths or "cpuacct" not in paths:
        return None
    memory = root / "sys/fs/cgroup/memory" / paths["memory"]
    cpu = root / "sys/fs/cgroup/cpuacct" / paths["cpuacct"]
    if not (_is_ours(memory, pids) and _is_ours(cpu, pids)):
        return None
    return Totals(
        cpu_s=_number(cpu / "cpuacct.usage") / 1e9,
        memory_bytes=_number(memory / "memory.usage_in_bytes"),
    )


def _is_ours(group: Path, pids: AbstractSet[int]) -> bool:
    """Whether everything in a group is ours; our parent, the keeper, may be in it too."""
    members: set[int] = set()
    for procs in group.rglob("cgroup.procs"):
        members.update(int(line) for line in procs.read_text(encoding="ascii").split())
    return bool(members) and members <= {*pids, os.getppid()}


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What the machine has."""

    cpu_cores: float
    memory_bytes: int
    disk_bytes: int


def capacity(work_dir: Path) -> Capacity:
    """What this process may use of the machine."""
    pages = os.sysconf("SC_PHYS_PAGES")
    return Capacity(
        cpu_cores=float(len(os.sched_getaffinity(0))),
        memory_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
        disk_bytes=shutil.disk_usage(work_dir).total,
    )
