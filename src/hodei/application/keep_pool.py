"""Keeps as many workers as the queue wants, a few warm ones, and no idle or old ones."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from hodei.application.drain_worker import DrainWorker
from hodei.application.fleet import Fleet, Member
from hodei.application.provision_worker import ProvisioningFailedError, ProvisionWorker
from hodei.domain.placement.breaker import Breaker
from hodei.domain.placement.fit import Offer
from hodei.domain.placement.scaling import Coming, Source, Waiting, workers_wanted
from hodei.domain.workers.states import WorkerState
from hodei.kernel.clock import Clock, IdSource
from hodei.kernel.errors import HodeiError
from hodei.kernel.ids import JobId, ProviderName, WorkerId
from hodei.lifecycle.service import TaskSet
from hodei.lifecycle.wake import Wake
from hodei.ports.providers import Provider
from hodei.ports.stores import StoreUnavailableError

log = structlog.get_logger()

_LONGEST_NAP_S = 60.0
"""A pool with nothing due looks again after this, as the safety net under events."""
_SHORTEST_NAP_S = 0.05
_PAUSE_S = 0.01
"""Between two looks: one costs some microseconds a worker, and under load each job asks for one."""
_RETRY_AFTER_S = 0.5
"""Wait before another worker is begun when the store was not available."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRules:
    """How one provider's workers are kept."""

    warm_workers: int
    idle_timeout_s: float
    max_age_s: float
    enroll_timeout_s: float


@dataclass(slots=True)
class _Pool:
    provider: Provider
    rules: PoolRules
    breaker: Breaker = Breaker()
    trouble: str = ""
    """Why the last attempt failed; empty after one that did not."""


