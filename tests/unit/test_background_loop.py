"""A part that runs by itself: its end is either asked for or a defect."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hodei.lifecycle.service import BackgroundLoop
from support.settling import settle


class Watcher:
    def __init__(self) -> None:
        self.failures: list[str] = []

    def loop(self, run: Coroutine[Any, Any, None]) -> BackgroundLoop:
        return BackgroundLoop(
            "part", lambda: run, on_failure=lambda name, error: self.failures.append(str(error))
        )


async def test_a_failure_is_handed_on() -> None:
    async def fail() -> None:
        raise ValueError("no")

    watcher = Watcher()
    loop = watcher.loop(fail())
    await loop.start()
    await settle()
    assert watcher.failures == ["no"]
    await loop.stop()


async def test_an_end_that_nobody_asked_for_is_a_failure() -> None:
    async def end() -> None:
        pass

    watcher = Watcher()
    await watcher.loop(end()).start()
    await settle()
    assert watcher.failures == ["part ended by itself"]


async def test_a_stop_is_no_failure_and_may_come_twice() -> None:
    watcher = Watcher()
    loop = watcher.loop(_forever())
    await loop.start()
    await settle()
    await loop.stop()
    await loop.stop()
    assert watcher.failures == []


async def _forever() -> None:
    await asyncio.Event().wait()
