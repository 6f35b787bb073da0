"""A process that moves example workflows on a real store, to be killed: see `test_workflows_crash`.

Prints a line for each thing that it does to the world, once that is on the disk, and `done` when all
runs have ended.

    workflow_child.py STORE WORLD RUNS     STORE: a PostgreSQL URL or a data directory
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from hodei.adapters.postgres.runs import PostgresDurableStore
from hodei.adapters.sqlite import SqliteStore
from hodei.application.counters import Counters
from hodei.durable.definitions import Activity, limits, workflow
from hodei.durable.failures import ApplicationError, RunFailedError
from hodei.durable.loop.context import Context
from hodei.durable.runner.client import DurableClient, StartRequest
from hodei.durable.runner.worker import Attempt
from hodei.kernel.errors import WrongStateError
from hodei.lifecycle.service import BackgroundLoop
from hodei.lifecycle.system_clock import SystemClock, SystemIdSource
from hodei.ports.durable import DurableStore, RunFilter
from hodei.ports.durable_rows import ParkReason
from hodei.server.workflows import Registry, plan_workflows, run_workflows

STEPS = 4
WORLD = Path(os.devnull)
HEARTBEAT_S = 1.0


def touch(run: str, what: str) -> str:
    """Does something to the world, durably."""
    with WORLD.open("a") as world:
        world.write(f"{os.getpid()} {run} {what}\n")
        world.flush()
        os.fsync(world.fileno())
    print(run, what, flush=True)
    return what


async def charge(_: Attempt, run: str, what: str) -> str:
    return await asyncio.to_thread(touch, run, what)


CHARGE = Activity(name="charge", returns=str, limits=limits(heartbeat_s=HEARTBEAT_S))


@workflow(name="trip")
async def trip(ctx: Context, name: str, end: str) -> list[str]:
    """Steps, an activity and a timer in a saga, which is undone at its end where that is asked."""
    done: list[str] = []
    async with ctx.saga() as saga:
        for number in range(STEPS):
            do, undo = f"do-{number}", f"undo-{number}"
            done.append(
                await saga.step(
                    lambda do=do: ctx.run(touch, name, do, name=do),
                    compensate=lambda undo=undo: ctx.run(touch, name, undo, name=undo),
                    name=do,
                )
            )
        done.append(
            await saga.step(
                lambda: ctx.activity(CHARGE, name, "charge"),
                compensate=lambda: ctx.activity(CHARGE, name, "refund"),
                name="charge",
            )
        )
        await ctx.sleep(0.05)
        if end == "undone":
            raise ApplicationError("no seat left", type="NoSeat")
    return done


REGISTRY = Registry(workflows=[trip], activities={"charge": charge})


async def open_store(where: str, stack: AsyncExitStack) -> DurableStore:
    if where.startswith("postgres"):
        store = await PostgresDurableStore.open(where, server="child")
        stack.push_async_callback(store.close)
        return store
    database = await SqliteStore.open(Path(where))
    stack.push_async_callback(database.close)
    return database.durable(SystemClock())


async def main(where: str, runs: int) -> None:
    async with AsyncExitStack() as stack:
        store = await open_store(where, stack)
        clock, ids = SystemClock(), SystemIdSource()
        plane = plan_workflows(REGISTRY, store, clock=clock, ids=ids, counters=Counters())
        await run_workflows(plane, stack, lambda name, error: os._exit(70))
        operator = BackgroundLoop(
            "operator",
            lambda: let_go_on(plane.client, store),
            on_failure=lambda name, error: os._exit(71),
        )
        await operator.start()
        stack.push_async_callback(operator.stop)
        async with asyncio.TaskGroup() as group:
            for number in range(runs):
                group.create_task(one(plane.client, number))
    print("done", flush=True)


async def let_go_on(client: DurableClient, store: DurableStore) -> None:
    """As an operator would, who knows that it was not the runs' fault."""
    while True:
        for run in (await store.list_runs(RunFilter(only_parked=True), limit=100)).runs:
            if run.parked is not None and run.parked.reason is ParkReason.CRASHED:
                with suppress(WrongStateError):
                    await client.unpark(run.run_id)
        await asyncio.sleep(0.2)


async def one(client: DurableClient, number: int) -> None:
    name = f"trip-{number}"
    request = StartRequest(
        type="trip",
        workflow_id=name,
        request_id=name,
        arguments=(name, "undone" if number % 2 else "kept"),
    )
    started = await client.start(request)
    try:
        await client.result(started.run_id)
    except RunFailedError:
        assert number % 2 == 1


if __name__ == "__main__":
    store_at, world, count = sys.argv[1:]
    WORLD = Path(world)
    asyncio.run(main(store_at, int(count)))
