"""Latency of one job: on a warm idle worker, and on one that has to be provisioned for it."""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator

import grpc.aio

from floor import spawn_rate
from hodei.wire import hodei_all_in_one_pb2 as pb
from report import Figure, percentile, show
from running import Stubs, echo, running_server

TERMINAL = {"SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"}


async def end_of(events: AsyncIterator[pb.JobEvent], job_id: str) -> None:
    """Reads events up to the terminal one of a job."""
    async for first in events:
        for event in (first, *first.more):
            if event.job_id == job_id and event.state in TERMINAL:
                assert event.state == "SUCCEEDED", event
                return


async def measure_warm(address: str, *, jobs: int) -> list[float]:
    """Milliseconds from QueueJob to the terminal event, one job after the other."""
    taken: list[float] = []
    async with grpc.aio.insecure_channel(address) as channel:
        stubs = Stubs.on(channel)
        request = pb.StreamJobEventsRequest(
            after_position=await stubs.position(), follow=True, packed=True
        )
        events = aiter(stubs.jobs.StreamJobEvents(request))
        for number in range(jobs + 20):
            began = time.perf_counter()
            await stubs.jobs.QueueJob(
                pb.QueueJobRequest(job_definition=echo("hello", f"warm-{number}"))
            )
            await end_of(events, f"warm-{number}")
            taken.append((time.perf_counter() - began) * 1000)
    return taken[20:]


async def measure_cold(address: str, *, rounds: int) -> list[float]:
    """Milliseconds from QueueJob to the first byte of a job for which a worker has to be made."""
    taken: list[float] = []
    async with grpc.aio.insecure_channel(address) as channel:
        stubs = Stubs.on(channel)
        for number in range(rounds):
            await retire_workers(stubs)
            taken.append(await stubs.first_byte(echo("hello", f"cold-{number}")))
    return taken


async def retire_workers(stubs: Stubs) -> None:
    """Drains every worker and waits until none is left."""
    while True:
        answer = await stubs.workers.ListWorkers(pb.ListWorkersRequest())
        if not answer.workers:
            return
        for worker in answer.workers:
            if worker.state in {"READY", "BUSY"}:
                await stubs.workers.DrainWorker(pb.DrainWorkerRequest(worker_id=worker.id))
        await asyncio.sleep(0.02)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(arguments)
    floor_ms = 1000 / spawn_rate()
    with running_server(local_max_workers=1, local_warm_workers=1) as server:
        warm = asyncio.run(measure_warm(server.address, jobs=options.jobs))
    with running_server(local_max_workers=1, local_warm_workers=0) as server:
        cold = asyncio.run(measure_cold(server.address, rounds=options.rounds))
    p50, p99, first = percentile(warm, 0.5), percentile(warm, 0.99), percentile(cold, 0.5)
    return show(
        [
            Figure(
                name="warm worker, QueueJob to terminal event, p50",
                value=p50,
                unit="ms",
                target=8,
                note=f"{p50 / floor_ms:.0f} bare spawns; {len(warm)} jobs",
            ),
            Figure(
                name="warm worker, QueueJob to terminal event, p99",
                value=p99,
                unit="ms",
                target=30,
                note=f"{p99 / floor_ms:.0f} bare spawns",
            ),
            Figure(
                name="cold worker, QueueJob to first byte, p50",
                value=first,
                unit="ms",
                target=300,
                note=f"{first / floor_ms:.0f} bare spawns; slowest of {len(cold)} {max(cold):.0f} ms",
            ),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
