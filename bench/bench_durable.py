"""The saga engine beside DBOS, on one PostgreSQL in one run: steps, latency, replays, memory.

A step is one `ctx.run` whose result is durable. DBOS 3.4 is installed from the package index into an
environment of its own under the user's cache directory, at the first run; without it only the own
figures are shown. The two are measured in turns of a few seconds, each in a process of its own; what
counts is the ratio of each turn, and the median of those. The disk decides what a commit costs: where it
answers slowly, both wait for it, and the ratios of one workflow come closer to each other.
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
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import uvloop

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
from own_postgres import UnusableError, own_postgres
from report import Figure, percentile, show

DBOS = "dbos==3.4.*"
STEPS = 500
WORKFLOWS = 100
STEPS_EACH = 20
SINGLE = 50
SLEEPING = 5_000
TURNS = 7
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


async def latencies_ms(client: DurableClient, count: int) -> list[float]:
    taken: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        await client.result(await run(client, "sequence", 1))
        taken.append((time.perf_counter() - began) * 1000)
    return taken


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


class Dbos:
    """A process that does the same work with DBOS, on a database of the same server."""

    def __init__(self, python: Path, url: str) -> None:
        script = Path(__file__).with_name("durable_dbos.py")
        self._process = subprocess.Popen(
            [python, script, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        print("  of DBOS's two ways, the better ones:", self._answer())

    def ask(self, *question: str | int) -> Any:  # noqa: ANN401 - JSON
        """What it says to a question; see `durable_dbos`."""
        assert self._process.stdin is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _answer(self) -> Any:  # noqa: ANN401 - JSON
        assert self._process.stdout is not None
        while not (line := self._process.stdout.readline()).startswith(("{", "[", *"0123456789")):
            assert line, "DBOS has ended"
        return json.loads(line)


async def turns(client: DurableClient, dbos: Dbos | None) -> dict[str, list[float]]:
    """Each figure of each turn; those of DBOS are called `dbos …`.

    The two take turns of a second or a few, so that whatever else the machine does falls on both.
    """
    figures: dict[str, list[float]] = defaultdict(list)
    for turn in range(TURNS + 1):
        now: dict[str, float] = {"one": await steps_per_s(client, 1, STEPS)}
        if dbos is not None:
            now["dbos one"] = dbos.ask("one", STEPS)
        cpu_s = time.process_time()
        now["many"] = await steps_per_s(client, WORKFLOWS, STEPS_EACH)
        now["cpu"] = time.process_time() - cpu_s
        if dbos is not None:
            cpu_s = dbos.ask("cpu")
            now["dbos many"] = dbos.ask("many", WORKFLOWS, STEPS_EACH)
            now["dbos cpu"] = dbos.ask("cpu") - cpu_s
        if turn:  # The first warms up.
            print("  steps/s:", ", ".join(f"{name} {each:.4g}" for name, each in now.items()))
            for name, each in now.items():
                figures[name].append(each)
            figures["latencies"] += await latencies_ms(client, SINGLE)
            if dbos is not None:
                figures["dbos latencies"] += dbos.ask("latencies", SINGLE)
    return figures


async def of_postgres(url: str, dbos: Dbos | None) -> dict[str, list[float]]:
    store = await PostgresDurableStore.open(url)
    try:
        async with engine(store) as client:
            figures = await turns(client, dbos)
        print(f"replays of a history of 1,000 events: {await replays_per_s(store):,.0f}/s")
        print(
            f"memory of a sleeping workflow that is kept live: {await sleeping_kib(store):.1f} KiB"
        )
    finally:
        await store.close()
    return figures


async def of_sqlite(directory: Path) -> dict[str, list[float]]:
    database = await SqliteStore.open(directory)
    try:
        async with engine(database.durable(SystemClock())) as client:
            return await turns(client, None)
    finally:
        await database.close()


def tell(database: str, figures: dict[str, list[float]], *, of: str = "") -> None:
    """Says the medians of what was measured of Hodei, or of another whose figures have a prefix."""
    taken = figures[f"{of}latencies"]
    print(
        f"{of}on {database}: {statistics.median(figures[f'{of}one']):,.0f} steps/s of one workflow, "
        f"{statistics.median(figures[f'{of}many']):,.0f} of {WORKFLOWS}; one step from start to "
        f"finish p50 {percentile(taken, 0.5):.1f} ms, p99 {percentile(taken, 0.99):.1f} ms"
    )


def ratios(figures: dict[str, list[float]], name: str) -> list[float]:
    """Hodei's figure by DBOS's of the same turn, for each turn, the smallest first."""
    return sorted(a / b for a, b in zip(figures[name], figures[f"dbos {name}"], strict=True))


def compare(figures: dict[str, list[float]]) -> int:
    tell("PostgreSQL", figures, of="dbos ")
    less = statistics.median(1 / each for each in ratios(figures, "cpu"))
    print(f"processor time of a step, {WORKFLOWS} at once: DBOS takes {less:.1f} times as much")
    shown: list[Figure] = []
    for name, what, target in (("one", "one workflow", 3), ("many", str(WORKFLOWS), 5)):
        found = ratios(figures, name)
        shown.append(
            Figure(
                name=f"steps/s of {what}, to DBOS",
                value=statistics.median(found),
                unit="x",
                target=target,
                at_least=True,
                note=f"{found[0]:.1f} to {found[-1]:.1f} over {len(found)} turns",
            )
        )
    return show(shown)


def main() -> int:
    with own_postgres() as cluster, tempfile.TemporaryDirectory(prefix="hodei-bench-") as scratch:
        cluster.create_database("dbos")
        python = dbos_python()
        dbos = None if python is None else Dbos(python, cluster.url(database="dbos"))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            on_postgres = runner.run(of_postgres(cluster.url(), dbos))
            if dbos is not None:
                dbos.close()
            on_sqlite = runner.run(of_sqlite(Path(scratch)))
    tell("SQLite", on_sqlite)
    tell("PostgreSQL", on_postgres)
    if dbos is None:
        print("DBOS could not be installed: nothing to compare with")
        return 0
    return compare(on_postgres)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except UnusableError as error:
        raise SystemExit(f"PostgreSQL cannot be run here: {error}") from error
