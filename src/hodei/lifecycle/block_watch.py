"""Cuts code of others that holds up the event loop.

A step of a workflow runs on the event loop of its server. While it does not await, nothing else does:
no sign of life is sent, no output is stored. Code that calls `time.sleep`, a client that blocks or a
loop that never ends would take the whole server with it.

A thread asks the loop for an answer a few times a second, while there is anything to be watched. When
none comes, it sends the process a signal; its handler runs on top of whatever has the main thread, sees
by a context variable whether that was to be watched, and raises there once it has been the same for
too long. System calls return for a signal, so that waits of the standard library are cut too. What
cannot be cut is C code that neither returns nor looks for signals: that is cut when it returns.
"""

import asyncio
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Final

import structlog

log = structlog.get_logger()

LIMIT_S: Final = 2.0
_LOOKS_PER_LIMIT: Final = 16
_FRAMES: Final = 4

_SIGNAL: Final = signal.SIGURG
"""Ignored where there is no handler, and sent by nobody but the kernel for out-of-band data, which
nothing here uses: a stray one does no harm."""

_is_watched: ContextVar[bool] = ContextVar("is_watched", default=False)


class BlockedError(BaseException):
    """Raised in code that holds up the event loop. Not an `Exception`: it is not to be handled.

    Attributes:
        where: Where it stood, the innermost call first.
    """

    def __init__(self, limit_s: float, where: tuple[str, ...]) -> None:
        super().__init__(f"it held up the event loop for longer than {limit_s:g} s at {where[0]}")
        self.where = where


def blocked(error: BaseException) -> BlockedError | None:
    """The error if it is a `BlockedError`, or the first in a group: it met a task of the group."""
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := blocked(each))), None)
    return error if isinstance(error, BlockedError) else None


class BlockWatch:
    """Watches what runs within `watching`, and the tasks and callbacks that come of it.

    Only where the event loop has the main thread, as signals go there: elsewhere nothing is cut.

    Args:
        limit_s: How long such code may go without an await; it is cut a fifth later at most, unless the
            machine is very busy.
    """

    def __init__(self, *, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._active = 0
        self._is_needed = threading.Event()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._answers = 0
        self._suspect: tuple[asyncio.Task[object] | None, int] | None = None
        self._since = 0.0

    def start(self) -> None:
        """Begins, with the running event loop. Once in its life; a later one takes over from it."""
        if threading.current_thread() is not threading.main_thread():
            log.warning("block_watch_not_started", reason="the event loop has another thread")
            return
        signal.signal(_SIGNAL, self._look)
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._watch, args=[loop], name="hodei-block-watch", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._is_over.set()
            self._is_needed.set()
            thread.join()
            if signal.getsignal(_SIGNAL) == self._look:
                signal.signal(_SIGNAL, signal.SIG_DFL)

    @contextmanager
    def watching(self) -> Generator[None]:
        """What the block runs may be cut.

        Raises:
            BlockedError: It held up the event loop. The block may be at its very end.
        """
        self._active += 1
        if not self._is_needed.is_set():
            self._is_needed.set()
        token = _is_watched.set(True)
        try:
            yield
        finally:
            _is_watched.reset(token)
            self._active -= 1

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        main = threading.main_thread().ident
        assert main is not None
        while self._is_needed.wait() and not self._is_over.is_set():
            before = self._answers
            try:
                loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # The loop is closed.
                return
            self._is_over.wait(self._limit_s / _LOOKS_PER_LIMIT)
            if self._answers == before:
                signal.pthread_kill(main, _SIGNAL)
            if not self._active:
                self._is_needed.clear()
                # It may have become needed in between.
                if self._active or self._is_over.is_set():
                    self._is_needed.set()

    def _answer(self) -> None:
        self._answers += 1

    def _look(self, _signal: int, frame: FrameType | None) -> None:
        """Runs on top of what has the main thread, and in its context."""
        if not _is_watched.get():
            self._suspect = None
            return
        # Many that are quick may hold up the loop together: none of them is to blame.
        suspect = (_current_task(), self._answers)
        now = time.monotonic()
        if suspect != self._suspect:
            self._suspect, self._since = suspect, now
        elif now - self._since >= self._limit_s:
            self._suspect = None
            raise BlockedError(self._limit_s, _where(frame))


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _where(frame: FrameType | None) -> tuple[str, ...]:
    found: list[str] = []
    while frame is not None and len(found) < _FRAMES:
        code = frame.f_code
        if "__tracebackhide__" not in frame.f_locals:
            found.append(f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}")
        frame = frame.f_back
    return tuple(found) or ("an unknown place",)
