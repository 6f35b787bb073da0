"""Jobs per second: `echo`, output stored, submitted by QueueJobs, 4 slots, durable."""

import argparse
import asyncio
import statistics
import time

import grpc.aio

from floor import spawn_rate
from hodei.wire import hodei_all_in_one_pb2 as pb
from report import Figure, show
from running import Stubs, echo, running_server

SLOTS = 4
BATCH = 500
OPEN = [pb.JOB_STATUS_QUEUED, pb.JOB_STATUS_ASSIGNED, pb.JOB_STATUS_RUNNING]


async def run_round(stubs: Stubs, jobs: int, name: str) -> float:
    """Submits jobs and returns how many of them ended per second."""
    after = await stubs.position()
    began = time.perf_counter()
    for first in range(0, jobs, BATCH):
        definitions = [
            echo(f"hello {n}", f"{name}-{n}") for n in range(first, min(first + BATCH, jobs))
        ]
        await stubs.jobs.QueueJobs(pb.QueueJobsRequest(job_definitions=definitions))
    last = pb.JobId(value=f"{name}-{jobs - 1}")
    request = pb.StreamJobEventsRequest(job_id=last, after_position=after, follow=True)
    async for _ in stubs.jobs.StreamJobEvents(request):
        pass
    # The last one to be queued need not be the last one to end.
    while await count(stubs, name, OPEN):
        pass
    took_s = time.perf_counter() - began
    assert await count(stubs, name, [pb.JOB_STATUS_COMPLETED]) == jobs, "not every job succeeded"
    await check_output(stubs, name, jobs)
    return jobs / took_s


async def count(stubs: Stubs, name: str, statuses: list[pb.JobStatus]) -> int:
    """How many jobs of a round are in one of the states."""
    request = pb.ListJobsRequest(search_term=f"{name}-", statuses=statuses, page_size=1)
    return (await stubs.jobs.ListJobs(request)).total_count


async def check_output(stubs: Stubs, name: str, jobs: int) -> None:
    """Fails unless every hundredth job's output is stored."""
    for number in range(0, jobs, 100):
        answer = await stubs.logs.GetLogs(pb.GetLogsRequest(job_id=f"{name}-{number}", limit=10))
        assert [entry.line for entry in answer.entries] == [f"hello {number}"]


async def measure(address: str, *, jobs: int, rounds: int) -> list[Figure]:
    """Measures rounds of jobs, each between two measurements of the floor."""
    rates: list[float] = []
    ratios: list[float] = []
    async with grpc.aio.insecure_channel(address) as channel:
        stubs = Stubs.on(channel)
        await run_round(stubs, 200, "warm-up")
        for number in range(rounds):
            before = spawn_rate()
            rates.append(await run_round(stubs, jobs, f"round{number}"))
            floor = (before + spawn_rate()) / 2
            ratios.append(rates[-1] / floor)
            print(
                f"round {number}: {rates[-1]:.0f} jobs/s, floor {floor:.0f} processes/s", flush=True
            )
    note = f"{statistics.median(rates):.0f} jobs/s, median of {rounds} rounds of {jobs}"
    return [
        Figure(
            name="jobs per second / bare spawns per second",
            value=statistics.median(ratios),
            unit="",
            target=0.2,
            at_least=True,
            note=note,
        )
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    with running_server(local_slots=SLOTS, local_max_workers=1, local_warm_workers=1) as server:
        return show(asyncio.run(measure(server.address, jobs=options.jobs, rounds=options.rounds)))


if __name__ == "__main__":
    raise SystemExit(main())
