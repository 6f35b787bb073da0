"""The whole engine in one thread on a virtual clock: servers, clients, an operator, and bad weather.

Everything that is drawn comes from one seed, so a seed that fails fails again.
"""

import asyncio
import random
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from hodei.adapters.memory import MemoryDurableStore
from hodei.durable.definitions import Workflows
from hodei.durable.events import Decision
from hodei.durable.runner.activation import InlineActivator
from hodei.durable.runner.client import ClientParts, DurableClient, StartRequest
from hodei.durable.runner.engine import Engine, EngineParts, EngineSettings
from hodei.durable.runner.hints import Hints
from hodei.durable.runner.shards import LeaseTimes
from hodei.durable.runner.store_clock import StoreClock
from hodei.durable.runner.worker import ActivityWorker, WorkerParts
from hodei.kernel.errors import HodeiError, RefusedError
from hodei.kernel.ids import ServerId
from hodei.ports.durable import Batch, Committed, Refusal, RunFilter
from hodei.ports.durable_rows import OPEN, ParkReason, RunId, RunRow, RunStatus
from support.simulation.faulty_store import CALM, STORMY, FaultyStore, Life, Odds, Weather
from support.simulation.invariants import Invariants
from support.simulation.outside import LIFE, Outside
from support.simulation.scripts import HANDLERS, SCRIPTS, WORLD, Killed, Plan, draw
from support.simulation.virtual_loop import VirtualClock, VirtualLoop, run_virtually

SETTINGS = EngineSettings(
    leases=LeaseTimes(ttl_s=6.0, margin_s=1.0, look_s=1.0), poll_s=2.5, live_runs=3, grace_s=2.0
)
SERVERS = 3
STORM_S = 120.0
PATIENCE_S = 2 * 3600.0


