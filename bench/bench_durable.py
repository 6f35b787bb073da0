"""The saga engine beside DBOS, on one PostgreSQL in one run: steps, latency, replays, memory.

A step is one `ctx.run` whose result is durable. DBOS 3.4 is installed from the package index into an
environment of its own under the user's cache directory, at the first run; without it only the own
figures are shown. The two are measured in turns, each in a process of its own.
"""

import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil
import uvloop

from hodei.adapters.postgres.migrate import migrate
from hodei.adapters.postgres.runs import PostgresDurableStore
from hodei.adapters.sqlite import SqliteStore
from hodei.application.counters import Counters
from hodei.durable.definitions import workflow
from hodei.durable.loop.context import Context
from hodei.durable.replay import rebuild
from hodei.durable.runner.client import DurableClient, StartRequest
from hodei.durable.runner.engine import EngineSettings
from hodei.durable.runner.rounds import read_history
from hodei.lifecycle.system_clock import SystemClock, SystemIdSource
from hodei.ports.durable import DurableStore
from hodei.ports.durable_rows import RunId, ShardId
from hodei.server.workflows import Registry, plan_workflows, run_workflows
from report import Figure, show

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from dev_db import Cluster, UnusableError, programs

DBOS = "dbos==3.4.*"
STEPS = 300
WORKFLOWS = 100
STEPS_EACH = 20
SINGLE = 200
SLEEPING = 5_000
TURNS = 3
REPLAYS = 200


async def work(number: int) -> int:
    return number


@workflow(name="sequence")
async def sequence(ctx: Context, count: int) -> int:
    total = 0
    for number in range(count):
        total += await ctx.run(work, number, name="work")
    return total


@workflow(name="sleeper")
async def sleeper(ctx: Context) -> None:
    await ctx.sleep(3600)


REGISTRY = Registry(workflows=[sequence, sleeper])


@asynccontextmanager
async def engine(store: DurableStore) -> AsyncIterator[DurableClient]:
    async with AsyncExitStack() as stack:
        clock, ids = SystemClock(), SystemIdSource()
        plane = plan_workflows(REGISTRY, store, clock=clock, ids=ids, counters=Counters())

        def fail(name: str, error: BaseException) -> None:
            print(f"{name} failed: {error!r}", file=sys.stderr)
            os._exit(70)

        settings = EngineSettings(live_runs=SLEEPING + WORKFLOWS)
        await run_workflows(plane, stack, fail, settings=settings)
        yield plane.client


async def run(client: DurableClient, name: str, *arguments: object) -> RunId:
    request = StartRequest(type=name, workflow_id=SystemIdSource().new(), arguments=arguments)
    return (await client.start(request)).run_id


async def steps_per_s(client: DurableClient, workflows: int, steps: int) -> float:
    async def one() -> None:
        await client.result(await run(client, "sequence", steps))

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(workflows):
            group.create_task(one())
    return workflows * steps / (time.perf_counter() - began)


async def latencies_ms(client: DurableClient) -> list[float]:
    taken: list[float] = []
    for _ in range(SINGLE):
        began = time.perf_counter()
        await client.result(await run(client, "sequence", 1))
        taken.append((time.perf_counter() - began) * 1000)
    return sorted(taken)


