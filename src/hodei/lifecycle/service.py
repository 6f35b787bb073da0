"""Services: parts that run until they are stopped, and the supervisor that runs them.

A service's `start` returns when it serves, or raises. `stop` waits until it is over; it may be
called before `start` and more than once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

import structlog

log = structlog.get_logger()


class Service(Protocol):
    """Something with a beginning and an end."""

    async def start(self) -> None:
        """Returns when it serves; raises when it cannot."""
        ...

    async def stop(self) -> None:
        """Returns when it is over. Idempotent."""
        ...


class BackgroundLoop:
    """A service that runs one coroutine function until it is stopped.

    A failure of the coroutine, or its end before it is stopped, is a defect: it is logged and
    handed to `on_failure`, which ends the process in production.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], Coroutine[Any, Any, None]],
        *,
        on_failure: Callable[[str, BaseException], None],
    ) -> None:
        self._name = name
        self._run = run
        self._on_failure = on_failure
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts the coroutine."""
        if self._task is None:
            self._task = asyncio.create_task(self._guarded(), name=self._name)

    async def stop(self) -> None:
        """Cancels the coroutine and waits for it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _guarded(self) -> None:
        try:
            await self._run()
            raise RuntimeError(f"{self._name} ended by itself")  # noqa: TRY301 - handled like any
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("service_failed", service=self._name)
            self._on_failure(self._name, error)


class TaskSet:
    """Tasks whose owner outlives them: started one by one, all ended with `close`.

    For work that a request begins and does not wait for. Failures are logged here, once.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Starts `work`; the set keeps it until it ends."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def __len__(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        """Cancels what still runs and waits for it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def drain(self) -> None:
        """Waits for what runs now, without cancelling it."""
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task_failed", task=task.get_name(), exc_info=error)


async def stop_all(services: list[Service], each: Callable[[Service], Awaitable[None]]) -> None:
    """Stops services in the reverse order of their start, each whatever happens to the others."""
    for service in reversed(services):
        try:
            await each(service)
        except Exception:
            log.exception("stop_failed", service=type(service).__name__)
