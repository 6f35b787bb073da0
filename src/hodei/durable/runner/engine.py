"""The engine of one server: a service that moves the runs of the shards that it owns."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import structlog

from hodei.durable.definitions import Workflows
from hodei.durable.loop.instance import Instance
from hodei.durable.runner.activation import Activator
from hodei.durable.runner.desk import Desk, Desks
from hodei.durable.runner.hints import Hints
from hodei.durable.runner.rounds import RoundEnd, RoundParts, Rounds
from hodei.durable.runner.shards import DEFAULT_LEASES, LeaseTimes, Shards, shard_of
from hodei.durable.runner.steps import Steps
from hodei.durable.runner.store_clock import StoreClock
from hodei.durable.runner.upkeep import POLL_S, Upkeep
from hodei.kernel.ids import ServerId
from hodei.lifecycle.block_watch import BlockWatch
from hodei.lifecycle.service import BackgroundLoop, TaskSet
from hodei.ports.durable import DurableStore
from hodei.ports.durable_rows import OPEN, RunId, ShardId
from hodei.ports.stores import StoreUnavailableError

log = structlog.get_logger()

_RUNS_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How an engine works."""

    leases: LeaseTimes = DEFAULT_LEASES
    poll_s: float = POLL_S
    """Between two looks for work when nobody gives a hint."""
    live_runs: int = 1_000
    """Runs that are kept in memory between their rounds; others are replayed when they go on."""
    rounds_at_once: int = 256
    grace_s: float = 10.0
    """For local steps to end when the server stops; then they are cut, and run again elsewhere."""


DEFAULT_SETTINGS: Final = EngineSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParts:
    """What an engine works with."""

    server: ServerId
    """This life of this process."""
    store: DurableStore
    workflows: Workflows
    clock: StoreClock
    hints: Hints
    activator: Activator
    on_failure: Callable[[str, BaseException], None]
    """Ends the process: a part of the engine has a defect."""
    watch: BlockWatch = field(default_factory=BlockWatch)
    """Cuts local steps that hold up the event loop, once it was started."""


