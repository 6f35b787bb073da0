"""Where a job's files are while it runs, and what it is given to run."""

import itertools
import os
import shlex
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Final

from hodei.agent.reactor.events import JobKey, RunJob
from hodei.domain.jobs.spec import Script

STRICT: Final = {
    "bash": "set -euo pipefail",
    "sh": "set -eu",
    "dash": "set -eu",
    "ash": "set -eu",
}
"""What is put in front of a script, by the name of its interpreter."""


class Workspaces:
    """Private directories of jobs, one for each attempt, under the agent's own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._prefix = os.fsencode(directory) + b"/"
        self._spare: list[bytes] = []
        self._numbers = itertools.count()
        _remove_tree(os.fsencode(directory))
        directory.mkdir(mode=0o700, parents=True)

    def make(self, key: JobKey) -> bytes:
        """An empty directory for an attempt. Quick: one system call."""
        path = self._path(key)
        if self._spare:
            os.rename(self._spare.pop(), path)  # noqa: PTH104 - bytes, as jobs get them
        else:
            os.mkdir(path, 0o700)  # noqa: PTH102 - as above
        return path

    def script_path(self, key: JobKey) -> Path:
        """Where an attempt's script is: beside its workspace, so that that begins empty."""
        return self._directory / f"{key.job_id}.{key.attempt}.script"

    def take_back(self, key: JobKey) -> bool:
        """Keeps an attempt's workspace for another, if it is as it was made. Quick.

        Most jobs leave theirs empty, and removing a directory waits for the disk: a third of a
        millisecond on ext4, sixty times as long as giving it another name.
        """
        path = self._path(key)
        try:
            if os.listdir(path) or os.listxattr(path):  # noqa: PTH208 - as above
                return False
            os.chmod(path, 0o700)  # noqa: PTH101 - as above
            spare = b"%sspare-%d" % (self._prefix, next(self._numbers))
            os.rename(path, spare)  # noqa: PTH104 - as above
        except OSError:
            return False
        self._spare.append(spare)
        return True

    def remove(self, key: JobKey) -> None:
        """Removes an attempt's workspace with all that is in it; may take long.

        Raises:
            OSError: Something of it cannot be removed.
        """
        _remove_tree(self._path(key))

    def _path(self, key: JobKey) -> bytes:
        return b"%s%s.%d" % (self._prefix, key.job_id.encode(), key.attempt)


def _remove_tree(path: bytes) -> None:
    with suppress(FileNotFoundError):
        try:
            shutil.rmtree(path)
        except PermissionError:
            # Some tools make directories that even their owner cannot empty.
            for parent, _, _ in os.walk(path):
                os.chmod(parent, 0o700)  # noqa: PTH101 - bytes
            shutil.rmtree(path)


def write_script(path: Path, script: Script) -> tuple[bytes, ...]:
    """Writes a script for its interpreter; returns the argv that runs it."""
    argv = _interpreter_argv(script)
    content = strict_text(script.content, _program(argv))
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700)
    with os.fdopen(fd, "wb") as file:
        file.write(content.encode())
    return (*(part.encode() for part in argv), os.fsencode(path))


def strict_text(content: str, program: str) -> str:
    """The script as it is run: strict, where its interpreter knows how.

    The command goes in front of the first line, not above it, so that line numbers in messages
    are the author's; a `#!` line stays the first.
    """
    strict = STRICT.get(program)
    if strict is None:
        return content
    if not content.startswith("#!"):
        return f"{strict}; {content}"
    shebang, newline, rest = content.partition("\n")
    return f"{shebang}{newline or chr(10)}{strict}; {rest}"


def _interpreter_argv(script: Script) -> list[str]:
    return shlex.split(script.interpreter) or ["bash"]


def _program(argv: list[str]) -> str:
    name = PurePath(argv[0]).name
    if name == "env":
        name = next((PurePath(each).name for each in argv[1:] if not each.startswith("-")), name)
    return name


def job_environment(base: Mapping[bytes, bytes], run: RunJob, worker_id: str) -> dict[bytes, bytes]:
    """A job's whole environment."""
    environment = dict(base)
    for name, value in run.environment.items():
        environment[name.encode()] = value.encode()
    environment[b"HODEI_JOB_ID"] = run.key.job_id.encode()
    environment[b"HODEI_ATTEMPT"] = b"%d" % run.key.attempt
    environment[b"HODEI_WORKER_ID"] = worker_id.encode()
    return environment
