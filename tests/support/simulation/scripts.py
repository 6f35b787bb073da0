"""The workflows of the simulation. Each run follows a plan that is drawn from the seed.

What they do outside goes through `WORLD`: a step has the same name wherever it is looked for.
"""

import asyncio
import random
from contextvars import ContextVar
from dataclasses import dataclass

from hodei.durable.definitions import Activity, OnCancel, Workflow, limits, workflow
from hodei.durable.failures import ApplicationError
from hodei.durable.loop.context import Context
from hodei.durable.retry import retry
from hodei.durable.runner.worker import Attempt, Handler
from support.simulation.outside import LIFE, Outside

WORLD: ContextVar[Outside] = ContextVar("world")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to meet."""

    steps: int = 3
    fails_at: int = -1
    """The step that fails for good; -1 for none."""
    undo_fails_at: int = -1
    """The compensation that fails for good, until an operator has it tried again."""
    kills_at: int = -1
    """The step that kills its process, however often it is tried."""
    sleep_s: float = 0.0
    signals: int = 0


class Killed:
    """Which deadly steps an operator has mended."""

    mended: ContextVar[set[str]] = ContextVar("mended")


async def do(run_id: str, name: str, behaviour: str = "") -> str:
    """A local step: touches the world, then does as it is told."""
    await WORLD.get().touch(run_id, name)
    await asyncio.sleep(0.01)
    if behaviour == "kill" and run_id not in Killed.mended.get():
        LIFE.get().kill()
        await LIFE.get().pass_through()
    if behaviour == "fail":
        raise ApplicationError(f"{name} fails", type="Planned")
    if behaviour == "fail until mended" and run_id not in Killed.mended.get():
        raise ApplicationError(f"{name} cannot be undone", type="Planned", is_final=True)
    return name


CHARGE = Activity(
    name="charge",
    returns=str,
    retry=retry(0, initial_s=0.5, max_s=5, never_on=("Planned",)),
    limits=limits(start_to_close_s=20, heartbeat_s=6),
)


async def charge(attempt: Attempt, run_id: str, name: str, behaviour: str) -> str:
    """An activity: slow, sometimes failing, fenced by its token outside."""
    if not await WORLD.get().touch_once(run_id, name, key=attempt.key, token=attempt.token):
        raise ApplicationError("an older attempt", type="Fenced")
    # Up to nearly the time in which it must give a sign of life.
    await asyncio.sleep(0.3 + attempt.token % 6)
    await LIFE.get().pass_through()
    if behaviour == "fail":
        raise ApplicationError(f"{name} fails", type="Planned")
    if behaviour == "flaky" and attempt.number < 3:
        attempt.heartbeat(attempt.number)
        raise ApplicationError(f"{name} fails this time", type="Passing")
    # Whose word it is shows in the history: see `Invariants`.
    return f"{name} by attempt {attempt.number}"


HANDLERS: dict[str, Handler] = {"charge": charge}


@workflow(name="order")
async def order(ctx: Context, plan: Plan) -> list[str]:
    """Local steps in a saga."""
    run_id = ctx.info.run_id
    done: list[str] = []
    async with ctx.saga() as saga:
        for number in range(plan.steps):
            behaviour = "fail" if number == plan.fails_at else ""
            if number == plan.kills_at and not behaviour:
                behaviour = "kill"
            undo_behaviour = "fail until mended" if number == plan.undo_fails_at else ""
            name, undo = f"do {number}", f"undo {number}"
            done.append(
                await saga.step(
                    lambda name=name, how=behaviour: ctx.run(do, run_id, name, how, name=name),
                    compensate=lambda undo=undo, how=undo_behaviour: ctx.run(
                        do, run_id, undo, how, name=undo, retry=retry(3, initial_s=0.1)
                    ),
                    name=name,
                )
            )
    return done


@workflow(name="fan-out")
async def fan_out(ctx: Context, plan: Plan) -> list[str]:
    """Activities side by side; the first that fails has the others cancelled."""
    run_id = ctx.info.run_id
    tasks: list[asyncio.Task[str]] = []
    async with asyncio.TaskGroup() as group:
        for number in range(plan.steps):
            behaviour = "fail" if number == plan.fails_at else "flaky" if number % 3 == 1 else ""
            tasks.append(
                group.create_task(ctx.activity(CHARGE, run_id, f"charge {number}", behaviour))
            )
    return [task.result() for task in tasks]


@workflow(name="sleeper")
async def sleeper(ctx: Context, plan: Plan) -> list[str]:
    """Sleeps between two marks, with a time-out that wins and one that loses."""
    run_id = ctx.info.run_id
    await ctx.run(do, run_id, "before", name="before")
    await ctx.sleep(plan.sleep_s)
    await ctx.run(do, run_id, "after", name="after")
    result = ["slept"]
    try:
        async with asyncio.timeout(plan.sleep_s):
            await ctx.sleep(plan.sleep_s * 3)
    except TimeoutError:
        result.append("timed out")
    async with asyncio.timeout(plan.sleep_s * 50 + 500):
        result.append(await ctx.run(do, run_id, "last", name="last"))
    return result


@workflow(name="listener")
async def listener(ctx: Context, plan: Plan) -> list[str]:
    """Hears so many signals, then ends; those that came too are heard as well."""
    heard: list[str] = []
    ctx.on_signal("say", heard.append)
    ctx.on_query("heard", lambda: len(heard))
    await ctx.wait_until(lambda: len(heard) >= plan.signals)
    await ctx.run(do, ctx.info.run_id, "close", name="close")
    return heard


@workflow(name="trip")
async def trip(ctx: Context, plan: Plan) -> list[str]:
    """A saga with activities, steps, a timer, and a saga within."""
    run_id = ctx.info.run_id
    rooms = Activity(
        name="charge",
        returns=str,
        retry=retry(2, initial_s=0.2),
        limits=limits(start_to_close_s=20, heartbeat_s=6),
        on_cancel=OnCancel.WAIT,
    )
    done: list[str] = []
    async with ctx.saga() as saga:
        done.append(
            await saga.step(
                lambda: ctx.activity(CHARGE, run_id, "do 0", "flaky"),
                compensate=lambda: ctx.activity(CHARGE, run_id, "undo 0", ""),
                name="do 0",
            )
        )
        await ctx.sleep(plan.sleep_s)
        done.append(
            await saga.step(
                lambda: ctx.run(do, run_id, "do 1", name="do 1"),
                compensate=lambda: ctx.run(do, run_id, "undo 1", name="undo 1"),
                name="do 1",
            )
        )
        if ctx.random().random() < 0.5:
            done.append(str(ctx.uuid()))
        done.append(
            await saga.step(
                lambda: ctx.activity(rooms, run_id, "do 2", "fail" if plan.fails_at == 2 else ""),
                compensate=lambda: ctx.activity(CHARGE, run_id, "undo 2", "flaky"),
                name="do 2",
            )
        )
    return done


SCRIPTS: tuple[Workflow, ...] = (order, fan_out, sleeper, listener, trip)


def draw(rng: random.Random) -> tuple[str, Plan]:
    """A workflow and a plan for it."""
    name = rng.choice([each.name for each in SCRIPTS])
    steps = rng.randint(1, 4)
    return name, Plan(
        steps=steps,
        fails_at=rng.choice([-1, -1, rng.randrange(steps)])
        if name != "trip"
        else rng.choice([-1, 2]),
        undo_fails_at=rng.choice([-1, -1, -1, 0]),
        kills_at=rng.choice([-1] * 9 + [0]),
        sleep_s=rng.choice([0.5, 3.0, 12.0, 45.0]),
        signals=rng.randint(1, 4),
    )
