"""Hodei's own sagas, killed at every point of their histories, on every store."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import cast

import pytest

from hodei.adapters.memory import MemoryDurableStore, MemoryStore
from hodei.adapters.postgres import PostgresStore
from hodei.adapters.postgres.runs import PostgresDurableStore
from hodei.adapters.sqlite import SqliteStore
from hodei.application.clean_up_orphans import CleanUpOrphans
from hodei.application.provision_worker import ProvisioningFailedError
from hodei.domain.workers.states import WorkerState
from hodei.durable.definitions import Activity, limits
from hodei.durable.events import (
    ActivitySucceeded,
    CompensationRegistered,
    RunCompleted,
    RunFailed,
    RunStarted,
    StepCompensated,
)
from hodei.durable.recorded import Recorded
from hodei.durable.runner.engine import EngineSettings
from hodei.durable.runner.shards import LeaseTimes
from hodei.durable.runner.worker import Attempt, Handler
from hodei.kernel.ids import WorkerId
from hodei.lifecycle.service import TaskSet
from hodei.lifecycle.system_clock import SystemClock
from hodei.ports.durable import DurableStore, RunFilter
from hodei.ports.durable_rows import OPEN
from hodei.ports.providers import (
    Handle,
    ProviderUnavailableError,
    ProvisioningRefusedError,
    ProvisionRequest,
)
from hodei.ports.stores import Store, StoreUnavailableError
from hodei.sagas import clean_up_orphans, provision_worker, queues
from hodei.sagas.provision_worker import AWAIT, GIVE_BACK, WorkerOrder
from support.fake_provider import FakeProvider
from support.mortal_runs import Death, Fate, MortalRuns
from support.plane import Foundation, Plane

SETTINGS = EngineSettings(
    leases=LeaseTimes(ttl_s=2.0, margin_s=0.5, look_s=0.1), poll_s=0.2, grace_s=0.1
)
HEARTBEAT_S = 1.0
ENROL_WITHIN_S = {"up": 60.0, "late": 0.2, "broken": 2.0}
"""By what becomes of the worker: it comes up; it never enrols; its provider makes it and fails (and who
finds the instance afterwards waits for it)."""

Opened = tuple[Store, DurableStore]
OpenStores = Callable[[AsyncExitStack], Awaitable[Opened]]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def open_stores(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStores:
    """Opens the stores of a server; what one has written, the next finds."""
    if request.param == "memory":
        kept = MemoryStore(), MemoryDurableStore(SystemClock())

        async def open_memory(_: AsyncExitStack) -> Opened:
            return kept

        return open_memory
    if request.param == "sqlite":

        async def open_sqlite(stack: AsyncExitStack) -> Opened:
            database = await SqliteStore.open(tmp_path)
            stack.push_async_callback(database.close)
            return database, database.durable(SystemClock())

        return open_sqlite
    url = request.getfixturevalue("postgres_url")

    async def open_postgres(stack: AsyncExitStack) -> Opened:
        store = await PostgresStore.open(url)
        stack.push_async_callback(store.close)
        durable = await PostgresDurableStore.open(url)
        stack.push_async_callback(durable.close)
        return store, durable

    return open_postgres


@pytest.fixture(autouse=True)
def _quick_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    for saga in (provision_worker, clean_up_orphans):
        for name, activity in vars(saga).copy().items():
            if isinstance(activity, Activity):
                quick = replace(activity, limits=limits(heartbeat_s=HEARTBEAT_S))
                monkeypatch.setattr(saga, name, quick)


class World:
    """What servers make, and what outlives them: instances, and the agents in them."""

    def __init__(self) -> None:
        self.provider = FakeProvider(max_workers=1_000)
        self.provider.on_provision = self._make
        self.made: Counter[WorkerId] = Counter()
        self.agents = TaskSet()
        self.server: Plane

    def _make(self, request: ProvisionRequest) -> None:
        worker_id = request.worker_id
        if worker_id not in self.provider.instances:
            self.made[worker_id] += 1
        name = worker_id.split("-")[0]
        if name == "broken":
            handle = Handle(provider=self.provider.name, worker_id=worker_id, data={"pid": "1"})
            self.provider.instances.setdefault(worker_id, handle)
            raise ProviderUnavailableError("it is on fire")
        if name == "up":
            self.agents.start(self._come(worker_id), name=f"agent {worker_id}")

    async def _come(self, worker_id: WorkerId) -> None:
        while (await self.server.worker(worker_id)).ready_at is None:
            with suppress(StoreUnavailableError):
                await self.server.enrol(worker_id)
                await self.server.connect(worker_id)


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a server."""

    plane: Plane
    runs: MortalRuns
    begun: list[tuple[str, str]]
    """Activities that were carried out, by the keys of their tasks and their names."""


