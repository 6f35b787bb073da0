"""Several servers on one PostgreSQL: jobs per second, and how soon a dead one is taken over."""

import argparse
import asyncio
import os
import signal
import statistics
import sys
import time
from contextlib import ExitStack
from operator import truediv

import grpc.aio

from bench_jobs import run_round
from hodei.adapters.postgres.migrate import migrate
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as rpc
from own_postgres import Cluster, UnusableError, own_postgres
from report import Figure, percentile, show
from running import Running, Stubs, running_server

SLOTS = 4
"""Of all servers together."""


def start(stack: ExitStack, url: str, name: str, **settings: object) -> Running:
    """A server that lives as long as the stack."""
    placed = {"database_url": url, "name": name} if url else {}
    return stack.enter_context(running_server(**placed, **settings))


async def jobs_per_s(address: str, *, workers: int, jobs: int, name: str) -> float:
    """Of jobs that are all given to one server, once so many workers are connected.

    A worker that starts while others run jobs already is no part of what is measured.
    """
    async with grpc.aio.insecure_channel(address) as channel:
        stubs = Stubs.on(channel)
        await stubs.until_connected(workers)
        await run_round(stubs, 100, f"{name}-of-warm-up".replace("-", ""))
        return await run_round(stubs, jobs, name)


def rate_of(url: str, *, servers: int, jobs: int, name: str) -> float:
    """Jobs per second of so many servers with the same slots in all, a worker each.

    An empty URL is SQLite.
    """
    with ExitStack() as stack:
        running = [
            start(
                stack,
                url,
                f"server-{number}",
                local_slots=SLOTS // servers,
                local_max_workers=1,
                local_warm_workers=1,
            )
            for number in range(servers)
        ]
        return asyncio.run(jobs_per_s(running[0].address, workers=servers, jobs=jobs, name=name))


def empty_database(postgres: Cluster, name: str) -> str:
    """A database in which nobody has left workers or jobs."""
    postgres.create_database(name)
    asyncio.run(migrate(postgres.url(database=name)))
    return postgres.url(database=name)


def compare(postgres: Cluster, *, jobs: int, rounds: int) -> list[Figure]:
    """PostgreSQL beside SQLite and two servers beside one, in turn."""
    rates: dict[str, list[float]] = {"sqlite": [], "one": [], "two": []}
    for turn in range(rounds):
        rates["sqlite"].append(rate_of("", servers=1, jobs=jobs, name=f"s{turn}"))
        for servers, of in enumerate(("one", "two"), start=1):
            name = f"{of}{turn}"
            url = empty_database(postgres, name)
            rates[of].append(rate_of(url, servers=servers, jobs=jobs, name=name))
        print({name: round(all_of[-1]) for name, all_of in rates.items()}, flush=True)
    return [
        Figure(
            name=name,
            value=statistics.median(map(truediv, rates[of], rates[to])),
            unit="",
            target=target,
            at_least=True,
            note=f"{statistics.median(rates[of]):.0f} and {statistics.median(rates[to]):.0f} jobs/s",
        )
        for name, of, to, target in (
            ("jobs, PostgreSQL to SQLite", "one", "sqlite", 0.75),
            ("jobs, two servers to one on PostgreSQL", "two", "one", 0.9),
        )
    ]


async def taken_over_after_s(address: str, name: str) -> float:
    """How long it takes from now until a server does what another did."""
    began = time.monotonic()
    async with grpc.aio.insecure_channel(address) as channel:
        stub = rpc.ServerServiceStub(channel)
        while True:
            answer: pb.ListServersResponse = await stub.ListServers(pb.ListServersRequest())
            if any(f"host:{name}" in each.duties for each in answer.servers if each.is_self):
                return time.monotonic() - began
            await asyncio.sleep(0.01)


def takeovers(url: str, *, kills: int) -> list[Figure]:
    """A server is killed again and again, and another one does what it did."""
    took: list[float] = []
    with ExitStack() as lasting:
        survivor = start(lasting, url, "survivor", local_max_workers=0, local_warm_workers=0)
        for _ in range(kills):
            with ExitStack() as stack:
                victim = start(stack, url, "victim", local_max_workers=0, local_warm_workers=0)
                time.sleep(2)  # by then the survivor has given back what is the victim's
                os.kill(victim.pid, signal.SIGKILL)
                took.append(asyncio.run(taken_over_after_s(survivor.address, "victim")))
    return [
        Figure(name="takeover, p50", value=percentile(took, 0.5), unit="s", target=3),
        Figure(name=f"takeover, longest of {kills}", value=max(took), unit="s", target=3),
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args(arguments)
    try:
        with own_postgres() as postgres:
            figures = takeovers(postgres.url(), kills=options.kills)
            figures += compare(postgres, jobs=options.jobs, rounds=options.rounds)
    except UnusableError as error:
        print(f"PostgreSQL cannot be run here: {error}", file=sys.stderr)
        return 0
    return show(figures)


if __name__ == "__main__":
    raise SystemExit(main())
