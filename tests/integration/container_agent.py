"""An agent that runs from the bundle in a container, started as a provider would."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from docker_engine import Engine
from integration.agent_server import FakeServer

WORK = "/hodei-work"
NOTHING_BUT_WORK = ("--tmpfs", f"{WORK}:exec,mode=1777")
"""The only place that it may write to, where the rest is read-only or has no /tmp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerAgent:
    """A started container with an agent as its first process."""

    engine: Engine
    name: str
    process: asyncio.subprocess.Process

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        engine: Engine,
        bundle: Path,
        image: str,
        server: FakeServer,
        *,
        options: Sequence[str] = (),
        host: str = "",
        **bootstrap: object,
    ) -> AsyncIterator["ContainerAgent"]:
        """Starts it, waits for its stream, and removes it with all that it wrote."""
        async with cls.started(engine, bundle, image, options=options) as agent:
            before = len(server.streams)
            await agent.tell(server, host, **bootstrap)
            try:
                await server.until(lambda: len(server.streams) > before)
            except TimeoutError:
                raise AssertionError(f"it did not come: {agent.said()}") from None
            yield agent

    @classmethod
    @asynccontextmanager
    async def started(
        cls, engine: Engine, bundle: Path, image: str, *, options: Sequence[str] = ()
    ) -> AsyncIterator["ContainerAgent"]:
        """Starts it; it waits to be told whom to dial."""
        words = [
            *("--interactive", "--volume", f"{bundle}:/hodei:ro", "--entrypoint", ""),
            *(*NOTHING_BUT_WORK, *options),
            *(image, "/hodei/hodei-agent", "--work-dir", f"{WORK}/agent"),
        ]
        name = (await asyncio.to_thread(engine.docker, "create", *words)).strip()
        process = await asyncio.create_subprocess_exec(
            *("docker", "--host", engine.host, "start", "--attach", "--interactive", name),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            yield cls(engine=engine, name=name, process=process)
        finally:
            await asyncio.to_thread(engine.docker, "rm", "--force", "--volumes", name)
            await process.wait()

    async def until_started(self, within_s: float = 10.0) -> None:
        """Waits until the launcher has made way for the interpreter: looks every 20 ms."""
        async with asyncio.timeout(within_s):
            while b"boot.pyc" not in await asyncio.to_thread(self._command_line):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def _command_line(self) -> bytes:
        pid = self.engine.docker("inspect", "--format", "{{.State.Pid}}", self.name).strip()
        return Path(f"/proc/{pid}/cmdline").read_bytes() if pid != "0" else b""

    async def tell(self, server: FakeServer, host: str = "", **bootstrap: object) -> None:
        """Gives it the bootstrap document, with the server under another name where one is given."""
        document = json.dumps(server.bootstrap(slots=1, **bootstrap))
        document = document.replace(server.host, host or server.host)
        assert self.process.stdin is not None
        self.process.stdin.write(document.encode())
        self.process.stdin.close()

    async def exit_code(self, within_s: float = 10.0) -> int:
        """Waits for the end of the container; returns its code."""
        async with asyncio.timeout(within_s):
            return int(await asyncio.to_thread(self.engine.docker, "wait", self.name))

    def said(self) -> str:
        """The agent's own log."""
        command = ["docker", "--host", self.engine.host, "logs", self.name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stderr

    def pids(self) -> list[str]:
        """Its processes, as this host has them."""
        return self.engine.docker("top", self.name, "-o", "pid").split()[1:]

    def mapped_files(self) -> set[str]:
        """Files that any of its processes has in its memory: agent, keeper and slots."""
        lines = [
            line
            for pid in self.pids()
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines()
        ]
        return {line.split(maxsplit=5)[5] for line in lines if "/" in line}
