"""Parts that run until they are stopped, and sets of tasks that end together."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger()


class BackgroundLoop:
    """Runs one coroutine function until it is stopped.

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
