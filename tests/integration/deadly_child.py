"""A process with a workflow whose step kills it, and another that is well: see `test_workflows_crash`.

    deadly_child.py STORE     STORE: a PostgreSQL URL or a data directory

Prints why the first is parked, once it is, then what the other came to.
"""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack

from workflow_child import open_store  # As it is run, its own directory is where imports begin.

from hodei.application.counters import Counters
from hodei.durable.definitions import workflow
from hodei.durable.loop.context import Context
from hodei.durable.runner.client import StartRequest
from hodei.lifecycle.system_clock import SystemClock, SystemIdSource
from hodei.ports.durable import RunFilter
from hodei.server.workflows import Registry, plan_workflows, run_workflows


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def live() -> str:
    return "well"


@workflow(name="deadly")
async def deadly(ctx: Context) -> None:
    await ctx.run(die, name="die")


@workflow(name="well")
async def well(ctx: Context) -> str:
    return await ctx.run(live, name="live")


async def main(where: str) -> None:
    async with AsyncExitStack() as stack:
        store = await open_store(where, stack)
        plane = plan_workflows(
            Registry(workflows=[deadly, well]),
            store,
            clock=SystemClock(),
            ids=SystemIdSource(),
            counters=Counters(),
        )
        await run_workflows(plane, stack, lambda name, error: os._exit(70))
        await plane.client.start(StartRequest(type="deadly", workflow_id="d", request_id="once"))
        parked = RunFilter(only_parked=True)
        while not (runs := (await store.list_runs(parked, limit=9)).runs):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        assert runs[0].parked is not None
        print(runs[0].parked.reason, runs[0].parked.message, flush=True)
        started = await plane.client.start(StartRequest(type="well", workflow_id="w"))
        print((await plane.client.result(started.run_id)).data.decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
