"""The directory of one worker: the truth about it, also after a crash of the server.

instance.json    who it is; written by the provider first of all
alive.lock       locked by the provider, and held on by keeper, agent and slots
processes.json   who runs it; written by the keeper once the agent runs
exit.json        how the agent ended; written by the keeper last, when nothing is left
agent.log        what keeper, agent and slots print
work/            the agent's
"""

import fcntl
import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hodei.kernel.ids import ClusterId, WorkerId
from hodei.lifecycle.processes import ProcessIdentity

_REMOVED = ".removed-"
"""Begins the name of what is no worker any more; no worker's id begins with a dot."""

_KEPT_LOG_BYTES = 1024 * 1024
"""More of an earlier start's log is thrown away when the same worker is started again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """Who runs a worker."""

    keeper: ProcessIdentity
    """Ends only when everything else of the worker has."""
    agent: ProcessIdentity
    cgroup: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How an agent ended."""

    exit_code: int | None
    signal: int | None

    def __str__(self) -> str:
        if self.signal is not None:
            return f"its agent was ended by signal {self.signal}"
        return f"its agent exited with code {self.exit_code}"


class Instance:
    """The directory of one worker. It need not be there."""

    def __init__(self, workers: Path, worker_id: WorkerId) -> None:
        self.worker_id = worker_id
        self.path = workers / worker_id
        self.lock_path = self.path / "alive.lock"
        self.log_path = self.path / "agent.log"

    def exists(self) -> bool:
        """Whether there is anything of it."""
        return self.path.is_dir()

    def create(self, cluster_id: ClusterId) -> None:
        """Makes the directory; one that is there is kept."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = {"worker_id": self.worker_id, "cluster_id": cluster_id}
        partial = self.path / f"instance.json.{os.getpid()}"
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(facts), encoding="utf-8")
        partial.replace(self.path / "instance.json")

    def cluster_id(self) -> str | None:
        """Whose it is; None where its making was cut short."""
        facts = _read_json(self.path / "instance.json")
        return None if facts is None else str(facts["cluster_id"])

    def try_lock(self) -> int | None:
        """Takes the lock; returns its descriptor, or None while processes of the worker live.

        Raises:
            FileNotFoundError: The directory is not there, or was removed meanwhile.
        """
        fd = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _check_still_there(fd, self.lock_path)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        return fd

    def is_locked(self) -> bool:
        """Whether processes of the worker live, or are being started."""
        try:
            fd = os.open(self.lock_path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def open_log(self) -> int:
        """Opens the log for the processes of the worker to append to."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(self.log_path, flags, 0o600)
        if os.fstat(fd).st_size > _KEPT_LOG_BYTES:
            os.ftruncate(fd, 0)
        return fd

    def last_words(self) -> str:
        """The last line of its log."""
        try:
            lines = self.log_path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            lines = []
        return next((line for line in reversed(lines) if line), "it said nothing")

    def processes(self) -> Processes | None:
        """Who runs it, or ran it; None before that is known."""
        record = _read_json(self.path / "processes.json")
        return None if record is None else _processes(record)

    def exit(self) -> Exit | None:
        """How it ended, with nothing of it left; None when it has not, or was killed as a whole."""
        record = _read_json(self.path / "exit.json")
        if record is None:
            return None
        return Exit(exit_code=record["exit_code"], signal=record["signal"])

    def forget_earlier_start(self) -> None:
        """Removes what an earlier start of the same worker told."""
        for name in ("processes.json", "exit.json"):
            (self.path / name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Removes the directory: at once as a worker's, then piece by piece."""
        removed = self.path.with_name(f"{_REMOVED}{self.worker_id}-{os.urandom(4).hex()}")
        self.path.rename(removed)
        _remove_tree(removed)


def _check_still_there(fd: int, path: Path) -> None:
    if not os.path.samestat(os.fstat(fd), path.stat()):
        raise FileNotFoundError(f"{path} was removed and made anew")


def remove_rests(workers: Path) -> None:
    """Finishes removals that a crash cut short."""
    for path in workers.glob(f"{_REMOVED}*"):
        _remove_tree(path)


def _remove_tree(path: Path) -> None:
    may_change = False
    while path.exists():
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            # A server that starts finishes what its last life began while the end of the same worker
            # goes on: both remove it.
            continue
        except PermissionError:
            if may_change:
                raise
            # A job may have taken its own directories the right to be changed.
            may_change = True
            for directory, _, _ in os.walk(path):
                with suppress(FileNotFoundError):
                    Path(directory).chmod(0o700)


def parse_processes(told: bytes) -> Processes:
    """Reads what a keeper wrote into the ready pipe.

    Raises:
        ValueError: It says that the start failed, and why.
    """
    record = json.loads(told)
    if "error" in record:
        raise ValueError(record["error"])
    return _processes(record)


def _processes(record: dict[str, Any]) -> Processes:
    boot = record["boot_id"]
    return Processes(
        keeper=ProcessIdentity(boot_id=boot, **record["keeper"]),
        agent=ProcessIdentity(boot_id=boot, **record["agent"]),
        cgroup=None if record["cgroup"] is None else Path(record["cgroup"]),
    )


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