async def measure(store: DurableStore) -> dict[str, float]:
    async with engine(store) as client:
        await steps_per_s(client, 1, 20)
        one = [await steps_per_s(client, 1, STEPS) for _ in range(TURNS)]
        began = time.process_time()
        many = [await steps_per_s(client, WORKFLOWS, STEPS_EACH) for _ in range(TURNS)]
        cpu_us = (time.process_time() - began) * 1e6 / (TURNS * WORKFLOWS * STEPS_EACH)
        taken = await latencies_ms(client)
        return {
            "one": statistics.median(one),
            "many": statistics.median(many),
            "p50": taken[len(taken) // 2],
            "p99": taken[int(len(taken) * 0.99)],
            # Of the process that runs the workflows: tells the two apart where others want the
            # processors too, as a rate does not.
            "cpu_us": cpu_us,
        }


async def replays_per_s(store: DurableStore) -> float:
    async with engine(store) as client:
        # Each step is two events; the run begins with one and ends with one.
        run_id = await run(client, "sequence", 499)
        await client.result(run_id)
        history = await read_history(store, run_id)
    assert len(history) == 1_000, len(history)
    began = time.perf_counter()
    for _ in range(REPLAYS):
        rebuild(sequence, history).wind_up()
    return REPLAYS / (time.perf_counter() - began)


async def sleeping_kib(store: DurableStore) -> float:
    """Memory of a run that waits for a timer and is kept live."""
    async with engine(store) as client:
        await client.result(await run(client, "sequence", 1))
        gc.collect()
        before = psutil.Process().memory_info().rss
        for _ in range(SLEEPING // 100):
            async with asyncio.TaskGroup() as group:
                for _ in range(100):
                    group.create_task(run(client, "sleeper"))
        shards = [ShardId(number) for number in range(64)]
        # Nobody tells of it: all have begun once nothing is due.
        while await store.runs_due(shards, limit=1):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.1)
        gc.collect()
        return (psutil.Process().memory_info().rss - before) / 1024 / SLEEPING


def dbos_python() -> Path | None:
    """An interpreter that has DBOS; None where it cannot be installed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    home = cache / "hodei-bench" / "dbos-3.4"
    python = home / "bin" / "python"
    if not (home / "is-complete").exists():
        print("installing DBOS for the comparison")
        venv.create(home, with_pip=True, clear=True)
        done = subprocess.run([python, "-m", "pip", "--quiet", "install", DBOS], check=False)
        if done.returncode != 0:
            return None
        (home / "is-complete").touch()
    return python


def of_dbos(python: Path, url: str) -> dict[str, float]:
    script = Path(__file__).with_name("durable_dbos.py")
    sizes = [str(each) for each in (STEPS, WORKFLOWS, STEPS_EACH, SINGLE)]
    done = subprocess.run(
        [python, script, url, *sizes],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


async def of_hodei(url: str) -> dict[str, float]:
    store = await PostgresDurableStore.open(url)
    try:
        return await measure(store)
    finally:
        await store.close()


async def others(url: str, directory: Path) -> None:
    store = await PostgresDurableStore.open(url)
    print(f"replays of a history of 1,000 events: {await replays_per_s(store):,.0f}/s")
    print(f"memory of a sleeping workflow that is kept live: {await sleeping_kib(store):.1f} KiB")
    await store.close()
    database = await SqliteStore.open(directory)
    own = await measure(database.durable(SystemClock()))
    print(
        f"on SQLite: {own['one']:,.0f} steps/s of one workflow, {own['many']:,.0f} of {WORKFLOWS}; "
        f"one step from start to finish p50 {own['p50']:.1f} ms, p99 {own['p99']:.1f} ms"
    )
    await database.close()


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="hodei-bench-") as scratch:
        Path(scratch).chmod(0o711)
        cluster = Cluster(directory=Path(scratch), bin=programs(install=True))
        cluster.make()
        cluster.start()
        try:
            return compare(cluster, Path(scratch))
        finally:
            cluster.stop()


def compare(cluster: Cluster, scratch: Path) -> int:
    asyncio.run(migrate(cluster.url()))
    cluster.create_database("dbos")
    python = dbos_python()
    own: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    for _ in range(TURNS):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            own.append(runner.run(of_hodei(cluster.url())))
        print("  hodei", json.dumps({key: round(each, 2) for key, each in own[-1].items()}))
        if python is not None:
            theirs.append(of_dbos(python, cluster.url(database="dbos")))
            print("  dbos ", json.dumps({key: theirs[-1][key] for key in own[-1]}))
    (scratch / "sqlite").mkdir()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(others(cluster.url(), scratch / "sqlite"))
    middle = {key: statistics.median(each[key] for each in own) for key in own[0]}
    print(
        f"on PostgreSQL: {middle['one']:,.0f} steps/s of one workflow, {middle['many']:,.0f} of "
        f"{WORKFLOWS}; one step from start to finish p50 {middle['p50']:.1f} ms, "
        f"p99 {middle['p99']:.1f} ms"
    )
    if not theirs:
        print("DBOS could not be installed: nothing to compare with")
        return 0
    ratio = {
        key: statistics.median(a[key] / b[key] for a, b in zip(own, theirs, strict=True))
        for key in ("one", "many")
    }
    cpu = statistics.median(b["cpu_us"] / a["cpu_us"] for a, b in zip(own, theirs, strict=True))
    print(f"processor time of a step, {WORKFLOWS} at once: DBOS takes {cpu:.1f} times as much")
    print(f"DBOS: p50 {statistics.median(each['p50'] for each in theirs):.1f} ms of one step")
    return show(
        [
            Figure(
                name="steps/s of one workflow, to DBOS",
                value=ratio["one"],
                unit="x",
                target=3,
                at_least=True,
            ),
            Figure(
                name=f"steps/s of {WORKFLOWS}, to DBOS",
                value=ratio["many"],
                unit="x",
                target=5,
                at_least=True,
            ),
        ]
    )


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except UnusableError as error:
        raise SystemExit(f"PostgreSQL cannot be run here: {error}") from error
