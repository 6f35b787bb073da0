"""The event loop of workflow code.

It is an asyncio loop, so that TaskGroup, asyncio.timeout, queues and locks work as authors know them.
It differs in three ways. Its time is that of the last notification. A timer is a command, so it
survives the process. And tasks and futures hash by their number instead of their address: TaskGroup
and asyncio.wait keep them in sets, whose order would differ from one replay to the next (that order
shows, for example, in which of several activities is cancelled first).
"""

import asyncio
from asyncio.events import _get_running_loop, _set_running_loop
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Final, TypeVar

from hodei.durable.events import Result, TimerCancelled, TimerStarted
from hodei.durable.failures import WorkflowMisuseError
from hodei.durable.loop.recorder import Mode, Recorder

T = TypeVar("T")

_HASH_SPREAD: Final = 0x9E3779B97F4A7C15
"""The golden ratio in 64 bits: spreads runs apart in the sets that asyncio keeps of all tasks."""

_EVICTION_ROUNDS: Final = 100
"""How often code may refuse to end before it is left where it is."""


class WorkflowTask(asyncio.Task[T]):
    """A task that hashes the same in every replay."""

    def __init__(self, number: int, *args: Any, **options: Any) -> None:
        # First: asyncio puts the task into a set while it is made.
        self._number = number
        super().__init__(*args, **options)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class WorkflowFuture(asyncio.Future[T]):
    """A future that hashes the same in every replay."""

    def __init__(self, number: int, *, loop: asyncio.AbstractEventLoop) -> None:
        self._number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class WorkflowLoop(asyncio.AbstractEventLoop):
    """Runs the coroutines of one run, one notification at a time.

    Args:
        recorder: Gets the timers.
        seed: Of the run.

    Attributes:
        poison: The first error after which nothing that the code does can be trusted.
    """

    def __init__(self, recorder: Recorder, seed: int) -> None:
        self._recorder = recorder
        self._hash_base = (seed * _HASH_SPREAD) & 0x7FFF_FFFF_FFFF
        self._made = 0
        self._now_s = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: dict[asyncio.TimerHandle, int] = {}
        self._tasks: dict[WorkflowTask[Any], None] = {}
        self._conditions: dict[asyncio.Future[None], Callable[[], bool]] = {}
        self._is_running = False
        self.poison: BaseException | None = None

    def poisoned_by(self, error: Exception) -> Exception:
        """Notes an error after which nothing that the code does can be trusted, and returns it."""
        self.poison = self.poison or error
        return error

    def advance_to(self, now_s: float) -> None:
        """Sets the time, in seconds since the start of the run."""
        self._now_s = now_s

    def run_until_idle(self) -> None:
        """Runs everything that is ready, and what becomes ready by it, until all code waits."""
        outer = _get_running_loop()
        _set_running_loop(self)
        self._is_running = True
        try:
            self._run_ready()
            while self._meet_condition():
                self._run_ready()
        finally:
            self._is_running = False
            _set_running_loop(outer)

    def add_condition(self, is_met: Callable[[], bool]) -> asyncio.Future[None]:
        """A future that is done once `is_met` says so; asked whenever all code waits."""
        future: asyncio.Future[None] = self.create_future()
        self._conditions[future] = is_met
        return future

    def wind_up(self) -> None:
        """Ends all coroutines without anything of it being recorded.

        They are ended here, by cancellation, rather than left to the garbage collector: that would
        run their `finally` blocks at any time, in any thread, inside any other loop.
        """
        self._recorder.mode = Mode.EVICTING
        for _ in range(_EVICTION_ROUNDS):
            if not self._tasks:
                break
            for task in list(self._tasks):
                task.cancel()
            self.run_until_idle()
        self._ready.clear()

    # What asyncio's own parts call.

    def time(self) -> float:
        """Seconds since the start of the run, by its history."""
        return self._now_s

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Runs a callback before the code waits again, in the order of the calls."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Runs a callback after a time, however often the process dies meanwhile."""
        return self._start_timer(delay, callback, args, context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Runs a callback at a time of this loop."""
        return self._start_timer(when - self._now_s, callback, args, context)

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return WorkflowFuture(self._next_hash(), loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: object = None,
        context: Context | None = None,
        **_options: Any,
    ) -> asyncio.Task[T]:
        """A task of this loop."""
        number = self._next_hash()
        task: WorkflowTask[T] = WorkflowTask(
            number, coro, loop=self, name=None if name is None else str(name), context=context
        )
        self._tasks[task] = None
        task.add_done_callback(self._forget)
        return task

    def get_debug(self) -> bool:
        """Always False: debug mode looks at real time."""
        return False

    def is_running(self) -> bool:
        """Whether code runs just now."""
        return self._is_running

    def is_closed(self) -> bool:
        """Always False: a loop without resources needs no closing."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Passes over what nobody asked for; failures show where they are awaited."""

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Refused: a thread's timing is in no history."""
        raise WorkflowMisuseError("workflow code uses no threads; put the work into ctx.run")

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """Refused: a thread's timing is in no history."""
        raise WorkflowMisuseError("workflow code uses no threads; put the work into ctx.run")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        command_id = self._timers.pop(handle, None)
        if command_id is not None and self._recorder.mode is Mode.LIVE:
            self._recorder.forget(command_id)
            self._recorder.record(TimerCancelled(command_id=command_id))

    def _start_timer(
        self,
        delay_s: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context | None,
    ) -> asyncio.TimerHandle:
        self._recorder.require_live()
        handle = _Timer(self._next_hash(), self._now_s + delay_s, callback, args, self, context)
        if delay_s <= 0:
            self._ready.append(handle)
            return handle
        command_id = self._recorder.next_id()

        def fire(_result: Result) -> None:
            del self._timers[handle]
            self._ready.append(handle)

        self._timers[handle] = command_id
        self._recorder.record(TimerStarted(command_id=command_id, delay_s=delay_s))
        self._recorder.await_result(command_id, fire)
        return handle

    def _run_ready(self) -> None:
        ready = self._ready
        while ready:
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()  # type: ignore[attr-defined]  # noqa: SLF001 - as each loop does

    def _meet_condition(self) -> bool:
        """Meets the first condition that holds: the others are asked again once its code waits."""
        for future, is_met in list(self._conditions.items()):
            if future.done():
                del self._conditions[future]
            elif is_met():
                del self._conditions[future]
                future.set_result(None)
                return True
        return False

    def _forget(self, task: asyncio.Task[Any]) -> None:
        # Forgotten only here: the loop alone keeps a task alive that nobody else refers to.
        self._tasks.pop(task, None)  # type: ignore[arg-type]
        if not task.cancelled():
            task.exception()

    def _next_hash(self) -> int:
        self._made += 1
        return self._hash_base + self._made


class _Timer(asyncio.TimerHandle):
    """A timer that is itself, not its time: asyncio's are equal when they are due together."""

    def __init__(
        self,
        number: int,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> None:
        self._number = number
        super().__init__(when, callback, args, loop, context)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other