class Engine:
    """Finds runs that have something to do, and lets each grow by a round at a time.

    `stop` lets steps end, takes back what it began and gives its shards away.
    """

    def __init__(self, parts: EngineParts, settings: EngineSettings = DEFAULT_SETTINGS) -> None:
        self._store = parts.store
        self._hints = parts.hints
        self._clock = parts.clock
        self._settings = settings
        self._activator = parts.activator
        self._watch = parts.watch
        self._work = TaskSet()
        self._steps = TaskSet()
        self._room = asyncio.Semaphore(settings.rounds_at_once)
        self._desks = Desks(capacity=settings.live_runs, wind_up=self._wind_up)
        self._shards = Shards(
            parts.server,
            parts.store,
            parts.clock,
            times=settings.leases,
            on_lost=self._drop_shards,
            on_leaving=self._rest_shards,
        )
        self._rounds = Rounds(
            RoundParts(
                store=parts.store,
                workflows=parts.workflows,
                clock=parts.clock,
                shards=self._shards,
                activator=parts.activator,
                hints=parts.hints,
                desks=self._desks,
            )
        )
        self._upkeep = Upkeep(
            parts.store,
            clock=parts.clock,
            shards=self._shards,
            hints=parts.hints,
            poll_s=settings.poll_s,
        )
        self._loops = [
            BackgroundLoop(name, self._persisting(name, run), on_failure=parts.on_failure)
            for name, run in (
                ("durable shards", self._keep_shards),
                ("durable runs", self._look_for_runs),
                ("durable timers", self._fire_timers),
                ("durable tasks", self._watch_tasks),
            )
        ]

    @property
    def shards(self) -> list[ShardId]:
        """The shards that this server owns just now."""
        return self._shards.owned()

    def owns(self, workflow_id: str, *, namespace: str = "default") -> bool:
        """Whether this server moves the runs of a workflow id just now."""
        shard = shard_of(namespace, workflow_id, max(1, self._shards.count))
        return self._shards.fence(shard) is not None

    @property
    def live_runs(self) -> int:
        """How many runs are in memory."""
        return len(self._desks)

    async def start(self) -> None:
        """Takes the shards that are free.

        Raises:
            StoreUnavailableError: The store cannot be asked.
        """
        await self._shards.look()
        for each in self._loops:
            await each.start()

    async def stop(self) -> None:
        """See `Engine`. Idempotent."""
        for each in reversed(self._loops):
            await each.stop()
        try:
            async with asyncio.timeout(self._settings.grace_s):
                await self._steps.drain()
                await self._work.drain()
        except TimeoutError:
            log.warning("durable_steps_cut", runs=len(self._desks))
        try:
            await self._shards.give_up()
        except StoreUnavailableError:
            log.warning("durable_shards_not_given_up")
        await self._steps.close()
        await self._work.close()
        await self._activator.stop()

    async def _keep_shards(self) -> None:
        before = set(self._shards.owned())
        await self._shards.look()
        if taken := set(self._shards.owned()) - before:
            log.info("durable_shards_taken", count=len(taken))
            for run_id in await self._store.runs_due(sorted(taken), limit=_RUNS_PAGE):
                self._hints.look_at(run_id)
            self._hints.timers.notify()
            self._hints.task_times.notify()
        await asyncio.sleep(self._settings.leases.look_s)

    async def _look_for_runs(self) -> None:
        for run_id in await self._store.runs_due(self._shards.owned(), limit=_RUNS_PAGE):
            self._attend_to(run_id)
        look_again_at = self._clock.monotonic() + self._settings.poll_s
        while (left_s := look_again_at - self._clock.monotonic()) > 0:
            if await self._hints.runs.wait_up_to(left_s):
                for run_id in self._hints.take_runs():
                    self._attend_to(run_id)

    async def _fire_timers(self) -> None:
        await self._upkeep.wait(self._hints.timers, await self._upkeep.fire_timers())

    async def _watch_tasks(self) -> None:
        await self._upkeep.wait(self._hints.task_times, await self._upkeep.end_overdue_tasks())

    def _persisting(
        self, name: str, run: Callable[[], Awaitable[None]]
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        async def forever() -> None:
            while True:
                try:
                    await run()
                except StoreUnavailableError as error:
                    log.warning("durable_store_unavailable", part=name, error=str(error))
                    await asyncio.sleep(self._settings.poll_s)

        return forever

    def _attend_to(self, run_id: RunId, *, has_mail: bool = True) -> None:
        desk = self._desks.get(run_id)
        if desk is not None:
            desk.has_mail |= has_mail
        if desk is not None and desk.is_busy:
            desk.look_again = True
        else:
            self._work.start(self._work_on(run_id), name=f"run {run_id}")

    async def _work_on(self, run_id: RunId) -> None:
        try:
            async with self._room:
                desk = self._desks.get(run_id) or await self._open_desk(run_id)
                if desk is not None:
                    await self._work_at(desk)
        except StoreUnavailableError as error:
            log.warning("durable_store_unavailable", run_id=run_id, error=str(error))

    async def _open_desk(self, run_id: RunId) -> Desk | None:
        row = await self._store.load_run(run_id)
        if row is None or row.status not in OPEN or self._shards.fence(row.shard_id) is None:
            return None
        # Another may have been faster while the store was asked.
        if (desk := self._desks.get(run_id)) is not None:
            return desk
        done = partial(self._attend_to, run_id, has_mail=False)
        steps = Steps(self._steps, done, self._watch)
        desk = Desk(run_id=run_id, shard_id=row.shard_id, steps=steps)
        self._desks.put(desk)
        return desk

    async def _work_at(self, desk: Desk) -> None:
        if desk.is_busy:
            desk.look_again = True
            return
        desk.is_busy = True
        try:
            desk.look_again = True
            while desk.look_again and not desk.is_leaving:
                desk.look_again = False
                if await self._rounds.round(desk) is RoundEnd.TRY_AGAIN:
                    desk.look_again = True
        finally:
            desk.is_busy = False
            self._desks.used(desk)

    def _wind_up(self, instance: Instance) -> None:
        self._work.start(self._activator.run(instance.wind_up), name="wind up")

    def _drop_shards(self, shards: set[ShardId]) -> None:
        for desk in self._desks.of_shards(shards):
            self._desks.remove(desk)

    async def _rest_shards(self, shards: set[ShardId]) -> None:
        for desk in self._desks.of_shards(shards):
            is_counted = desk.is_counted
            self._desks.remove(desk)
            if is_counted:
                await self._rounds.give_back(desk)
