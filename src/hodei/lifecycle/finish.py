"""What must complete although its caller is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def finish_despite_cancel(work: Coroutine[Any, Any, T], *, within_s: float | None) -> T:
    """Runs `work` to its end even when the caller is cancelled meanwhile.

    The cancellation is delivered once the work is done. Work that takes longer than `within_s`
    seconds is cancelled; with None it must keep a deadline of its own.

    Raises:
        TimeoutError: The work took too long.
    """
    task = asyncio.create_task(_bounded(work, within_s))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except BaseException:  # noqa: BLE001, S110 - the result is fetched, and raised, below
            pass
    if cancelled is not None:
        # Fetched so that a failure of the work is not reported as never retrieved.
        task.exception()
        raise cancelled
    return task.result()


async def _bounded(work: Coroutine[Any, Any, T], within_s: float | None) -> T:
    async with asyncio.timeout(within_s):
        return await work
