"""Keeps as many workers as the queue wants, a few warm ones, and no idle or old ones."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import structlog

from hodei.application.drain_worker import DrainWorker
from hodei.application.fleet import Fleet, Member
from hodei.application.pool import Pool
from hodei.application.pool_condition import PoolCondition
from hodei.application.provision_steps import Blame
from hodei.application.provision_worker import ProvisioningFailedError, ProvisionWorker
from hodei.application.refuse_jobs import RefuseJobs
from hodei.application.roster import Roster
from hodei.application.tidy_pools import leaving
from hodei.domain.placement.demand import Demand, demand_key
from hodei.domain.placement.fit import Offer, misfits
from hodei.domain.placement.kinds import WorkerKind, kind_of
from hodei.domain.placement.scaling import Coming, Source, Waiting, in_order, workers_wanted
from hodei.domain.placement.selection import Strategy
from hodei.kernel.clock import Clock
from hodei.kernel.errors import HodeiError
from hodei.kernel.ids import JobId, ProviderName, WorkerId
from hodei.lifecycle.service import TaskSet
from hodei.lifecycle.wake import Wake
from hodei.ports.stores import StoreUnavailableError
from hodei.sagas.provision_worker import WorkerOrder

log = structlog.get_logger()

_LONGEST_NAP_S = 60.0
"""A pool with nothing due looks again after this, as the safety net under events."""
_SHORTEST_NAP_S = 0.05
_PAUSE_S = 0.05
"""Between two looks: one costs some microseconds a worker, and under load each job asks for one. Jobs
of a kind that did not wait before need not wait for this too, nor does who replaces a worker."""
_RETRY_AFTER_S = 0.5
"""Wait before another worker is begun when the store was not available."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolHands:
    """What carries out the pool's decisions."""

    provisioner: ProvisionWorker
    drainer: DrainWorker
    refuser: RefuseJobs


