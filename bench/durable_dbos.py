"""What DBOS does with the same work: run by `bench_durable.py`, in an environment that has `dbos`.

durable_dbos.py URL     answers each line of JSON on stdin, a list of a word and numbers, with one:

["one", STEPS]            steps a second of one workflow
["many", WORKFLOWS, STEPS] steps a second of so many at once
["latencies", COUNT]       milliseconds from start to end of so many workflows of one step
["cpu"]                    seconds of processor time that this process has used
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable

from dbos import DBOS, DBOSConfig

DBOS(config=DBOSConfig(name="bench", system_database_url=sys.argv[1], run_admin_server=False))


@DBOS.step()
def work(number: int) -> int:
    return number


@DBOS.workflow()
def sequence(count: int) -> int:
    return sum(work(number) for number in range(count))


@DBOS.step()
async def async_work(number: int) -> int:
    return number


@DBOS.workflow()
async def async_sequence(count: int) -> int:
    total = 0
    for number in range(count):
        total += await async_work(number)
    return total


def one(steps: int) -> float:
    began = time.perf_counter()
    sequence(steps)
    return steps / (time.perf_counter() - began)


def one_async(steps: int) -> float:
    began = time.perf_counter()
    asyncio.run(async_sequence(steps))
    return steps / (time.perf_counter() - began)


def many(workflows: int, steps: int) -> float:
    began = time.perf_counter()
    handles = [DBOS.start_workflow(sequence, steps) for _ in range(workflows)]
    for handle in handles:
        handle.get_result()
    return workflows * steps / (time.perf_counter() - began)


def many_async(workflows: int, steps: int) -> float:
    async def run() -> None:
        handles = [await DBOS.start_workflow_async(async_sequence, steps) for _ in range(workflows)]
        for handle in handles:
            await handle.get_result()

    began = time.perf_counter()
    asyncio.run(run())
    return workflows * steps / (time.perf_counter() - began)


def latencies(count: int) -> list[float]:
    taken: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        sequence(1)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def main() -> None:
    DBOS.launch()
    # The better of its two ways counts.
    ways: dict[str, Callable[..., object]] = {
        "one": max((one, one_async), key=lambda way: max(way(100), way(100))),
        "many": max((many, many_async), key=lambda way: max(way(20, 10), way(20, 10))),
        "latencies": latencies,
        "cpu": time.process_time,
    }
    chosen = {name: way.__name__ for name, way in ways.items()}
    print(json.dumps(chosen), flush=True)
    for line in sys.stdin:
        name, *numbers = json.loads(line)
        print(json.dumps(ways[name](*numbers)), flush=True)
    DBOS.destroy()


main()
