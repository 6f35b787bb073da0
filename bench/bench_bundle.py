"""From exec to an agent's first message over mTLS: the bundle, an environment, and in containers.

All are measured in turns in one run; what counts is the ratio to what stands beside it. The server is
that of the tests; the engine too, and where none can run only the first ratio is given.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

import docker_engine  # noqa: E402
import docker_images  # noqa: E402 - tools and tests are no packages of ours
from agent_bundle.build import build  # noqa: E402
from agent_bundle.programs import run  # noqa: E402
from agent_bundle.recipe import ARCHITECTURES  # noqa: E402
from hodei.kernel.version import VERSION  # noqa: E402
from integration.agent_server import FakeServer  # noqa: E402
from report import Figure, show  # noqa: E402
from turns import first_byte, in_turns  # noqa: E402

ROUNDS = 15


async def first_message(server: FakeServer, command: Sequence[str | Path]) -> float:
    """Milliseconds from starting a command, which is an agent, to its hello at the server."""
    before = len(server.streams)
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(server.bootstrap(slots=1)).encode())
    process.stdin.close()
    await server.until(lambda: len(server.streams) > before, within_s=30)
    took = time.perf_counter() - began
    process.terminate()
    await process.wait()
    return took * 1000


async def on_this_host(bundle: Path, rounds: int) -> list[Figure]:
    """The bundle beside an installed agent."""
    with tempfile.TemporaryDirectory() as scratch:
        async with FakeServer.serving(Path(scratch) / "ca") as server:
            installed = [sys.executable, "-m", "hodei.agent"]
            medians = await in_turns(
                {
                    "bundle": lambda: first_message(server, [bundle / "hodei-agent"]),
                    "installed": lambda: first_message(server, installed),
                },
                rounds,
            )
    ratio = medians["bundle"] / medians["installed"]
    return [Figure(name="bundle / installed agent, first message", value=ratio, unit="", target=1)]


async def in_containers(bundle: Path, rounds: int) -> list[Figure]:
    """A container with an agent beside one that only prints a word."""
    scratch = Path(tempfile.mkdtemp(prefix="hodei-bench-"))
    engine = docker_engine.Engine(directory=scratch / "engine")
    try:
        docker_engine.install()
        engine.start()
        docker_images.load(engine)
    except docker_engine.UnusableError as error:
        print(f"no Docker engine can be run here: {error}")
        return []
    try:
        docker = ["docker", "--host", engine.host, "run", "--rm"]
        mount = ["--interactive", "--volume", f"{bundle}:/hodei:ro"]
        async with FakeServer.serving(scratch / "ca", host=engine.gateway) as server:
            medians = await in_turns(
                {
                    "docker run, first byte": lambda: first_byte(
                        [*docker, docker_images.BUSYBOX, "echo", "word"]
                    ),
                    "docker run of the bundle, first message": lambda: first_message(
                        server, [*docker, *mount, docker_images.BUSYBOX, "/hodei/hodei-agent"]
                    ),
                },
                rounds,
            )
    finally:
        engine.remove()
    plain, agent = medians.values()
    return [
        Figure(
            name="container with agent / plain container", value=agent / plain, unit="", target=1.4
        )
    ]


async def measure(rounds: int) -> list[Figure]:
    """All of it."""
    architecture = ARCHITECTURES[run(["dpkg", "--print-architecture"]).strip()]
    bundle = build(architecture, ROOT / "build" / "agent-bundle", VERSION).directory
    return [*await on_this_host(bundle, rounds), *await in_containers(bundle, rounds)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    return show(asyncio.run(measure(parser.parse_args().rounds)))


if __name__ == "__main__":
    raise SystemExit(main())
