"""Steps and activities that hold up their server, on a real event loop."""

import os
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from hodei.adapters.memory import MemoryDurableStore
from hodei.application.counters import Counters
from hodei.durable.definitions import Activity, workflow
from hodei.durable.failures import ActivityFailedError, StepFailedError
from hodei.durable.loop import guards
from hodei.durable.loop.context import Context
from hodei.durable.payloads import decode
from hodei.durable.runner.client import StartRequest
from hodei.durable.runner.worker import Attempt
from hodei.lifecycle.system_clock import SystemClock, SystemIdSource
from hodei.server.workflows import Registry, plan_workflows, run_workflows

SPIN = Activity(name="spin", returns=str)


async def block() -> None:
    time.sleep(600)  # noqa: ASYNC251 - that is what is tried


async def spin(_: Attempt) -> str:
    while True:
        pass


@workflow(name="blocks")
async def blocks(ctx: Context) -> list[str]:
    said: list[str] = []
    try:
        await ctx.run(block, name="block")
    except StepFailedError as error:
        said.append(str(error))
    try:
        await ctx.activity(SPIN)
    except ActivityFailedError as error:
        said.append(str(error))
    return said


@pytest.fixture
def _no_guards_left() -> Iterator[None]:
    yield
    guards.uninstall()


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("_no_guards_left")
async def test_a_step_and_an_activity_that_block_the_loop_are_cut_and_their_run_hears_of_it():
    async with AsyncExitStack() as stack:
        clock, ids = SystemClock(), SystemIdSource()
        plane = plan_workflows(
            Registry(workflows=[blocks], activities={"spin": spin}),
            MemoryDurableStore(clock),
            clock=clock,
            ids=ids,
            counters=Counters(),
        )
        await run_workflows(plane, stack, lambda name, error: os._exit(70))
        started = await plane.client.start(StartRequest(type="blocks", workflow_id="w"))
        result = await plane.client.result(started.run_id)

    step, activity = decode(result, list[str], what="result")
    what = "BlockedTheLoop: it held up the event loop for longer than 2 s at "
    assert step.startswith(f"step block: {what}")
    assert "test_workflows_block.py" in step
    assert activity.startswith(f"activity spin: {what}")
