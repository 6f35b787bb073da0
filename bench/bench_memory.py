"""Resident memory of server and agent after 10,000 jobs, and whether it grows up to 50,000."""

import argparse
import asyncio
from dataclasses import dataclass

import grpc.aio
import psutil

from bench_jobs import run_round
from report import Figure, show
from running import Running, Stubs, running_server

MEGABYTE = 1_000_000
STEP = 5_000
NOISE_MB = 2.0
"""Growth below it is the allocator's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """Megabytes at one moment."""

    server: float
    agent: float
    """Of the largest process of a worker."""
    worker: float
    """What all processes of a worker take together, shared pages counted once for each."""


async def look(server: Running, stubs: Stubs) -> Resident:
    """What server and worker take now."""
    sizes = [
        process.memory_info().rss / MEGABYTE
        for process in server.worker_trees(await stubs.worker_pids())
    ]
    return Resident(
        server=psutil.Process(server.pid).memory_info().rss / MEGABYTE,
        agent=max(sizes, default=0.0),
        worker=sum(sizes),
    )


async def measure(server: Running, *, first: int, last: int) -> list[Figure]:
    """Runs jobs and looks every few thousand of them."""
    seen: dict[int, Resident] = {}
    async with grpc.aio.insecure_channel(server.address) as channel:
        stubs = Stubs.on(channel)
        for done in range(STEP, last + 1, STEP):
            await run_round(stubs, STEP, f"memory{done}")
            seen[done] = await look(server, stubs)
            now = seen[done]
            print(f"{done} jobs: server {now.server:.1f} MB, agent {now.agent:.1f} MB", flush=True)
    early, late = seen[first], seen[last]
    note = f"{last} jobs: {late.server:.1f} MB"
    return [
        Figure(
            name=f"server after {first} jobs", value=early.server, unit="MB", target=90, note=note
        ),
        Figure(
            name=f"agent after {first} jobs",
            value=early.agent,
            unit="MB",
            target=50,
            note=f"{last} jobs: {late.agent:.1f} MB; all of a worker's processes {late.worker:.0f} MB",
        ),
        Figure(
            name=f"growth of the server, {first} to {last} jobs",
            value=late.server - early.server,
            unit="MB",
            target=NOISE_MB,
        ),
        Figure(
            name=f"growth of the agent, {first} to {last} jobs",
            value=late.agent - early.agent,
            unit="MB",
            target=NOISE_MB,
        ),
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=10_000)
    parser.add_argument("--last", type=int, default=50_000)
    options = parser.parse_args(arguments)
    # One worker throughout, so that it is the same agent that is looked at.
    with running_server(local_max_workers=1, local_max_age="1d") as server:
        return show(asyncio.run(measure(server, first=options.first, last=options.last)))


if __name__ == "__main__":
    raise SystemExit(main())
