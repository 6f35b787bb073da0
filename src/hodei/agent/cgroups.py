"""Control groups where this process may make them, and their out-of-memory counters where not.

Version 2 with `cgroup.kill` (Linux 5.14), also where it is mounted beside version 1 and has no
controllers. Elsewhere the process tree alone does the work: nothing depends on a group.
"""

import os
from contextlib import suppress
from pathlib import Path

_MISSING = -1


def _own_paths() -> dict[str, str]:
    """The groups of this process by controller; version 2's is named by the empty string."""
    paths: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def _mounts() -> list[tuple[str, set[str], str, Path]]:
    """Kind, options, root and place of each mounted hierarchy."""
    mounts: list[tuple[str, set[str], str, Path]] = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        mount, _, kind_and_rest = line.partition(" - ")
        kind, _, options = kind_and_rest.split(" ", 2)
        if kind in {"cgroup", "cgroup2"}:
            root, place = mount.split(" ")[3:5]
            mounts.append((kind, set(options.split(",")), root, Path(place)))
    return mounts


def _own_directory(controller: str) -> Path | None:
    """The directory of this process's group; `controller` is empty for version 2."""
    try:
        own = _own_paths().get(controller)
        mounts = _mounts()
    except OSError:
        return None
    if own is None:
        return None
    for kind, options, root, place in mounts:
        if (
            (kind == "cgroup2")
            if controller == ""
            else (kind == "cgroup" and controller in options)
        ):
            directory = place / os.path.relpath(own, root)
            if ".." not in directory.parts and directory.is_dir():
                return directory
    return None


class SlotCgroup:
    """The group of one slot and its job."""

    def __init__(self, directory: Path, agent_directory: Path) -> None:
        self._directory = directory
        self._agent_directory = agent_directory

    def enter(self) -> bool:
        """Moves this process in; returns whether it may."""
        return _enter(self._directory)

    def kill_all_but_self(self) -> None:
        """Kills everything in the group at once, forks in progress too, but this process."""
        if not _enter(self._agent_directory):
            return
        with suppress(OSError):
            (self._directory / "cgroup.kill").write_text("1", encoding="ascii")
        _enter(self._directory)


class WorkerCgroup:
    """The group of one worker: one for its agent, and one for each slot.

    It stays behind when its maker is killed; whoever knows its directory can kill and remove it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._agent_directory = directory / "agent"

    @classmethod
    def create(cls, worker_id: str) -> "WorkerCgroup | None":
        """Makes the group below that of this process; None where that is not permitted."""
        own = _own_directory("")
        if own is None:
            return None
        _remove_abandoned(own)
        # Another worker of the same id may be there, another cluster's or one that was killed.
        directory = own / f"hodei-{worker_id}-{os.getpid()}-{os.urandom(4).hex()}"
        try:
            (directory / "agent").mkdir(parents=True)
        except OSError:
            return None
        group = cls(directory)
        if not (directory / "cgroup.kill").exists() or not os.access(
            directory / "cgroup.procs", os.W_OK
        ):
            group.remove()
            return None
        return group

    def enter_agent(self) -> bool:
        """Moves this process into the agent's part; returns whether it may."""
        return _enter(self._agent_directory)

    def slot(self, index: int) -> SlotCgroup | None:
        """Makes a slot's part."""
        directory = self.directory / f"slot-{index}"
        try:
            directory.mkdir(exist_ok=True)
        except OSError:
            return None
        return SlotCgroup(directory, self._agent_directory)

    def kill(self) -> None:
        """Kills everything in the group at once."""
        with suppress(OSError):
            (self.directory / "cgroup.kill").write_text("1", encoding="ascii")

    def remove(self) -> None:
        """Removes the group once it is empty; what is not, stays."""
        with suppress(OSError):
            for part in self.directory.iterdir():
                if part.is_dir():
                    part.rmdir()
            self.directory.rmdir()


def _remove_abandoned(parent: Path) -> None:
    """Removes the groups of keepers that were killed. One that is not empty cannot be removed."""
    for directory in parent.glob("hodei-*-*-*"):
        keeper_pid = directory.name.split("-")[-2]
        if not Path("/proc", keeper_pid).exists():
            WorkerCgroup(directory).remove()


def _enter(directory: Path) -> bool:
    try:
        (directory / "cgroup.procs").write_text("0", encoding="ascii")
    except OSError:
        return False
    return True


class OomCounter:
    """How often the kernel has killed for lack of memory in the memory group of this process.

    Reads 0 for ever where nothing tells.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def of_own_cgroup(cls) -> "OomCounter":
        """Opens the counter. The group is the one at this time."""
        for controller, file in (("", "memory.events"), ("memory", "memory.oom_control")):
            directory = _own_directory(controller)
            # A group without a memory controller is charged to the next above that has one.
            while directory is not None and (directory / "cgroup.procs").exists():
                with suppress(OSError):
                    return cls(os.open(directory / file, os.O_RDONLY | os.O_CLOEXEC))
                directory = directory.parent
        return cls(_MISSING)

    def read(self) -> int:
        """The count now."""
        if self._fd == _MISSING:
            return 0
        for line in os.pread(self._fd, 4096, 0).splitlines():
            name, _, value = line.partition(b" ")
            if name == b"oom_kill":
                return int(value)
        return 0
