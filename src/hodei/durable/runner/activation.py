"""Where workflow code gets its processor time: off the server's event loop, and watched.

Code that takes too long between two awaits would stop everything else of the server. It has a thread
of its own, and is interrupted there; a thread that cannot be interrupted is left behind.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import structlog

from hodei.durable.loop import guards
from hodei.durable.loop.instance import TaskFailedError
from hodei.lifecycle.finish import finish_despite_cancel

T = TypeVar("T")

log = structlog.get_logger()

LIMIT_S: Final = 2.0
"""Of workflow code between two awaits. It waits for nothing there, so a few milliseconds are usual."""

_LAST_CHANCE_S: Final = 0.5
"""For the interrupted code to end. C code that does not return never will."""


class DeadlockError(BaseException):
    """Raised inside workflow code that took too long. Not an `Exception`: it is not to be handled."""


class StuckError(TaskFailedError):
    """Workflow code could not be interrupted: its thread still runs it. Leave its instance alone."""


class Activator(Protocol):
    """Runs workflow code."""

    async def run(self, work: Callable[[], T]) -> T:
        """Runs `work` and returns what it returns; one at a time, in the order of the calls.

        A cancellation of the caller is delivered once the work is over.

        Raises:
            TaskFailedError: It took too long. What it worked on is of no use any more.
            Exception: What `work` raised.
        """
        ...

    async def stop(self) -> None:
        """Ends the thread, if there is one. Idempotent."""
        ...


class InlineActivator:
    """Runs workflow code where it is asked to: for simulations, in which nothing takes time."""

    async def run(self, work: Callable[[], T]) -> T:
        """See `Activator.run`."""
        return work()

    async def stop(self) -> None:
        """Nothing to end."""


class ThreadActivator:
    """Runs workflow code in one thread, and interrupts what takes longer than `limit_s`.

    What waits while the thread is busy goes there together the next time: of a hundred runs that have
    something to do, each would else pay for the way there and back.

    Puts the guards of `hodei.durable.loop.guards` in place for the process, for good.
    """

    def __init__(self, *, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._thread: _Thread | None = None
        self._turn = asyncio.Lock()
        self._waiting: list[_Request] = []
        guards.install()

    async def run(self, work: Callable[[], T]) -> T:
        """See `Activator.run`."""
        return await finish_despite_cancel(self._run(work), within_s=None)

    async def stop(self) -> None:
        """See `Activator.stop`."""
        if self._thread is not None:
            self._thread.stop()
            self._thread = None

    async def _run(self, work: Callable[[], T]) -> T:
        request = _Request(work)
        self._waiting.append(request)
        async with self._turn:
            # Else one that waited longer has taken it along.
            if request.outcome is None:
                waiting, self._waiting = self._waiting, []
                while waiting:
                    await self._run_together(waiting)
                    waiting = [each for each in waiting if each.outcome is None]
        return request.result()

    async def _run_together(self, requests: list["_Request"]) -> None:
        """Runs the requests in their order, up to one that the thread cannot be freed from."""
        thread = self._thread
        if thread is None:
            thread = self._thread = _Thread()
        batch = _Batch(requests)
        done = thread.start(batch.run)
        wait_s = self._limit_s
        while not await _is_done(done, wait_s):
            late = batch.under_way()
            taken_s = 0.0 if late is None else time.monotonic() - late.began
            wait_s = self._limit_s - taken_s
            if late is None or wait_s > 0:
                continue
            log.error("workflow_code_too_slow", limit_s=self._limit_s)
            thread.interrupt()
            if not await _is_done(done, _LAST_CHANCE_S) and late.outcome is None:
                batch.is_abandoned = True
                self._thread = None
                thread.stop()
                late.outcome = _Outcome(None, StuckError(self._too_slow()))
                return
            late.outcome = _Outcome(None, TaskFailedError(self._too_slow()))
            wait_s = self._limit_s
        if (hit := batch.under_way()) is not None:
            # The interruption met it at its very end.
            hit.outcome = _Outcome(None, TaskFailedError(self._too_slow()))

    def _too_slow(self) -> str:
        return (
            f"the code took longer than {self._limit_s:g} s between two awaits; put what takes long "
            "into a step: await ctx.run(...)"
        )


class _Outcome(NamedTuple):
    value: Any
    error: BaseException | None


class _Request:
    """Something to be run, and what came of it. The thread writes it, the event loop reads it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self.began = 0.0
        """By the steady clock; 0 before that."""
        self.outcome: _Outcome | None = None

    def perform(self) -> None:
        """Runs it, in the thread."""
        self.began = time.monotonic()
        try:
            outcome = _Outcome(self._work(), None)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
            outcome = _Outcome(None, error)
        if self.outcome is None:
            self.outcome = outcome

    def result(self) -> Any:
        """What the work returned; raises what it raised."""
        assert self.outcome is not None
        value, error = self.outcome
        if isinstance(error, StopIteration | DeadlockError):
            raise TaskFailedError(f"the code ended with {type(error).__name__}")
        if error is not None:
            raise error
        return value


class _Batch:
    """Requests that go to the thread together."""

    def __init__(self, requests: list[_Request]) -> None:
        self._requests = requests
        self.is_abandoned = False
        """The thread is stuck in one: should it come free, the others are no longer its own."""

    def run(self) -> None:
        """Runs them, in the thread."""
        for each in self._requests:
            if self.is_abandoned:
                return
            if each.outcome is None:
                each.perform()

    def under_way(self) -> _Request | None:
        """The one that has begun and not ended."""
        begun = (each for each in self._requests if each.began and each.outcome is None)
        return next(begun, None)


async def _is_done(future: asyncio.Future[Any], within_s: float) -> bool:
    done, _ = await asyncio.wait([future], timeout=within_s)
    return bool(done)


class _Thread:
    """A thread that does one thing after the other."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._is_busy = False
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="hodei-workflows", daemon=True)
        self._thread.start()

    def start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Has `work` done; the future is of the caller's loop."""
        future: asyncio.Future[T] = self._loop.create_future()

        def run() -> None:
            try:
                with self._guard:
                    self._is_busy = True
                try:
                    result = work()
                finally:
                    with self._guard:
                        self._is_busy = False
            except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                self._tell(future, None, error)
            else:
                self._tell(future, result, None)

        self._work.put(run)
        return future

    def interrupt(self) -> None:
        """Raises `DeadlockError` in what is done just now, at its next byte code."""
        # Half a MiB, which a server whose workflows behave never needs.
        import ctypes  # noqa: PLC0415

        with self._guard:
            if self._is_busy and self._thread.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread.ident), ctypes.py_object(DeadlockError)
                )

    def stop(self) -> None:
        """Ends the thread once it is done with what it does."""
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def _tell(
        self, future: asyncio.Future[Any], result: object, error: BaseException | None
    ) -> None:
        if isinstance(error, StopIteration | DeadlockError):
            error = TaskFailedError(f"the code ended with {type(error).__name__}")

        def tell() -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

        # The loop may be closed: one that was left behind may outlive it, and nobody waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(tell)
