"""Workflow code has its thread, and what is too slow there costs the others nothing but the wait."""

import asyncio
import threading
from collections.abc import Callable

from hodei.durable.loop.instance import TaskFailedError
from hodei.durable.runner.activation import StuckError, ThreadActivator

LIMIT_S = 0.1


async def outcomes(activator: ThreadActivator, *works: Callable[[], object]) -> list[object]:
    """What came of each, an error being one; all are asked for before the first is run."""

    async def one(work: Callable[[], object]) -> object:
        try:
            return await activator.run(work)
        except (TaskFailedError, KeyError) as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(each)) for each in works]
    return [task.result() for task in tasks]


def spin() -> None:
    while True:
        pass


def fail() -> None:
    raise KeyError("mine")


async def test_each_gets_its_own_result_in_the_order_in_which_they_asked():
    activator = ThreadActivator()
    ran: list[int] = []

    found = await outcomes(
        activator, *(lambda number=number: ran.append(number) or number * 2 for number in range(50))
    )

    assert found == [number * 2 for number in range(50)]
    assert ran == list(range(50))
    await activator.stop()


async def test_one_that_raises_fails_alone():
    activator = ThreadActivator()

    before, failed, after = await outcomes(activator, lambda: 1, fail, lambda: 2)

    assert (before, after) == (1, 2)
    assert isinstance(failed, KeyError)
    await activator.stop()


async def test_one_that_is_too_slow_is_interrupted_and_the_others_run():
    activator = ThreadActivator(limit_s=LIMIT_S)

    _, before, slow, after = await outcomes(activator, lambda: 0, lambda: 1, spin, lambda: 2)

    assert (before, after) == (1, 2)
    assert isinstance(slow, TaskFailedError)
    assert "between two awaits" in str(slow)
    await activator.stop()


async def test_one_that_cannot_be_interrupted_is_left_behind_and_the_others_run_elsewhere():
    activator = ThreadActivator(limit_s=LIMIT_S)
    gate = threading.Event()
    ran: list[str] = []

    _, stuck, after = await outcomes(
        activator, lambda: 0, gate.wait, lambda: ran.append("after") or "fine"
    )

    assert isinstance(stuck, StuckError)
    assert after == "fine"
    gate.set()
    # Free again, the thread that was left behind does nothing a second time.
    assert await activator.run(lambda: "again") == "again"
    assert ran == ["after"]
    await activator.stop()


def test_one_that_was_left_behind_may_outlive_the_event_loop():
    gate = threading.Event()

    async def leave_it_behind() -> None:
        activator = ThreadActivator(limit_s=LIMIT_S)
        [stuck] = await outcomes(activator, gate.wait)
        assert isinstance(stuck, StuckError)
        await activator.stop()

    asyncio.run(leave_it_behind())
    gate.set()
    for thread in threading.enumerate():
        if thread.name == "hodei-workflows":
            # What it raises, pytest tells of.
            thread.join(10)
