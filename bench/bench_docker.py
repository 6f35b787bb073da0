"""Jobs in containers beside `docker run` and the bare Engine API, on an engine of the benchmark's own.

The same image, the same default network, in turns in one run; what counts is the ratio. The agent
bundle is built when it is missing. Where no engine can run, no figure is given.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
from aiodocker import Docker

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tools")]

import docker_engine  # noqa: E402
import docker_images  # noqa: E402 - tools are no package of ours
from agent_bundle.build import build  # noqa: E402
from agent_bundle.programs import run  # noqa: E402
from agent_bundle.recipe import ARCHITECTURES  # noqa: E402
from hodei.kernel.version import VERSION  # noqa: E402
from hodei.wire import hodei_all_in_one_pb2 as pb  # noqa: E402
from report import Figure, show  # noqa: E402
from running import Stubs, echo, running_server  # noqa: E402
from turns import first_byte, in_turns  # noqa: E402

ROUNDS = 15
AT_ONCE = 4
BATCH = 20
"""Containers for one reading of the rate: five times as many as there are at once."""
IMAGE = docker_images.BUSYBOX
LOOK_AGAIN_S = 0.01
SETTLED_WITHIN_S = 60.0
ENDED_WITHIN_S = 300.0
"""A batch of containers, at a tenth of the rate that a small machine has."""
TERMINAL = {"SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A server whose jobs run in containers, and the engine that makes them: the only ones there."""

    stubs: Stubs
    host: str
    """Of the engine, as DOCKER_HOST has it."""
    docker: Docker
    """The bare Engine API."""
    numbers: "itertools.count[int]"

    async def docker_run(self) -> float:
        """Milliseconds to the first byte of a plain container."""
        return await first_byte(
            ["docker", "--host", self.host, "run", "--rm", IMAGE, "echo", "word"]
        )

    async def job(self, workers_before: int) -> float:
        """Milliseconds to the first byte of a job, queued once so many workers wait for one."""
        await self.settled(workers_before)
        return await self.stubs.first_byte(self._definition())

    async def rate_of_jobs(self) -> float:
        """Jobs a second, each in a container of its own, until the last container is gone."""
        await self.settled(0)
        request = pb.StreamJobEventsRequest(after_position=await self.stubs.position(), follow=True)
        events = self.stubs.jobs.StreamJobEvents(request, timeout=ENDED_WITHIN_S)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(BATCH):
                queued = pb.QueueJobRequest(job_definition=self._definition())
                tasks.create_task(_answer(self.stubs.jobs.QueueJob, queued))
        left = BATCH
        async for event in events:
            if event.type.startswith("Job") and event.state in TERMINAL:
                assert event.state == "SUCCEEDED", event
            # A worker's end is told once its container is removed. To ask for it again and again
            # would cost server and engine what is measured here.
            if event.type == "WorkerTerminated":
                left -= 1
                if not left:
                    break
        took = time.perf_counter() - began
        events.cancel()
        return BATCH / took

    async def rate_of_engine(self) -> float:
        """Containers a second, by create, start, wait and remove of the bare Engine API."""
        await self.settled(0)
        left = iter(range(BATCH))
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(_one_after_the_other(self.docker, left))
        return BATCH / (time.perf_counter() - began)

    async def settled(self, workers: int) -> None:
        """Returns once there are so many workers, each of them idle, and no more containers."""
        async with asyncio.timeout(SETTLED_WITHIN_S):
            while True:
                answer = await self.stubs.workers.ListWorkers(pb.ListWorkersRequest())
                states = [worker.state for worker in answer.workers]
                containers = await self.docker.containers.list(all=True)
                if states == ["READY"] * workers and len(containers) == workers:
                    return
                await asyncio.sleep(LOOK_AGAIN_S)

    def _definition(self) -> pb.JobDefinition:
        return echo("word", f"docker-{next(self.numbers)}", image=IMAGE)


async def _answer(
    call: Callable[[pb.QueueJobRequest], grpc.aio.UnaryUnaryCall], request: pb.QueueJobRequest
) -> None:
    await call(request)


async def _one_after_the_other(docker: Docker, left: Iterator[int]) -> None:
    for _ in left:
        container = await docker.containers.create({"Image": IMAGE, "Cmd": ["echo", "word"]})
        await container.start()
        await container.wait()
        await container.delete(force=True, v=True)


@asynccontextmanager
async def serving(
    engine: docker_engine.Engine, bundle: Path, **settings: object
) -> AsyncIterator[Bench]:
    """A server on the engine, with no local workers beside."""
    plain: dict[str, object] = {
        "docker_enabled": 1,
        "docker_host": engine.host,
        "docker_agent_bundle": bundle,
        "docker_max_workers": AT_ONCE,
        "local_warm_workers": 0,
    }
    with running_server(**(plain | settings)) as server:
        async with (
            grpc.aio.insecure_channel(server.address) as channel,
            Docker(url=engine.host) as docker,
        ):
            yield Bench(
                stubs=Stubs.on(channel), host=engine.host, docker=docker, numbers=itertools.count()
            )


async def measure(engine: docker_engine.Engine, bundle: Path, rounds: int) -> list[Figure]:
    """All of it."""
    async with serving(engine, bundle) as bench:
        cold = await in_turns(
            {"docker run": bench.docker_run, "cold worker": lambda: bench.job(0)}, rounds
        )
        rates = await in_turns(
            {"Engine API": bench.rate_of_engine, "jobs": bench.rate_of_jobs},
            max(1, rounds // 3),
            unit="/s",
        )
    async with serving(engine, bundle, docker_warm=f"{IMAGE}=1") as bench:
        warm = await in_turns(
            {"docker run, beside": bench.docker_run, "warm worker": lambda: bench.job(1)}, rounds
        )
    return [
        Figure(
            name="cold worker / docker run, first byte",
            value=cold["cold worker"] / cold["docker run"],
            unit="",
            target=1.4,
            note=f"{cold['cold worker']:.0f} and {cold['docker run']:.0f} ms; {rounds} rounds",
        ),
        Figure(
            name="warm worker, QueueJob to first byte, p50",
            value=warm["warm worker"],
            unit="ms",
            target=30,
        ),
        Figure(
            name="docker run / warm worker, first byte",
            value=warm["docker run, beside"] / warm["warm worker"],
            unit="",
            target=8,
            at_least=True,
        ),
        Figure(
            name=f"containers/s at {AT_ONCE} at once, jobs / Engine API",
            value=rates["jobs"] / rates["Engine API"],
            unit="",
            target=0.9,
            at_least=True,
            note=f"{rates['jobs']:.2f} and {rates['Engine API']:.2f} a second",
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds: {options.rounds} is not 1 or more")
    engine = docker_engine.Engine(
        directory=Path(tempfile.mkdtemp(prefix="hodei-bench-")) / "engine"
    )
    try:
        docker_engine.install()
        architecture = ARCHITECTURES[run(["dpkg", "--print-architecture"]).strip()]
        bundle = build(architecture, ROOT / "build" / "agent-bundle", VERSION).directory
        engine.start()
        docker_images.load(engine)
        return show(asyncio.run(measure(engine, bundle, options.rounds)))
    except docker_engine.UnusableError as error:
        print(f"no Docker engine can be run here: {error}")
        return 0
    finally:
        engine.remove()
        engine.directory.parent.rmdir()


if __name__ == "__main__":
    raise SystemExit(main())
