"""Runs of example workflows, and how the histories of a release are kept.

`python -m replay.run_histories v1.2.0`, run in `tests` when version 1.2.0 is released, writes
`histories/v1.2.0`. What is written there is never changed: it stands for the open runs of users, which
the workflows below must go on replaying, whatever becomes of their code and of the engine.
"""

import asyncio
import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from hodei.domain.placement.kinds import WorkerKind
from hodei.durable import codec
from hodei.durable.definitions import Activity, Workflow, workflow
from hodei.durable.events import Decision
from hodei.durable.failures import Ended
from hodei.durable.loop.context import Context
from hodei.durable.recorded import Recorded
from hodei.durable.retry import ONCE, retry
from hodei.kernel.ids import JobId, ProviderName, WorkerId
from hodei.sagas.clean_up_orphans import CleanUp, Found, Orphan, clean_up_orphans
from hodei.sagas.provision_worker import (
    PROVISION_WORKER,
    WorkerOrder,
    provision_unprepared_worker,
    provision_worker,
)
from support.histories_of_runs import DrivenRun

HISTORIES_DIR: Final = Path(__file__).parent / "histories"

CREATE = Activity(name="create-instance", returns=str)
DESTROY = Activity(name="destroy-instance", returns=type(None))
CHECK = Activity(name="check", returns=int)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be provisioned."""

    count: int
    region: str = ""


async def reserve(_count: int) -> str:
    raise AssertionError("steps do not run in a replay")


@workflow(name="provision")
async def provision(ctx: Context, order: Order) -> list[str]:
    """A saga with a step, activities, a time-out and compensations."""
    made: list[str] = []
    async with ctx.saga() as saga:
        await saga.step(
            lambda: ctx.run(reserve, order.count, retry=retry(2, initial_s=3)),
            compensate=lambda: ctx.run(reserve, 0, name="release"),
            name="reserve",
            retry=ONCE,
        )
        for number in range(order.count):
            instance = await saga.step(
                lambda number=number: ctx.activity(CREATE, order.region, number),
                compensate=lambda number=number: ctx.activity(DESTROY, number),
                name=f"instance {number}",
            )
            made.append(instance)
        async with asyncio.timeout(60):
            await ctx.receive("ready", int)
    return made


@workflow(name="watch")
async def watch(ctx: Context, rounds: int) -> list[int]:
    """Side by side activities, timers, chance, a handler of signals, and a patch."""
    extra: list[int] = []
    ctx.on_signal("extra", extra.append)
    results: list[int] = []
    for _ in range(rounds):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ctx.activity(CHECK, n)) for n in range(2)]
        results += [task.result() for task in tasks]
        if ctx.patched("jitter"):
            await ctx.sleep(10 + ctx.random().random())
        else:
            await ctx.sleep(10)
    return [*results, *extra]


SAMPLES: Final[tuple[Workflow, ...]] = (provision, watch)

BUILT_IN: Final[tuple[Workflow, ...]] = (*PROVISION_WORKER, clean_up_orphans)
"""Hodei's own sagas: servers of users have open runs of them when they are upgraded."""

ORDER: Final = WorkerOrder(
    worker_id=WorkerId("docker-1"),
    provider=ProviderName("docker"),
    home="a",
    for_job=JobId("job-1"),
    kind=WorkerKind(image="debian:12", memory_bytes=2**20),
    enroll_timeout_s=60.0,
)


def _provisioned() -> DrivenRun:
    run = DrivenRun(provision, Order(count=2, region="eu"))
    run.step_returns(2, "ok")
    run.activity_returns(4, "i-0")
    run.activity_returns(6, "i-1")
    run.signal("other", 1)
    run.signal("ready", 1, request_id="t")
    return run


def _undone() -> DrivenRun:
    run = DrivenRun(provision, Order(count=2))
    run.step_raises(2)
    run.fires(3)
    run.step_returns(4, "ok")
    run.activity_returns(6, "i-0")
    run.cancel()
    run.activity_ends(8, Ended.CANCELLED)
    run.activity_returns(10, None)
    run.cancel()
    run.activity_returns(11, None)
    run.step_raises(12)
    run.decide(13, Decision.RETRY)
    run.step_raises(14)
    run.decide(15, Decision.SKIP)
    return run


def _timed_out() -> DrivenRun:
    run = DrivenRun(provision, Order(count=0))
    run.step_returns(2, "ok")
    run.fires(3, after_s=60)
    run.step_returns(5, "released")
    return run


def _watched() -> DrivenRun:
    run = DrivenRun(watch, 2, seed=99)
    run.activity_returns(2, 20)
    run.signal("extra", 7)
    run.activity_returns(1, 10)
    run.fires(3, after_s=11)
    run.activity_returns(4, 11)
    run.activity_returns(5, 21)
    run.fires(6, after_s=11)
    return run


