"""Letting an event loop run until every task waits for something that only the test can bring."""

import asyncio
from typing import Any

_QUIET_ROUNDS = 3
"""In a row: a future that is done wakes its task in the round after."""


async def settle() -> None:
    """Returns once all other tasks wait for a future that is not done.

    Time that a task sleeps for does not pass here, unless it is 0. anyio's helper of this kind
    sleeps for 0.1 s between looks, which is too long for hundreds of tests.
    """
    quiet = 0
    while quiet < _QUIET_ROUNDS:
        await asyncio.sleep(0)
        me = asyncio.current_task()
        is_busy = any(_runs(task) for task in asyncio.all_tasks() if task is not me)
        quiet = 0 if is_busy else quiet + 1


def _runs(task: asyncio.Task[Any]) -> bool:
    waits_for: asyncio.Future[Any] | None = getattr(task, "_fut_waiter", None)
    return waits_for is None or waits_for.done()
