"""Things at once, until the first of them is over; one of them may be the time."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def is_over_within(seconds: float, work: Coroutine[Any, Any, object]) -> bool:
    """Waits for `work` at most so long, then cancels it; returns whether it came to its end."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        return False
    return True


async def until_first(*work: Coroutine[Any, Any, None]) -> None:
    """Runs all of `work` until one ends, then cancels the others and waits for them.

    Not a nested TaskGroup with `except*`: on Python 3.11 and 3.12 one that swallows its errors
    loses an outer cancellation (cpython #116720).

    Raises:
        Exception: What the first that failed raised.
    """
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
