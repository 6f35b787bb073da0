"""Starting a program: finding it as a shell would, and saying why where it cannot be started."""

import errno
import os
import signal
import stat
from collections.abc import Sequence
from typing import Final

from hodei.agent.job_process import SpawnError
from hodei.domain.jobs.reasons import ReasonCode

_DEFAULT_PATH: Final = b"/bin:/usr/bin"
"""Where a job without PATH looks for programs: what the system's execvp uses."""

_RESETTABLE: Final = frozenset(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}
"""Signals whose handling a program expects to find at its default; Python ignores some."""


def _text(name: bytes) -> str:
    return repr(name.decode("utf-8", "backslashreplace"))


def enter(cwd: bytes) -> None:
    """Changes into the working directory of a job.

    Raises:
        SpawnError: It is not there, or not to be entered.
    """
    try:
        os.chdir(cwd)
    except PermissionError as error:
        raise SpawnError(
            ReasonCode.PERMISSION_DENIED,
            f"the working directory {_text(cwd)} may not be entered by the worker's user",
        ) from error
    except NotADirectoryError as error:
        raise SpawnError(
            ReasonCode.FILE_NOT_FOUND, f"the working directory {_text(cwd)} is not a directory"
        ) from error
    except OSError as error:
        raise SpawnError(
            ReasonCode.FILE_NOT_FOUND,
            f"the working directory {_text(cwd)} cannot be entered: {error.strerror}",
        ) from error


def find_program(name: bytes, path: bytes | None) -> bytes:
    """The file that a command means, looked up on `path` unless it names one itself.

    Raises:
        SpawnError: There is none, or none that may be executed.
    """
    if b"/" in name:
        return name
    not_executable: bytes | None = None
    for directory in (_DEFAULT_PATH if path is None else path).split(b":") if name else ():
        file = directory + b"/" + name if directory else b"./" + name
        try:
            is_file = stat.S_ISREG(os.stat(file).st_mode)  # noqa: PTH116 - paths are bytes here
        except OSError:
            continue
        if is_file and os.access(file, os.X_OK):
            return file
        if is_file and not_executable is None:
            not_executable = file
    if not_executable is not None:
        raise SpawnError(ReasonCode.PERMISSION_DENIED, f"{_text(not_executable)} is not executable")
    raise SpawnError(
        ReasonCode.COMMAND_NOT_FOUND, f"the command {_text(name)} is not on the job's PATH"
    )


def spawn(argv: list[bytes], env: dict[bytes, bytes], fds: Sequence[int]) -> int:
    """Starts a program in a session of its own in the current directory; returns its pid.

    It gets the three descriptors and no other that is not inheritable, default signal handling
    and an empty signal mask.

    Raises:
        SpawnError: It does not run; says why.
    """
    file = find_program(argv[0], env.get(b"PATH"))
    try:
        return os.posix_spawn(
            file,
            argv,
            env,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(fds)],
            setsid=True,
            setsigdef=_RESETTABLE,
            setsigmask=(),
        )
    except OSError as error:
        raise _spawn_error(file, error) from error


def _spawn_error(file: bytes, error: OSError) -> SpawnError:
    name = _text(file)
    number = error.errno
    if number in {errno.ENOENT, errno.ENOTDIR}:
        if os.path.exists(file):  # noqa: PTH110 - as above
            return SpawnError(
                ReasonCode.COMMAND_NOT_FOUND,
                f"{name} is there, but not the interpreter that it asks for (its #! line, or the"
                " loader of its C library)",
            )
        return SpawnError(ReasonCode.COMMAND_NOT_FOUND, f"there is no file {name}")
    if number in {errno.EACCES, errno.EPERM}:
        what = "is a directory" if os.path.isdir(file) else "is not executable"  # noqa: PTH112
        return SpawnError(
            ReasonCode.PERMISSION_DENIED,
            f"{name} {what}, or its interpreter or file system does not allow it to run",
        )
    if number == errno.ENOEXEC:
        return SpawnError(
            ReasonCode.PROCESS_SPAWN_FAILED,
            f"{name} is neither a program for this machine nor a script: put a line such as"
            " #!/bin/sh first, or run it by its interpreter",
        )
    if number == errno.E2BIG:
        return SpawnError(
            ReasonCode.PROCESS_SPAWN_FAILED,
            "arguments and environment are larger than the worker's system takes (128 KiB for"
            " one, usually 2 MiB for all): pass large values by a file or on stdin",
        )
    return SpawnError(
        ReasonCode.PROCESS_SPAWN_FAILED, f"{name} could not be started: {error.strerror}"
    )
