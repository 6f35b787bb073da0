"""Work that completes although its caller is cancelled."""

import asyncio

import pytest

from hodei.lifecycle.finish import finish_despite_cancel
from hodei.lifecycle.service import TaskSet
from support.settling import settle


class Work:
    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.is_done = False

    async def run(self) -> str:
        await self.gate.wait()
        self.is_done = True
        return "done"

    async def call(self, *, within_s: float | None = 5) -> None:
        await finish_despite_cancel(self.run(), within_s=within_s)


async def test_a_call_that_nobody_cancels_gives_the_result() -> None:
    work = Work()
    work.gate.set()
    assert await finish_despite_cancel(work.run(), within_s=None) == "done"


async def test_a_failure_is_raised() -> None:
    async def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await finish_despite_cancel(fail(), within_s=5)


async def test_a_cancelled_call_ends_only_once_the_work_is_done() -> None:
    work, tasks = Work(), TaskSet()
    call = tasks.start(work.call(), name="call")
    await settle()
    for _ in range(3):
        call.cancel()
        await settle()
        assert not call.done()
    work.gate.set()
    await settle()
    assert work.is_done
    assert call.cancelled()


async def test_a_failure_under_a_cancellation_is_not_reported_as_forgotten() -> None:
    work, tasks = Work(), TaskSet()

    async def fail() -> None:
        await work.gate.wait()
        raise ValueError("no")

    async def call() -> None:
        await finish_despite_cancel(fail(), within_s=5)

    task = tasks.start(call(), name="call")
    await settle()
    task.cancel()
    await settle()
    work.gate.set()
    await settle()
    assert task.cancelled()


async def test_work_that_takes_too_long_is_cancelled() -> None:
    work = Work()
    with pytest.raises(TimeoutError):
        await work.call(within_s=0)
    assert not work.is_done
