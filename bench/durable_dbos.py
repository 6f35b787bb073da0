"""What DBOS does with the same work: run by `bench_durable.py`, in an environment that has `dbos`.

durable_dbos.py URL STEPS WORKFLOWS STEPS_EACH SINGLE     prints one JSON object
"""

import asyncio
import json
import statistics
import sys
import time

from dbos import DBOS, DBOSConfig

url, steps, workflows, steps_each, single = sys.argv[1], *map(int, sys.argv[2:])
DBOS(config=DBOSConfig(name="bench", system_database_url=url, run_admin_server=False))


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


def timed_one() -> float:
    began = time.perf_counter()
    sequence(steps)
    return steps / (time.perf_counter() - began)


def timed_many() -> float:
    began = time.perf_counter()
    handles = [DBOS.start_workflow(sequence, steps_each) for _ in range(workflows)]
    for handle in handles:
        handle.get_result()
    return workflows * steps_each / (time.perf_counter() - began)


async def timed_async() -> tuple[float, float]:
    began = time.perf_counter()
    await async_sequence(steps)
    one = steps / (time.perf_counter() - began)
    began = time.perf_counter()
    handles = [
        await DBOS.start_workflow_async(async_sequence, steps_each) for _ in range(workflows)
    ]
    for handle in handles:
        await handle.get_result()
    return one, workflows * steps_each / (time.perf_counter() - began)


def latencies() -> list[float]:
    taken: list[float] = []
    for _ in range(single):
        began = time.perf_counter()
        sequence(1)
        taken.append((time.perf_counter() - began) * 1000)
    return sorted(taken)


def main() -> None:
    DBOS.launch()
    sequence(20)
    one = [timed_one() for _ in range(3)]
    began = time.process_time()
    many = [timed_many() for _ in range(3)]
    cpu_us = (time.process_time() - began) * 1e6 / (3 * workflows * steps_each)
    async_one, async_many = zip(*(asyncio.run(timed_async()) for _ in range(3)), strict=True)
    taken = latencies()
    print(
        json.dumps(
            {
                # The better of its two ways counts.
                "one": max(statistics.median(one), statistics.median(async_one)),
                "many": max(statistics.median(many), statistics.median(async_many)),
                "p50": taken[len(taken) // 2],
                "p99": taken[int(len(taken) * 0.99)],
                "cpu_us": cpu_us,
                "ways": [one, many, list(async_one), list(async_many)],
            }
        )
    )
    DBOS.destroy()


main()