@asynccontextmanager
async def life(
    providers: Sequence[FakeProvider], open_stores: OpenStores, *own_queues: str
) -> AsyncIterator[Life]:
    async with AsyncExitStack() as stack:
        store, durable = await open_stores(stack)
        runs = MortalRuns(durable)
        plane = Plane(*providers, over=Foundation(store=store, durable=runs, settings=SETTINGS))
        registry = plane.workflows.registry
        plane.workflows.registry = replace(
            registry, queues=lambda: [*registry.queues(), *own_queues]
        )
        begun: list[tuple[str, str]] = []
        handlers = cast("dict[str, Handler]", plane.workflows.registry.activities)
        for name, handler in list(handlers.items()):
            handlers[name] = _noting(handler, name, begun)
        await plane.load()
        stack.push_async_callback(plane.close)
        yield Life(plane, runs, begun)


def _noting(handler: Handler, name: str, begun: list[tuple[str, str]]) -> Handler:
    @wraps(handler)
    async def noting(attempt: Attempt, *arguments: object) -> object:
        begun.append((attempt.key, name))
        return await handler(attempt, *arguments)

    return noting


async def bring_up(plane: Plane, worker_id: str) -> None:
    order = WorkerOrder(
        worker_id=WorkerId(worker_id),
        provider=plane.providers[0].name,
        enroll_timeout_s=ENROL_WITHIN_S[worker_id.split("-", maxsplit=1)[0]],
    )
    await _bring_up(plane, order)


async def histories(plane: Plane) -> dict[str, list[Recorded]]:
    """Of all runs, by workflow id."""
    client = plane.workflows.client
    page = await client.list_runs(RunFilter(), limit=1_000)
    assert not page.next_cursor
    return {each.workflow_id: await client.history(each.run_id) for each in page.runs}


async def until_closed(plane: Plane, wanted: Callable[[], set[str]]) -> None:
    """Looks again and again: nothing tells of the ends of runs that nobody listens to."""
    for _ in itertools.count():
        page = await plane.workflows.client.list_runs(RunFilter(), limit=1_000)
        if wanted() <= {each.workflow_id for each in page.runs if each.status not in OPEN}:
            return
        await asyncio.sleep(0.05)


def fates(commits: Counter[str]) -> dict[str, Fate]:
    """One for each point at which a server can die, for each way a saga can go."""
    return {
        f"{outcome}-{death.lower()}-{number}": Fate(commits=number, death=death)
        for outcome in ENROL_WITHIN_S
        for death in Death
        for number in range(1, commits[f"{outcome}-0"] + 1)
    }


async def die_everywhere(first: Life) -> dict[str, list[Recorded]]:
    """Lets a saga die at each of its points; returns what was recorded by then."""
    async with asyncio.TaskGroup() as group:
        for outcome in ENROL_WITHIN_S:
            group.create_task(bring_up(first.plane, f"{outcome}-0"))
    first.runs.fates = fates(first.runs.commits)
    begun = TaskSet()
    for worker_id in first.runs.fates:
        begun.start(bring_up(first.plane, worker_id), name=worker_id)
    await until_closed(first.plane, lambda: set(first.runs.fates) - first.runs.dead)
    await begun.close()
    return await histories(first.plane)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_worker_is_brought_up_or_undone_wherever_its_server_dies(
    open_stores: OpenStores,
) -> None:
    world = World()
    async with life([world.provider], open_stores) as first:
        world.server = first.plane
        before = await die_everywhere(first)
        assert len(first.runs.dead) > 60
    async with life([world.provider], open_stores) as second:
        world.server = second.plane
        await until_closed(second.plane, lambda: set(before))
        after = await histories(second.plane)
        rows = {name: await second.plane.worker(WorkerId(name)) for name in after}
        await world.agents.close()

    for name, history in after.items():
        outcome = name.split("-")[0]
        is_up = outcome == "up"
        assert rows[WorkerId(name)].state is (WorkerState.READY if is_up else WorkerState.LOST)
        registered, undone = compensations(history)
        assert undone == ([] if is_up else registered[::-1])
        assert (WorkerId(name) in world.provider.instances) is is_up
        assert world.made[WorkerId(name)] == 1
        # What is recorded to be done was not begun again by the next server.
        done = {f"{_run_id(history)}/{number}" for number in succeeded(before.get(name, []))}
        assert not done & {key for key, _ in second.begun}
    assert first.runs.dead <= set(after)


