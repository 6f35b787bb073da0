"""Certificates are looked after, whatever the disk says."""

import asyncio
from datetime import datetime

from hodei.lifecycle.service import TaskSet
from hodei.server.upkeep import Upkeep
from support.chance import NOON, JumpingClock
from support.plane import PaperAuthority
from support.settling import settle


class Authority(PaperAuthority):
    """Renews when told to, or has no room to."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self.asked: list[datetime] = []
        self.was_asked = asyncio.Event()
        self._error = error

    def renew_if_due(self, now: datetime) -> bool:
        self.asked.append(now)
        self._loop.call_soon_threadsafe(self.was_asked.set)
        if self._error is not None:
            raise self._error
        return True


async def look_once(authority: Authority) -> bool:
    """Runs the upkeep until it has looked; returns whether it still runs."""
    tasks = TaskSet()
    task = tasks.start(Upkeep(authority=authority, clock=JumpingClock()).run(), name="upkeep")
    async with asyncio.timeout(5):
        await authority.was_asked.wait()
    await settle()
    runs = not task.done()
    await tasks.close()
    return runs


async def test_certificates_are_renewed() -> None:
    authority = Authority()
    assert await look_once(authority)
    assert authority.asked == [NOON]


async def test_a_full_disk_does_not_stop_the_server() -> None:
    authority = Authority(OSError(28, "No space left on device"))
    assert await look_once(authority)
    assert authority.asked == [NOON]
