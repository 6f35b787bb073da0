"""Several things at once, until the first of them is over."""

import asyncio

import pytest

from hodei.lifecycle.race import until_first
from hodei.lifecycle.service import TaskSet
from support.settling import settle


class Runner:
    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.ended = ""

    async def run(self) -> None:
        try:
            await self.gate.wait()
            self.ended = "by itself"
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise


async def test_the_first_end_cancels_the_others_and_waits_for_them() -> None:
    first, second = Runner(), Runner()
    first.gate.set()
    await until_first(first.run(), second.run())
    assert (first.ended, second.ended) == ("by itself", "cancelled")


async def test_a_failure_of_one_is_raised_once_the_others_have_ended() -> None:
    other = Runner()

    async def fail() -> None:
        await settle()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await until_first(other.run(), fail())
    assert other.ended == "cancelled"


async def test_a_cancellation_from_outside_ends_all_and_goes_on() -> None:
    runners = [Runner(), Runner()]
    tasks = TaskSet()
    race = tasks.start(until_first(*(runner.run() for runner in runners)), name="race")
    await settle()
    race.cancel()
    await settle()
    assert race.cancelled()
    assert [runner.ended for runner in runners] == ["cancelled", "cancelled"]