def provider_with_orphans(name: str) -> FakeProvider:
    """Two instances that no row tells of, and one that cannot be removed."""
    provider = FakeProvider(name)
    for number in range(3):
        worker_id = WorkerId(f"{name}-{number}")
        provider.instances[worker_id] = Handle(
            provider=provider.name, worker_id=worker_id, data={"pid": str(number)}
        )

    def fail(handle: Handle) -> None:
        if handle.worker_id.endswith("-2"):
            raise ProvisioningRefusedError("it is write-protected")

    provider.on_destroy = fail
    return provider


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_what_nobody_owns_is_removed_wherever_the_server_dies(
    open_stores: OpenStores,
) -> None:
    providers = [provider_with_orphans(f"p{number}") for number in range(40)]
    async with life(providers, open_stores) as first:
        cleaner = first.plane.cleaner
        outcomes = await cleaner.clean_up(providers[0])
        assert [(each.is_removed, each.message) for each in outcomes] == [
            (True, ""),
            (True, ""),
            (False, "it is write-protected"),
        ]
        points = [
            Fate(commits=number, death=death)
            for death in Death
            for number in range(1, first.runs.commits["clean-up-p0"] + 1)
        ]
        dying = providers[1 : 1 + len(points)]
        assert 20 < len(points) == len(dying)
        first.runs.fates = {
            f"clean-up-{each.name}": fate for each, fate in zip(dying, points, strict=True)
        }
        begun = TaskSet()
        for each in dying:
            begun.start(_begin(cleaner, each), name=each.name)
        await until_closed(first.plane, lambda: set(first.runs.fates) - first.runs.dead)
        await begun.drain()
        before = await histories(first.plane)
        assert len(first.runs.dead) > 20
    async with life(providers, open_stores) as second:
        await until_closed(second.plane, lambda: set(before))
        after = await histories(second.plane)

    for each in dying:
        history = after[f"clean-up-{each.name}"]
        assert isinstance(history[-1].event, RunCompleted)
        assert set(each.instances) == {WorkerId(f"{each.name}-2")}
        done = succeeded(before[f"clean-up-{each.name}"])
        keys = {f"{_run_id(history)}/{number}" for number in done}
        assert not keys & {key for key, _ in second.begun}


async def _begin(cleaner: CleanUpOrphans, provider: FakeProvider) -> None:
    with suppress(StoreUnavailableError):
        await cleaner.begin(provider)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("has_come", [True, False])
async def test_a_host_that_stays_away_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, *, has_come: bool
) -> None:
    """Another server goes on with its worker, and asks no provider for what it cannot see."""
    kept = MemoryStore(), MemoryDurableStore(SystemClock())

    async def open_stores(_: AsyncExitStack) -> Opened:
        return kept

    provider, worker_id = FakeProvider(), WorkerId("fake-1")
    order = WorkerOrder(
        worker_id=worker_id,
        provider=provider.name,
        home="a",
        enroll_timeout_s=60.0 if has_come else 0.5,
    )
    own_queue = queues.provider_queue(provider.name, "a")
    async with life([provider], open_stores, own_queue) as host:
        begun = TaskSet()
        begun.start(_bring_up(host.plane, order), name="provision")
        for _ in itertools.count():
            if AWAIT.name in {name for _, name in host.begun}:
                break
            await asyncio.sleep(0.01)
        host.runs.dead.add(worker_id)
        await begun.close()
    monkeypatch.setattr(queues, "HOST_WITHIN_S", 0.3)
    async with life([provider], open_stores) as other:
        if has_come:
            await other.plane.enrol(worker_id)
            await other.plane.connect(worker_id)
        await until_closed(other.plane, lambda: {worker_id})
        history = (await histories(other.plane))[worker_id]
        worker = await other.plane.worker(worker_id)

    assert isinstance(history[-1].event, RunCompleted if has_come else RunFailed)
    assert worker.state is (WorkerState.READY if has_come else WorkerState.LOST)
    assert {name for _, name in other.begun} <= {AWAIT.name, GIVE_BACK.name}
    # What is left on the host is an orphan, should it come back.
    assert (set(provider.instances), provider.destroyed) == ({worker_id}, [])


async def _bring_up(plane: Plane, order: WorkerOrder) -> None:
    with suppress(ProvisioningFailedError, StoreUnavailableError):
        await plane.provisioner.provision(order)


def compensations(history: list[Recorded]) -> tuple[list[int], list[int]]:
    """What was registered, and what was undone, in order."""
    events = [each.event for each in history]
    return (
        [each.command_id for each in events if isinstance(each, CompensationRegistered)],
        [each.registration for each in events if isinstance(each, StepCompensated)],
    )


def succeeded(history: list[Recorded]) -> set[int]:
    return {each.event.command_id for each in history if isinstance(each.event, ActivitySucceeded)}


def _run_id(history: list[Recorded]) -> str:
    started = history[0].event
    assert isinstance(started, RunStarted)
    return started.run_id
