"""Servers of the saga engine on a virtual clock, in fair weather: what a test does is all there is."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from hodei.adapters.memory import MemoryDurableStore
from hodei.durable import payloads
from hodei.durable.definitions import Workflow, Workflows
from hodei.durable.runner.activation import Activator, InlineActivator
from hodei.durable.runner.client import ClientParts, DurableClient, StartRequest
from hodei.durable.runner.engine import Engine, EngineParts, EngineSettings
from hodei.durable.runner.hints import Hints
from hodei.durable.runner.reports import Reports
from hodei.durable.runner.store_clock import StoreClock
from hodei.durable.runner.worker import ActivityWorker, Handler, WorkerParts
from hodei.kernel.ids import ServerId
from hodei.ports.durable import DurableStore
from hodei.ports.durable_rows import RunId, RunRow
from support.chance import CountingIds
from support.simulation.faulty_store import CALM, FaultyStore, Life, Weather
from support.simulation.virtual_loop import VirtualClock, VirtualLoop, run_virtually

__all__ = ["Cluster", "virtually"]


class _Still(Weather):
    async def delay(self) -> None:
        await asyncio.sleep(0)


@dataclass(slots=True)
class Server:
    """One life of one server."""

    life: Life
    engine: Engine
    worker: ActivityWorker
    client: DurableClient
    reports: Reports

    async def stop(self) -> None:
        await self.worker.stop()
        await self.engine.stop()


@dataclass(slots=True)
class Cluster:
    """A store and the servers around it."""

    loop: VirtualLoop
    store: MemoryDurableStore
    failures: list[BaseException] = field(default_factory=list)
    servers: list[Server] = field(default_factory=list)
    ids: CountingIds = field(default_factory=CountingIds)

    async def server(
        self,
        *workflows: Workflow,
        handlers: Mapping[str, Handler] | None = None,
        settings: EngineSettings | None = None,
        activator: Activator | None = None,
    ) -> Server:
        """Starts a server that has these workflows and activities."""
        name = ServerId(f"server-{len(self.servers)}")
        life = Life(name, lambda: None)
        store: DurableStore = FaultyStore(
            self.store, life, _Still(random.Random(0), CALM), lambda *_: None
        )
        clock, hints = StoreClock(VirtualClock(self.loop)), Hints()
        loaded = Workflows(workflows)
        activator = activator or InlineActivator()
        engine = Engine(
            EngineParts(
                server=name,
                store=store,
                workflows=loaded,
                clock=clock,
                hints=hints,
                activator=activator,
                on_failure=self._fail,
            ),
            settings or EngineSettings(),
        )
        worker = ActivityWorker(
            WorkerParts(
                name=name,
                store=store,
                clock=clock,
                ids=self.ids,
                hints=hints,
                handlers=handlers or {},
                on_failure=self._fail,
            ),
            lambda: ["platform"],
        )
        client = DurableClient(
            ClientParts(
                server=name,
                store=store,
                workflows=loaded,
                clock=clock,
                ids=self.ids,
                hints=hints,
                activator=activator,
            )
        )
        server = Server(life, engine, worker, client, Reports(store, clock, hints))
        self.servers.append(server)
        await engine.start()
        await worker.start()
        return server

    async def until(self, run_id: RunId, holds: Callable[[RunRow], bool]) -> RunRow:
        """Waits until the stored run is as wanted."""
        async with asyncio.timeout(10 * 365 * 24 * 3600):
            while not holds(row := self.row(run_id)):
                assert not self.failures, self.failures
                await asyncio.sleep(0.01)
        return row

    def row(self, run_id: RunId) -> RunRow:
        return self.store._tables.runs[run_id]

    def events(self, run_id: RunId) -> list[str]:
        return [row.kind for row in self.store._tables.history[run_id]]

    def _fail(self, _name: str, error: BaseException) -> None:
        self.failures.append(error)


async def start(
    client: DurableClient, name: str, *arguments: object, workflow_id: str = "wf"
) -> RunId:
    request = StartRequest(type=name, workflow_id=workflow_id, arguments=arguments)
    return (await client.start(request)).run_id


async def result(client: DurableClient, run_id: RunId) -> object:
    return payloads.decode(await client.result(run_id), object, what="result")


def virtually(test: Callable[[Cluster], Awaitable[None]]) -> Callable[[], None]:
    """Makes a test of an async function that gets a cluster, and checks that nothing broke."""

    def run() -> None:
        async def main(loop: VirtualLoop) -> None:
            cluster = Cluster(loop, MemoryDurableStore(VirtualClock(loop)))
            await test(cluster)
            for server in cluster.servers:
                if server.life.is_alive:
                    await server.stop()
            assert not cluster.failures, cluster.failures

        run_virtually(main)

    run.__name__ = run.__qualname__ = getattr(test, "__name__", "test")
    return run