class PoolKeeper:
    """The one task that decides about the number of workers."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        provisioner: ProvisionWorker,
        drainer: DrainWorker,
        clock: Clock,
        ids: IdSource,
        pools: Sequence[tuple[Provider, PoolRules]],
    ) -> None:
        self._fleet = fleet
        self._provisioner = provisioner
        self._drainer = drainer
        self._clock = clock
        self._ids = ids
        self._pools = {
            provider.name: _Pool(provider=provider, rules=rules) for provider, rules in pools
        }
        self._waiting: list[Waiting] = []
        self._is_current = False
        """Whether no worker has changed since the dispatcher said what waits. It is told of every
        change too and speaks again; until then a job that has just got its worker would get
        another."""
        self._requested: dict[WorkerId, ProviderName] = {}
        self._wake = Wake()
        self._tasks = TaskSet()
        self._is_closed = False

    def notify(self) -> None:
        """Says that workers may have come or gone, or have become idle or full."""
        self._is_current = False
        self._wake.notify()

    def waiting(self, waiting: list[Waiting]) -> None:
        """Takes what the dispatcher could not place."""
        self._is_current = True
        if waiting or self._waiting:
            self._waiting = waiting
            self._wake.notify()

    def troubles(self) -> Mapping[ProviderName, str]:
        """Why providers do not make workers just now."""
        return {name: pool.trouble for name, pool in self._pools.items() if pool.trouble}

    def offers(self) -> list[tuple[Offer, int]]:
        """What each provider's next worker would have, and how many more it may make."""
        return [(_offer(pool.provider), self._room(pool)) for pool in self._pools.values()]

    async def run(self) -> None:
        """Keeps the pools until it is cancelled."""
        while True:
            self._scale_up()
            due_s = await self._tidy()
            await asyncio.sleep(_PAUSE_S)
            await self._wake.wait_up_to(max(_SHORTEST_NAP_S, min(due_s, _LONGEST_NAP_S)))

    async def close(self) -> None:
        """Provisions nothing more; what was begun is given up and found by the next start."""
        self._is_closed = True
        await self._tasks.close()

    def _scale_up(self) -> None:
        if self._is_closed:
            return
        if self._is_current:
            for want in workers_wanted(self._waiting, self._coming(), self._sources()):
                for _ in range(want.count):
                    self._begin(self._pools[ProviderName(want.provider)], want.for_job)
        for pool in self._pools.values():
            # A busy worker with a free slot is as quick as an idle one.
            ready = sum(
                len(member.jobs) < member.worker.slots
                for member in self._of(pool)
                if _may_serve(member)
            )
            missing = pool.rules.warm_workers - ready - self._just_requested(pool)
            for _ in range(min(missing, self._room(pool))):
                self._begin(pool, None)

    def _begin(self, pool: _Pool, for_job: JobId | None) -> None:
        worker_id = WorkerId(f"{pool.provider.name}-{self._ids.new()[-12:]}")
        self._requested[worker_id] = pool.provider.name
        self._tasks.start(self._provision(pool, worker_id, for_job), name=f"bring up {worker_id}")

    async def _provision(self, pool: _Pool, worker_id: WorkerId, for_job: JobId | None) -> None:
        try:
            await self._provisioner.provision(
                worker_id,
                pool.provider,
                for_job=for_job,
                enroll_timeout_s=pool.rules.enroll_timeout_s,
            )
            pool.breaker = pool.breaker.succeeded()
            pool.trouble = ""
        except StoreUnavailableError as error:
            # Not the provider's fault. Told apart by time, so that the next try is not at once.
            log.warning("provisioning_delayed", worker_id=worker_id, message=str(error))
            await asyncio.sleep(_RETRY_AFTER_S)
        except ProvisioningFailedError as error:
            pool.breaker = pool.breaker.failed(self._clock.monotonic())
            pool.trouble = str(error)
            # Expected of a provider in trouble: the message says it all.
            log.warning("provisioning_failed", worker_id=worker_id, message=str(error))
        finally:
            self._requested.pop(worker_id, None)
            self._wake.notify()

    def _of(self, pool: _Pool) -> list[Member]:
        name = pool.provider.name
        return [each for each in self._fleet.members() if each.worker.provider == name]

    def _just_requested(self, pool: _Pool) -> int:
        """Workers begun whose first row is not written yet."""
        return sum(
            name == pool.provider.name and self._fleet.get(worker_id) is None
            for worker_id, name in self._requested.items()
        )

    def _room(self, pool: _Pool) -> int:
        if not pool.breaker.lets_through(self._clock.monotonic()):
            return 0
        most = pool.provider.capabilities().max_workers
        room = max(0, most - len(self._of(pool)) - self._just_requested(pool))
        if pool.breaker.is_on_trial:
            in_progress = pool.provider.name in self._requested.values()
            return 0 if in_progress else min(1, room)
        return room

    def _coming(self) -> list[Coming]:
        # Idle workers too: the dispatcher, which is told of a new worker when this is, may not
        # have got to it, and what it last said was waiting is about to run there.
        coming = [
            Coming(offer=each.offer, slots=max(0, each.worker.slots - len(each.jobs)))
            for each in self._fleet.members()
            if each.is_coming or (each.free_slots and not each.jobs)
        ]
        for pool in self._pools.values():
            slots = pool.provider.capabilities().slots_per_worker
            coming += [Coming(offer=_offer(pool.provider), slots=slots)] * self._just_requested(
                pool
            )
        return coming

    def _sources(self) -> list[Source]:
        return [
            Source(
                offer=_offer(pool.provider),
                slots_per_worker=pool.provider.capabilities().slots_per_worker,
                may_make=self._room(pool),
            )
            for pool in self._pools.values()
        ]

    async def _tidy(self) -> float:
        """Drains idle and old workers; returns in how many seconds there is more to do."""
        now = self._clock.monotonic()
        next_s = _LONGEST_NAP_S
        for pool in self._pools.values():
            opens_at = pool.breaker.open_until
            if opens_at is not None and opens_at > now:
                next_s = min(next_s, opens_at - now)
            for due_s, member in [*self._idle(pool, now), *self._oldest(pool)]:
                if due_s <= 0:
                    await self._drain(member)
                else:
                    next_s = min(next_s, due_s)
        return next_s

    def _idle(self, pool: _Pool, now: float) -> list[tuple[float, Member]]:
        """Idle workers beyond the warm ones, and in how many seconds each has been so for long."""
        idle = sorted(
            (m for m in self._of(pool) if m.link and _may_serve(m) and not m.jobs),
            key=lambda member: member.idle_since,
        )
        beyond_warm = idle[: max(0, len(idle) - pool.rules.warm_workers)]
        return [(m.idle_since + pool.rules.idle_timeout_s - now, m) for m in beyond_warm]

    def _oldest(self, pool: _Pool) -> list[tuple[float, Member]]:
        """The oldest worker, busy or not, and in how many seconds its age is up.

        One at a time: workers that were made together would all leave together.
        """
        members = self._of(pool)
        serving = [member for member in members if member.link and _may_serve(member)]
        if not serving or any(m.worker.state is WorkerState.DRAINING for m in members):
            return []
        oldest = min(serving, key=lambda member: member.worker.created_at)
        return [(pool.rules.max_age_s - _age_s(oldest, self._clock), oldest)]

    async def _drain(self, member: Member) -> None:
        try:
            await self._drainer.drain(member.worker.id, by="the pool: idle or old")
        except HodeiError as error:
            # It ended by itself at the same moment, or the store is away: the next round sees.
            log.info("drain_skipped", worker_id=member.worker.id, message=str(error))


def _may_serve(member: Member) -> bool:
    states = {WorkerState.REQUESTED, WorkerState.STARTING, WorkerState.READY}
    return member.worker.state in states and not member.is_ending


def _age_s(member: Member, clock: Clock) -> float:
    return (clock.now() - member.worker.created_at).total_seconds()


def _offer(provider: Provider) -> Offer:
    capabilities = provider.capabilities()
    return Offer(
        provider=provider.name, labels=capabilities.labels, resources=capabilities.resources
    )
