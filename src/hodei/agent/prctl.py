"""What Linux lets a process say about itself, and Python does not."""

import ctypes
import os

_SET_PDEATHSIG = 1
_SET_NAME = 15
_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: int | bytes) -> None:
    if (
        _libc.prctl(
            option,
            ctypes.c_char_p(argument) if isinstance(argument, bytes) else ctypes.c_ulong(argument),
            0,
            0,
            0,
        )
        != 0
    ):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def become_subreaper() -> None:
    """Makes orphaned descendants children of this process instead of init's.

    Children do not inherit it.
    """
    _prctl(_SET_CHILD_SUBREAPER, 1)


def signal_on_parent_death(signum: int, *, parent: int) -> bool:
    """Asks for a signal when the parent, the process `parent`, ends.

    Returns whether the parent is still there; if not, there will be no signal.
    """
    _prctl(_SET_PDEATHSIG, signum)
    return os.getppid() == parent


def name_process(name: str) -> None:
    """Sets what `ps` and `top` show; at most 15 bytes."""
    _prctl(_SET_NAME, name.encode("ascii"))