class PoolKeeper:
    """The one task that decides about the number of workers."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        roster: Roster,
        hands: PoolHands,
        clock: Clock,
        strategy: Strategy = Strategy.FIRST_AVAILABLE,
    ) -> None:
        self._wake = Wake()
        self._news = Wake()
        """Ends the pause between two looks."""
        fleet.standing.on_gain(lambda _: self._gained())
        # What waits is as the dispatcher said it: only who may serve it is another.
        roster.on_change(self._look_again)
        self._fleet = fleet
        self._roster = roster
        self._hands = hands
        self._clock = clock
        self._strategy = strategy
        self._turns = 0
        self._waiting: list[Waiting] = []
        self._is_current = False
        """Whether no worker has changed since the dispatcher said what waits: until it speaks again, a
        job that has just got its worker would get another."""
        self._has_news = False
        """Whether workers have come or gone since."""
        self._ask: list[Callable[[], None]] = []
        self._tasks = TaskSet()
        self._is_closed = False
        self._knows_what_was_begun = False
        """Whether it listens to what an earlier life of this server, or another one, began."""

    def notify(self) -> None:
        """Says that workers may have come or gone. The dispatcher is told too, and speaks again."""
        self._has_news = True
        self.notify_of_load()

    def notify_of_load(self) -> None:
        """Says that workers have become idle or full, here or at another server."""
        self._is_current = False
        self._wake.notify()

    def there_again(self, name: ProviderName) -> None:
        """Says that a provider that was gone is there again: it is asked at once.

        One that is being stopped refuses all that is asked of it, often enough to be left alone
        for a minute.
        """
        if (pool := self._roster.pool(name)) is not None:
            pool.there_again()
            self._news.notify()
            self.notify_of_load()

    def on_doubt(self, ask: Callable[[], None]) -> None:
        """Calls `ask` where it must be told anew what waits."""
        self._ask.append(ask)

    def waiting(self, waiting: list[Waiting]) -> None:
        """Takes what the dispatcher could not place."""
        self._is_current = True
        known = {demand_key(each.demand) for each in self._waiting}
        if self._has_news or any(demand_key(each.demand) not in known for each in waiting):
            self._has_news = False
            self._news.notify()
        if waiting or self._waiting:
            self._waiting = waiting
            self._wake.notify()

    def troubles(self, demand: Demand) -> Mapping[ProviderName, str]:
        """Why providers do not make workers for such jobs just now."""
        kind = kind_of(demand)
        found = {pool.name: pool.trouble_with(kind) for pool in self._roster.pools()}
        return {name: trouble for name, trouble in found.items() if trouble}

    def closed(self) -> Mapping[ProviderName, str]:
        """Why providers make no workers at all, in words that follow `it`."""
        return {pool.name: pool.terms.closed for pool in self._roster.pools() if pool.terms.closed}

    def offers(self) -> list[tuple[Offer, int]]:
        """What each provider's next worker would have, and how many more it may make."""
        return [(pool.offer, pool.room()) for pool in self._roster.pools()]

    def in_order(self, demand: Demand) -> list[ProviderName]:
        """Providers as they are asked for a worker for such a job."""
        kinds = {kind_of(demand)}
        sources = [pool.source(kinds) for pool in self._roster.pools()]
        ordered = in_order(demand, sources, self._strategy)
        return [ProviderName(each.offer.provider) for each in ordered]

    @property
    def strategy(self) -> Strategy:
        """By which providers that fit are chosen."""
        return self._strategy

    def conditions(self) -> list[PoolCondition]:
        """How every pool is now."""
        return [pool.condition() for pool in self._roster.pools()]

    async def run(self) -> None:
        """Keeps the pools until it is cancelled."""
        while True:
            await self._take_up()
            if self._waiting and not self._is_current:
                for ask in self._ask:
                    ask()
            self._scale_up()
            due_s = await self._tidy()
            await self._news.wait_up_to(_PAUSE_S)
            await self._wake.wait_up_to(max(_SHORTEST_NAP_S, min(due_s, _LONGEST_NAP_S)))

    def begun(self, providers: Collection[ProviderName]) -> list[WorkerId]:
        """Workers that are being brought up by these."""
        return [
            each for pool in self._roster.pools() if pool.name in providers for each in pool.begun
        ]

    async def let_go(self) -> None:
        """Listens no more to what was begun, which goes on: whoever keeps the pools hears of it."""
        await self._tasks.close()

    async def close(self) -> None:
        """Begins nothing more. What was begun goes on: see `ProvisionWorker.call_off`."""
        self._is_closed = True
        await self.let_go()

    def _gained(self) -> None:
        self._is_current = False
        self._look_again()

    def _look_again(self) -> None:
        self._knows_what_was_begun = False
        self._wake.notify()

    async def _take_up(self) -> None:
        """Listens to what was begun before these pools were this server's to keep."""
        if self._knows_what_was_begun or self._is_closed:
            return
        try:
            orders = await self._hands.provisioner.under_way()
        except StoreUnavailableError as error:
            log.warning("pool_unsure", message=str(error))
            return
        self._knows_what_was_begun = True
        home_of = self._fleet.standing.home_of
        kept = {(pool.name, home_of(pool.provider)): pool for pool in self._kept()}
        for order in orders:
            pool = kept.get((order.provider, order.home))
            if pool is not None and order.worker_id not in pool.begun:
                self._listen(pool, order)

    def _scale_up(self) -> None:
        if self._is_closed:
            return
        if self._is_current:
            wants = workers_wanted(
                self._waiting, self._coming(), self._sources(), strategy=self._strategy
            )
            for want in wants:
                pool = self._roster.pool(ProviderName(want.provider))
                assert pool is not None
                for _ in range(want.count):
                    self._begin(pool, want.for_job, want.kind)
        for pool in self._kept():
            for kind, count in pool.missing():
                # Each kind that is begun leaves less room for the next.
                for _ in range(min(count, pool.room())):
                    self._begin(pool, None, kind)

    def _begin(self, pool: Pool, for_job: JobId | None, kind: WorkerKind | None) -> None:
        self._turns += 1
        pool.turn = self._turns
        order = WorkerOrder(
            worker_id=self._hands.provisioner.new_id(pool.name),
            provider=pool.name,
            home=self._fleet.standing.home_of(pool.provider),
            for_job=for_job,
            kind=kind,
            enroll_timeout_s=pool.rules.enroll_timeout_s,
        )
        self._listen(pool, order)

    def _listen(self, pool: Pool, order: WorkerOrder) -> None:
        """Begins it, unless it was begun, and learns of the provider by how it ends."""
        pool.begun[order.worker_id] = order.kind
        self._tasks.start(self._provision(pool, order), name=f"bring up {order.worker_id}")

    async def _provision(self, pool: Pool, order: WorkerOrder) -> None:
        worker_id, kind = order.worker_id, order.kind
        began_at = self._clock.monotonic()
        try:
            is_prepared = pool.provider.is_prepared(kind)
            await self._hands.provisioner.provision(order, is_prepared=is_prepared)
            pool.succeeded(kind, self._clock.monotonic() - began_at)
        except StoreUnavailableError as error:
            # Not the provider's fault. Told apart by time, so that the next try is not at once.
            log.warning("provisioning_delayed", worker_id=worker_id, message=str(error))
            await asyncio.sleep(_RETRY_AFTER_S)
        except ProvisioningFailedError as error:
            # Expected of a provider in trouble: the message says it all.
            log.warning("provisioning_failed", worker_id=worker_id, message=str(error))
            if error.blame is Blame.NOBODY or began_at < pool.there_since:
                pass
            elif kind is None or error.blame is Blame.PROVIDER:
                pool.failed(str(error))
            else:
                await self._blame_kind(pool, kind, error)
        finally:
            pool.begun.pop(worker_id, None)
            self._news.notify()
            self._wake.notify()

    async def _blame_kind(
        self, pool: Pool, kind: WorkerKind, error: ProvisioningFailedError
    ) -> None:
        """Takes a failure that says nothing of the provider's other workers."""
        now, message = self._clock.monotonic(), str(error)
        match error.blame:
            case Blame.WORKER:
                is_final = pool.kinds.ended(kind, message, now)
            case Blame.REQUEST:
                is_final = True
            case _:
                pool.kinds.failed(kind, message, now)
                is_final = False
        if not is_final:
            return
        pool.kinds.refused(kind, message, now)
        try:
            await self._hands.refuser.refuse(kind, message, has_other_way=self._has_other_way)
        except StoreUnavailableError as unavailable:
            log.warning("refusal_delayed", message=str(unavailable))
            return
        # What has ended waits no more, and the dispatcher has no reason to say so.
        self._waiting = [
            each
            for each in self._waiting
            if kind_of(each.demand) != kind or self._has_other_way(each.demand)
        ]
        is_wanted = any(kind_of(each.demand) == kind for each in self._waiting)
        if kind not in pool.warm and not is_wanted:
            pool.kinds.forget(kind)

    def _has_other_way(self, demand: Demand) -> bool:
        """Whether a worker that lives, or another provider, may run such a job."""
        now = self._clock.monotonic()
        return any(
            not member.is_ending and not misfits(demand, member.offer)
            for member in self._fleet.members()
        ) or any(
            not misfits(demand, pool.offer)
            and pool.kinds.most(kind_of(demand), now, in_progress=0) != 0
            for pool in self._roster.pools()
            if not pool.terms.closed
        )

    def _kept(self) -> list[Pool]:
        """Those that are this server's to keep."""
        return [pool for pool in self._roster.pools() if pool.is_kept_here]

    def _coming(self) -> list[Coming]:
        # Idle workers too: the dispatcher, which is told of a new worker when this is, may not
        # have got to it, and what it last said was waiting is about to run there.
        coming = [
            Coming(offer=each.offer, slots=max(0, each.worker.slots - len(each.jobs)))
            for each in self._fleet.members()
            if each.is_coming or (each.open_slots and not each.jobs)
        ]
        return coming + [each for pool in self._roster.pools() for each in pool.coming()]

    def _sources(self) -> list[Source]:
        kinds = {kind_of(each.demand) for each in self._waiting}
        return [pool.source(kinds) for pool in self._kept()]

    async def _tidy(self) -> float:
        """Drains idle and old workers; returns in how many seconds there is more to do."""
        now = self._clock.monotonic()
        next_s = _LONGEST_NAP_S
        for pool in self._kept():
            if (next_try := pool.next_try()) is not None:
                next_s = min(next_s, next_try - now)
            for due_s, member, why in leaving(pool, self._clock):
                if due_s <= 0:
                    await self._drain(member, why)
                else:
                    next_s = min(next_s, due_s)
        return next_s

    async def _drain(self, member: Member, why: str) -> None:
        try:
            await self._hands.drainer.drain(member.worker.id, by=why)
        except HodeiError as error:
            # It ended by itself at the same moment, or the store is away: the next round sees.
            log.info("drain_skipped", worker_id=member.worker.id, message=str(error))
