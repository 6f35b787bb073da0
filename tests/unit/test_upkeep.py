"""Certificates and old logs are looked after, whatever the disk says."""

import asyncio
from datetime import datetime, timedelta

from hodei.lifecycle.service import TaskSet
from hodei.ports.logs import LogStoreUnavailableError
from hodei.server.upkeep import Upkeep
from support.chance import NOON, JumpingClock
from support.flaky import FlakyLogStore
from support.plane import PaperAuthority
from support.settling import settle


class Authority(PaperAuthority):
    """Renews when told to, or has no room to."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.asked: list[datetime] = []
        self._error = error

    def renew_if_due(self, now: datetime) -> bool:
        self.asked.append(now)
        if self._error is not None:
            raise self._error
        return True


class Logs(FlakyLogStore):
    """Says before when output was let go of."""

    def __init__(self, clock: JumpingClock, *, away: object) -> None:
        super().__init__(clock)
        self.limits: list[datetime] = []
        self.looked = asyncio.Event()
        self._away = away

    async def delete_before(self, limit: datetime) -> int:
        self.limits.append(limit)
        self.looked.set()
        if self._away:
            raise LogStoreUnavailableError("the disk does not answer")
        return 1


async def look_once(authority: Authority, logs: Logs, clock: JumpingClock) -> bool:
    """Runs the upkeep until it has looked at the logs; returns whether it still runs."""
    tasks = TaskSet()
    upkeep = Upkeep(authority=authority, logs=logs, clock=clock, log_retention_s=3600)
    task = tasks.start(upkeep.run(), name="upkeep")
    async with asyncio.timeout(5):
        await logs.looked.wait()
    await settle()
    runs = not task.done()
    await tasks.close()
    return runs


async def test_certificates_are_renewed_and_output_past_its_time_is_let_go_of() -> None:
    clock = JumpingClock()
    authority, logs = Authority(), Logs(clock, away=False)
    assert await look_once(authority, logs, clock)
    assert authority.asked == [NOON]
    assert logs.limits == [NOON - timedelta(hours=1)]


async def test_a_full_disk_stops_neither_the_server_nor_the_other_half() -> None:
    clock = JumpingClock()
    full = OSError(28, "No space left on device")
    authority, logs = Authority(full), Logs(clock, away=True)
    assert await look_once(authority, logs, clock)
    assert logs.limits == [NOON - timedelta(hours=1)]
