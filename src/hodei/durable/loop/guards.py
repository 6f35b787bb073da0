"""Keeps workflow code from looking at the real world while it runs.

What is called directly is found when a workflow is declared (`hodei.durable.lint`); this catches the
rest, wherever in the call tree. The functions are replaced for the whole process, and look first
whether it is workflow code that calls: everybody else gets the real ones.
"""

import os
import random
import sys
import time
import uuid
from asyncio.events import _get_running_loop
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from hodei.durable.failures import WorkflowMisuseError
from hodei.durable.loop.event_loop import WorkflowLoop

_STEP: Final = "put it into a step: await ctx.run(...)"

_FORBIDDEN: Final[tuple[tuple[ModuleType, tuple[str, ...], str], ...]] = (
    (time, ("time", "time_ns", "sleep"), "use ctx.now() and ctx.sleep()"),
    (
        random,
        (
            "random",
            "randint",
            "randrange",
            "choice",
            "choices",
            "shuffle",
            "sample",
            "uniform",
            "getrandbits",
            "gauss",
        ),
        "use ctx.random()",
    ),
    (uuid, ("uuid1", "uuid4"), "use ctx.uuid()"),
    (os, ("urandom",), _STEP),
)

_FORBIDDEN_AUDITED: Final = frozenset(
    {"open", "socket.connect", "socket.getaddrinfo", "socket.bind", "subprocess.Popen", "os.system"}
)

_TRUSTED_CALLERS: Final = frozenset(
    {"logging", "structlog", "asyncio", "importlib", "linecache", "traceback", "warnings"}
)
"""Parts of the infrastructure that tell the time or read a file without showing it to the code."""


class ForbiddenCallError(WorkflowMisuseError):
    """Workflow code called something whose answer would differ in a replay.

    The task fails even when the code catches this: it went wrong already.
    """

    code = "FORBIDDEN_CALL"


_real: dict[tuple[ModuleType, str], Callable[..., Any]] = {}
_is_audited = False


def install() -> None:
    """Puts the guards in place for this process. Idempotent."""
    global _is_audited  # noqa: PLW0603 - one process has one interpreter to guard
    if _real:
        return
    for module, names, advice in _FORBIDDEN:
        for name in names:
            real = getattr(module, name)
            _real[module, name] = real
            setattr(module, name, _guarded(real, f"{module.__name__}.{name}", advice))
    if not _is_audited:
        # It can never be taken out again; without the guards it lets everything through.
        sys.addaudithook(_audit)
        _is_audited = True


def uninstall() -> None:
    """Takes the guards out again. Idempotent."""
    while _real:
        (module, name), real = _real.popitem()
        setattr(module, name, real)


def _guarded(real: Callable[..., Any], name: str, advice: str) -> Callable[..., Any]:
    def guarded(*args: Any, **options: Any) -> Any:
        __tracebackhide__ = True  # It is no place that anybody looks for.
        loop = _get_running_loop()
        if isinstance(loop, WorkflowLoop) and not _is_trusted(2):
            raise loop.poisoned_by(ForbiddenCallError(f"workflow code calls {name}; {advice}"))
        return real(*args, **options)

    guarded.__name__ = guarded.__qualname__ = name
    return guarded


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event in _FORBIDDEN_AUDITED and _real:
        loop = _get_running_loop()
        if isinstance(loop, WorkflowLoop) and not _is_trusted(2):
            what = f"{event} ({args[0]!r})" if args else event
            raise loop.poisoned_by(ForbiddenCallError(f"workflow code calls {what}; {_STEP}"))


def _is_trusted(depth: int) -> bool:
    module: str = sys._getframe(depth).f_globals.get("__name__", "")  # noqa: SLF001 - who calls
    return module.partition(".")[0] in _TRUSTED_CALLERS