def _failed_side_by_side() -> DrivenRun:
    run = DrivenRun(watch, 1, seed=3)
    run.activity_ends(1)
    run.activity_ends(2, Ended.CANCELLED)
    return run


def _half_done() -> DrivenRun:
    run = DrivenRun(watch, 5, seed=4)
    run.activity_returns(1, 10)
    return run


def _worker_up() -> DrivenRun:
    run = DrivenRun(provision_unprepared_worker, ORDER)
    run.activity_returns(1, 3.5)
    for command_id in (3, 5, 6):
        run.activity_returns(command_id, None)
    return run


def _worker_up_of_what_is_there() -> DrivenRun:
    run = DrivenRun(provision_worker, ORDER, True)  # noqa: FBT003 - as arguments are stored
    for command_id in (2, 4, 5):
        run.activity_returns(command_id, None)
    return run


def _worker_never_came() -> DrivenRun:
    run = DrivenRun(provision_unprepared_worker, replace(ORDER, kind=None, home=""))
    run.activity_returns(2, None)
    run.activity_returns(4, None)
    run.activity_ends(5, kind="PROVIDER")
    run.activity_returns(7, None)
    run.activity_returns(8, None)
    return run


def _worker_called_off() -> DrivenRun:
    run = DrivenRun(provision_unprepared_worker, replace(ORDER, kind=None))
    run.activity_returns(2, None)
    run.cancel()
    run.activity_ends(4, Ended.CANCELLED)
    run.activity_returns(6, None)
    run.activity_returns(7, None)
    return run


def _worker_whose_host_is_gone() -> DrivenRun:
    run = DrivenRun(provision_unprepared_worker, replace(ORDER, kind=None))
    run.activity_returns(2, None)
    run.activity_ends(4, Ended.TIMED_OUT, kind="ScheduleToStartTimeout")
    run.activity_ends(5, kind="PROVIDER")
    run.activity_ends(7, Ended.TIMED_OUT, kind="ScheduleToStartTimeout")
    run.activity_returns(8, None)
    return run


def _cleaned_up() -> DrivenRun:
    run = DrivenRun(clean_up_orphans, CleanUp(provider=ProviderName("docker"), home="a"))
    orphans = [
        Orphan(provider=ProviderName("docker"), worker_id=WorkerId(f"docker-{n}"), data={"id": "4"})
        for n in range(3)
    ]
    run.activity_returns(1, Found(orphans=tuple(orphans)))
    run.activity_returns(3, value=True)
    run.activity_returns(2, value=False)
    run.activity_ends(4)
    return run


def _looked_for_orphans() -> DrivenRun:
    run = DrivenRun(clean_up_orphans, CleanUp(provider=ProviderName("docker"), dry_run=True))
    run.activity_returns(1, Found(orphans=()))
    return run


RUNS: Final[dict[str, Callable[[], DrivenRun]]] = {
    "provisioned": _provisioned,
    "undone": _undone,
    "timed-out": _timed_out,
    "watched": _watched,
    "failed-side-by-side": _failed_side_by_side,
    "half-done": _half_done,
    "cleaned-up": _cleaned_up,
    "looked-for-orphans": _looked_for_orphans,
    "worker-up": _worker_up,
    "worker-up-of-what-is-there": _worker_up_of_what_is_there,
    "worker-never-came": _worker_never_came,
    "worker-called-off": _worker_called_off,
    "worker-whose-host-is-gone": _worker_whose_host_is_gone,
}


def read_stored(path: Path) -> tuple[Workflow, list[Recorded]]:
    """A stored history, and the workflow of today that must replay it."""
    stored = json.loads(path.read_text())
    (definition,) = [
        each
        for each in (*SAMPLES, *BUILT_IN)
        if (each.name, each.version) == (stored["type"], stored["version"])
    ]
    return definition, [
        Recorded(
            seq=seq,
            at=datetime.fromisoformat(at),
            event=codec.decode(kind, b64decode(data)),
        )
        for seq, at, kind, data in stored["events"]
    ]


def write_release(version: str) -> None:
    """Keeps the histories that this version makes; those that are there stay as they are."""
    directory = HISTORIES_DIR / version
    directory.mkdir(parents=True, exist_ok=True)
    for name, drive in RUNS.items():
        path = directory / f"{name}.json"
        if path.exists():
            continue
        run = drive()
        events = [
            [
                each.seq,
                each.at.isoformat(),
                type(each.event).__name__,
                b64encode(codec.encode(each.event)).decode(),
            ]
            for each in run.history
        ]
        stored = {
            "type": run.definition.name,
            "version": run.definition.version,
            "events": events,
        }
        path.write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    write_release(sys.argv[1])