class SeededIds:
    """An `IdSource` of the simulation."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._count = 0

    def new(self) -> str:
        self._count += 1
        return f"00000000-0000-7000-8000-{self._count:012d}"

    def token_bits(self) -> int:
        return self._rng.getrandbits(31)

    def secret(self) -> str:
        return str(self._rng.getrandbits(256))

    def fraction(self) -> float:
        return self._rng.random()


@dataclass(slots=True)
class Report:
    """What a simulation saw."""

    commits: int = 0
    lives: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    parked: set[str] = field(default_factory=set)


class Simulation:
    """One seed, from the first start to the last end."""

    def __init__(
        self,
        loop: VirtualLoop,
        seed: int,
        *,
        odds: Odds = STORMY,
        runs: int = 6,
        plans: list[tuple[str, Plan]] | None = None,
    ) -> None:
        self.rng = random.Random(seed)
        self._loop = loop
        self._ids = SeededIds(self.rng)
        self._plans = plans or [draw(self.rng) for _ in range(runs)]
        self._weather = Weather(self.rng, odds)
        self.store = MemoryDurableStore(VirtualClock(loop), shards=4)
        self._workflows = Workflows(SCRIPTS)
        self.invariants = Invariants(self.store, self._workflows)
        self.outside = Outside(self.invariants.before_effect)
        self.report = Report()
        self._failure: BaseException | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self.mended: set[str] = set()
        self.plan_of: dict[RunId, Plan] = {}
        self._is_over = False
        self._graves: list[Life] = []

    async def run(self) -> Report:
        """Runs it and checks everything.

        Raises:
            BrokenInvariantError: See `Invariants`.
        """
        WORLD.set(self.outside)
        Killed.mended.set(self.mended)
        for number in range(SERVERS):
            self._spawn(self._keep_server(number))
        for number, (name, plan) in enumerate(self._plans):
            self._spawn(self._use(number, name, plan))
        self._spawn(self._operate())
        await self._all_ended(within_s=STORM_S)
        self._weather.odds = CALM
        await self._all_ended(within_s=PATIENCE_S)
        self._is_over = True
        # What the network still holds back arrives after the end of everything.
        while self._weather.stray and self._failure is None:
            await asyncio.sleep(1)
        self._raise_failure()
        self.invariants.at_the_end()
        self._check_outcomes()
        self.report.commits = self.invariants.commits
        return self.report

    # The servers.

    async def _keep_server(self, number: int) -> None:
        """Starts a server again whenever it has died, and stops it in good order now and then."""
        while not self._is_over:
            await self._live_once(number)
            await asyncio.sleep(self.rng.random() * 10)

    async def _live_once(self, number: int) -> None:
        self.report.lives += 1
        died = self._loop.create_future()
        server = ServerId(f"server-{number}-life-{self.report.lives}")
        life = Life(server, lambda: died.done() or died.set_result(None))
        self._graves.append(life)
        LIFE.set(life)
        skew_s = self.rng.uniform(-30, 30)
        store = FaultyStore(self.store, life, self._weather, self._saw)
        clock = StoreClock(VirtualClock(self._loop, wrong_by_s=skew_s))
        hints = Hints()
        engine = Engine(
            EngineParts(
                server=server,
                store=store,
                workflows=self._workflows,
                clock=clock,
                hints=hints,
                activator=InlineActivator(),
                on_failure=self._fail,
            ),
            SETTINGS,
        )
        worker = ActivityWorker(
            WorkerParts(
                name=server,
                store=store,
                clock=clock,
                ids=self._ids,
                hints=hints,
                handlers=HANDLERS,
                on_failure=self._fail,
            ),
            lambda: ["platform"],
            slots=4,
        )
        lifetime_s = self.rng.uniform(5, 60) if self._weather.odds is not CALM else None
        try:
            async with asyncio.timeout(lifetime_s):
                await self._start(engine, worker)
                await died
        except TimeoutError:
            if self.rng.random() < 0.5:
                life.kill()
            else:
                self._spawn(self._stop_in_order(engine, worker))

    async def _start(self, engine: Engine, worker: ActivityWorker) -> None:
        while True:
            try:
                await engine.start()
            except HodeiError:
                await asyncio.sleep(0.5)
            else:
                break
        await worker.start()

    async def _stop_in_order(self, engine: Engine, worker: ActivityWorker) -> None:
        await worker.stop()
        await engine.stop()

    # Those who use it.

    def _client(self) -> DurableClient:
        life = Life(ServerId("client"), lambda: None)
        odds = Weather(self.rng, Odds(unknown=0.05, repeated=0.1))
        odds.stray = self._weather.stray
        store = FaultyStore(self.store, life, odds, self._saw)
        clock = StoreClock(VirtualClock(self._loop, wrong_by_s=self.rng.uniform(-30, 30)))
        return DurableClient(
            ClientParts(
                server=ServerId("client"),
                store=store,
                workflows=self._workflows,
                clock=clock,
                ids=self._ids,
                hints=Hints(),
                activator=InlineActivator(),
            )
        )

    async def _use(self, number: int, name: str, plan: Plan) -> None:
        client, rng = self._client(), self.rng
        await asyncio.sleep(rng.random() * 20)
        request = StartRequest(
            type=name, workflow_id=f"{name}-{number}", arguments=(plan,), request_id="only"
        )
        started = await _insist(lambda: client.start(request))
        run_id = started.run_id
        self.plan_of[run_id] = plan
        if name == "listener":
            for index in range(plan.signals + rng.randint(0, 2)):
                self._spawn(self._say(client, run_id, index))
        if rng.random() < 0.3:
            self._spawn(self._cancel(client, run_id))
        if rng.random() < 0.05:
            self._spawn(self._terminate(client, run_id))

    async def _say(self, client: DurableClient, run_id: RunId, index: int) -> None:
        await asyncio.sleep(self.rng.random() * 30)
        for _ in range(self.rng.randint(1, 2)):
            await _insist_while_open(
                lambda: client.signal(run_id, "say", f"s{index}", request_id=f"s{index}")
            )

    async def _cancel(self, client: DurableClient, run_id: RunId) -> None:
        for attempt in range(self.rng.randint(1, 2)):
            await asyncio.sleep(self.rng.random() * 15)
            await _insist_while_open(
                lambda attempt=attempt: client.cancel(
                    run_id, reason="no longer needed", by="tester", request_id=f"c{attempt}"
                )
            )

    async def _terminate(self, client: DurableClient, run_id: RunId) -> None:
        await asyncio.sleep(self.rng.random() * 30)
        await _insist_while_open(lambda: client.terminate(run_id, reason="enough", by="tester"))

    async def _operate(self) -> None:
        """Looks at parked runs now and then, mends the cause, and lets them go on."""
        client = self._client()
        while True:
            await asyncio.sleep(20)
            page = await self.store.list_runs(
                RunFilter(only_parked=True, statuses=tuple(OPEN)), limit=100
            )
            for run in page.runs:
                await self._care_for(client, run)

    async def _care_for(self, client: DurableClient, run: RunRow) -> None:
        assert run.parked is not None
        self.report.parked.add(run.parked.reason)
        if run.parked.reason not in {ParkReason.CRASHED, ParkReason.COMPENSATION_FAILED}:
            self._fail("engine", AssertionError(f"{run.run_id} is parked: {run.parked}"))
            return
        try:
            if run.parked.reason is ParkReason.CRASHED:
                self.mended.add(run.run_id)
                await client.unpark(run.run_id)
            else:
                is_skipped = self.rng.random() < 0.3
                if not is_skipped:
                    self.mended.add(run.run_id)
                decision = Decision.SKIP if is_skipped else Decision.RETRY
                await client.decide(run.run_id, decision, by="operator")
        except HodeiError:
            # Somebody was faster, or the answer was lost: it is looked at again.
            pass

    # What is checked.

    def _saw(self, life: Life, batch: Batch, outcome: Committed | Refusal) -> None:
        try:
            self.invariants.after_commit(life, batch, outcome)
        except BaseException as error:  # noqa: BLE001 - it must not vanish in the code under test
            self._fail("invariants", error)

    def _fail(self, name: str, error: BaseException) -> None:
        del name
        self._failure = self._failure or error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _all_ended(self, *, within_s: float) -> None:
        deadline = self._loop.time() + within_s
        while self._failure is None and self._loop.time() < deadline:
            runs = self.store._tables.runs
            if len(runs) == len(self._plans) and all(
                row.status not in OPEN for row in runs.values()
            ):
                return
            await asyncio.sleep(3)
        self._raise_failure()

    def _check_outcomes(self) -> None:
        for run_id, row in self.store._tables.runs.items():
            self.report.statuses[row.status] = self.report.statuses.get(row.status, 0) + 1
            plan = self.plan_of[run_id]
            self._check_sleep(run_id, row, plan)
            self._check_compensation(run_id, row)
            if row.status is RunStatus.COMPLETED:
                assert plan.fails_at == -1 or row.type in {"sleeper", "listener"}, row
            if row.status is RunStatus.FAILED:
                assert plan.fails_at >= 0 or row.type == "trip", (
                    row,
                    self.invariants.history(run_id),
                )

    def _check_sleep(self, run_id: RunId, row: RunRow, plan: Plan) -> None:
        if row.type == "sleeper" and self.outside.has(run_id, "after"):
            before = self.outside.times_of(run_id, "before")[0]
            after = self.outside.times_of(run_id, "after")[0]
            assert after - before >= plan.sleep_s, f"{run_id} woke early: {before}, {after}"

    def _check_compensation(self, run_id: RunId, row: RunRow) -> None:
        """What was begun of a run that failed was undone; of one that succeeded, nothing."""
        if row.type not in {"order", "trip"}:
            return
        done = {name for name, _ in self.outside.effects[run_id] if name.startswith("do")}
        undone = {name for name, _ in self.outside.effects[run_id] if name.startswith("undo")}
        if row.status is RunStatus.COMPLETED:
            assert not undone, (run_id, undone)
        if row.status in {RunStatus.FAILED, RunStatus.CANCELLED}:
            assert {f"un{name}" for name in done} <= undone, (run_id, done, undone)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(self._reported(work), context=copy_context())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _reported(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - it is raised by `run`
            self._fail("simulation", error)


async def _insist(call: Any) -> Any:
    """Calls until the answer is known, as a client does."""
    while True:
        try:
            return await call()
        except RefusedError:
            raise
        except HodeiError:
            await asyncio.sleep(0.5)


async def _insist_while_open(call: Any) -> None:
    with suppress(RefusedError):
        await _insist(call)


def simulate(seed: int, **options: Any) -> Report:
    """Runs one seed."""
    return run_virtually(lambda loop: Simulation(loop, seed, **options).run())
