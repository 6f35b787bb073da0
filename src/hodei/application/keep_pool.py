"""Keeps as many workers as the queue wants, a few warm ones, and no idle or old ones."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from hodei.application.drain_worker import DrainWorker
from hodei.application.fleet import Fleet, Member
from hodei.application.kind_troubles import KindTroubles
from hodei.application.pool_condition import PoolCondition
from hodei.application.provision_worker import Blame, ProvisioningFailedError, ProvisionWorker
from hodei.application.refuse_jobs import RefuseJobs
from hodei.domain.placement.breaker import Breaker
from hodei.domain.placement.demand import Demand
from hodei.domain.placement.fit import Offer, misfits
from hodei.domain.placement.kinds import WorkerKind, kind_of
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
    warm_kinds: Mapping[WorkerKind, int] = field(default_factory=dict[WorkerKind, int])
    """As `warm_workers`, of a provider that makes workers of many kinds."""


@dataclass(slots=True)
class _Pool:
    provider: Provider
    rules: PoolRules
    breaker: Breaker = Breaker()
    trouble: str = ""
    """Why the last attempt failed; empty after one that did not."""
    kinds: KindTroubles = field(default_factory=KindTroubles)

    @property
    def warm(self) -> Mapping[WorkerKind | None, int]:
        """How many idle workers of each kind are kept ready."""
        if self.provider.capabilities().containers is None:
            return {None: self.rules.warm_workers}
        return {**self.rules.warm_kinds}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """A worker that is being brought up."""

    provider: ProviderName
    kind: WorkerKind | None


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
        hands: PoolHands,
        clock: Clock,
        ids: IdSource,
        pools: Sequence[tuple[Provider, PoolRules]],
    ) -> None:
        self._standing = fleet.standing
        self._standing.on_gain(lambda _: self.notify())
        self._fleet = fleet
        self._hands = hands
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
        self._requested: dict[WorkerId, _Begun] = {}
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

    def troubles(self, demand: Demand) -> Mapping[ProviderName, str]:
        """Why providers do not make workers for such jobs just now."""
        kind = kind_of(demand)
        found = {
            name: pool.trouble or pool.kinds.message(kind) for name, pool in self._pools.items()
        }
        return {name: trouble for name, trouble in found.items() if trouble}

    def offers(self) -> list[tuple[Offer, int]]:
        """What each provider's next worker would have, and how many more it may make."""
        return [(_offer(pool.provider), self._room(pool)) for pool in self._pools.values()]

    def conditions(self) -> list[PoolCondition]:
        """How every pool is now."""
        now = self._clock.monotonic()
        return [
            PoolCondition(
                provider=pool.provider,
                breaker=pool.breaker,
                trouble=pool.trouble,
                troubled_kinds=pool.kinds.listed(now),
                members=self._of(pool),
                is_kept_here=self._standing.keeps(pool.provider),
            )
            for pool in self._pools.values()
        ]

    async def run(self) -> None:
        """Keeps the pools until it is cancelled."""
        while True:
            self._scale_up()
            due_s = await self._tidy()
            await asyncio.sleep(_PAUSE_S)
            await self._wake.wait_up_to(max(_SHORTEST_NAP_S, min(due_s, _LONGEST_NAP_S)))

    async def let_go(self) -> None:
        """Gives up what was begun: whoever keeps the pools from now on finds it."""
        await self._tasks.close()

    async def close(self) -> None:
        """Provisions nothing more; what was begun is given up and found by the next start."""
        self._is_closed = True
        await self.let_go()

    def _scale_up(self) -> None:
        if self._is_closed:
            return
        if self._is_current:
            for want in workers_wanted(self._waiting, self._coming(), self._sources()):
                for _ in range(want.count):
                    pool = self._pools[ProviderName(want.provider)]
                    self._begin(pool, want.for_job, want.kind)
        for pool in self._kept():
            # A busy worker with a free slot is as quick as an idle one.
            for kind, count in pool.warm.items():
                ready = sum(
                    len(member.jobs) < member.worker.slots
                    for member in self._of(pool)
                    if member.worker.kind == kind and _may_serve(member)
                )
                missing = count - ready - self._just_requested(pool, kind)
                for _ in range(min(missing, self._room(pool), self._most(pool, kind))):
                    self._begin(pool, None, kind)

    def _begin(self, pool: _Pool, for_job: JobId | None, kind: WorkerKind | None) -> None:
        worker_id = WorkerId(f"{pool.provider.name}-{self._ids.new()[-12:]}")
        self._requested[worker_id] = _Begun(provider=pool.provider.name, kind=kind)
        self._tasks.start(
            self._provision(pool, worker_id, for_job, kind), name=f"bring up {worker_id}"
        )

    async def _provision(
        self, pool: _Pool, worker_id: WorkerId, for_job: JobId | None, kind: WorkerKind | None
    ) -> None:
        try:
            await self._hands.provisioner.provision(
                worker_id,
                pool.provider,
                for_job=for_job,
                enroll_timeout_s=pool.rules.enroll_timeout_s,
                kind=kind,
            )
            pool.breaker = pool.breaker.succeeded()
            pool.trouble = ""
            if kind is not None:
                pool.kinds.succeeded(kind)
        except StoreUnavailableError as error:
            # Not the provider's fault. Told apart by time, so that the next try is not at once.
            log.warning("provisioning_delayed", worker_id=worker_id, message=str(error))
            await asyncio.sleep(_RETRY_AFTER_S)
        except ProvisioningFailedError as error:
            # Expected of a provider in trouble: the message says it all.
            log.warning("provisioning_failed", worker_id=worker_id, message=str(error))
            if kind is None or error.blame is Blame.PROVIDER:
                pool.breaker = pool.breaker.failed(self._clock.monotonic())
                pool.trouble = str(error)
            else:
                await self._blame_kind(pool, kind, error)
        finally:
            self._requested.pop(worker_id, None)
            self._wake.notify()

    async def _blame_kind(
        self, pool: _Pool, kind: WorkerKind, error: ProvisioningFailedError
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
            not misfits(demand, _offer(pool.provider))
            and pool.kinds.most(kind_of(demand), now, in_progress=0) != 0
            for pool in self._pools.values()
        )

    def _of(self, pool: _Pool) -> list[Member]:
        name = pool.provider.name
        return [
            each
            for each in self._fleet.members()
            if each.worker.provider == name and self._standing.reaches(each.worker)
        ]

    def _kept(self) -> list[_Pool]:
        """Those that are this server's to keep."""
        return [pool for pool in self._pools.values() if self._standing.keeps(pool.provider)]

    def _just_requested(self, pool: _Pool, *kinds: WorkerKind | None) -> int:
        """Workers begun whose first row is not written yet; only of `kinds` where any are named."""
        return sum(
            begun.provider == pool.provider.name
            and (not kinds or begun.kind in kinds)
            and self._fleet.get(worker_id) is None
            for worker_id, begun in self._requested.items()
        )

    def _most(self, pool: _Pool, kind: WorkerKind | None) -> int:
        """How many more of a kind may be begun, whatever room there is."""
        room = self._room(pool)
        if kind is None:
            return room
        now, in_progress = self._clock.monotonic(), self._in_progress(pool, kind)
        most = pool.kinds.most(kind, now, in_progress=in_progress)
        return room if most is None else most

    def _in_progress(self, pool: _Pool, kind: WorkerKind) -> int:
        begun = _Begun(provider=pool.provider.name, kind=kind)
        return sum(each == begun for each in self._requested.values())

    def _room(self, pool: _Pool) -> int:
        if not pool.breaker.lets_through(self._clock.monotonic()):
            return 0
        most = pool.provider.capabilities().max_workers
        room = max(0, most - len(self._of(pool)) - self._just_requested(pool))
        if pool.breaker.is_on_trial:
            names = {each.provider for each in self._requested.values()}
            return 0 if pool.provider.name in names else min(1, room)
        return room

    def _coming(self) -> list[Coming]:
        # Idle workers too: the dispatcher, which is told of a new worker when this is, may not
        # have got to it, and what it last said was waiting is about to run there.
        coming = [
            Coming(offer=each.offer, slots=max(0, each.worker.slots - len(each.jobs)))
            for each in self._fleet.members()
            if each.is_coming or (each.open_slots and not each.jobs)
        ]
        for pool in self._pools.values():
            slots = pool.provider.capabilities().slots_per_worker
            for worker_id, begun in self._requested.items():
                if begun.provider == pool.provider.name and self._fleet.get(worker_id) is None:
                    offer = _offer(pool.provider)
                    if begun.kind is not None:
                        offer = replace(offer, kind=begun.kind, containers=None)
                    coming.append(Coming(offer=offer, slots=slots))
        return coming

    def _sources(self) -> list[Source]:
        return [
            Source(
                offer=_offer(pool.provider),
                slots_per_worker=pool.provider.capabilities().slots_per_worker,
                may_make=self._room(pool),
                may_make_of={
                    kind: self._most(pool, kind)
                    for kind in {kind_of(each.demand) for each in self._waiting}
                    if pool.kinds.message(kind)
                },
            )
            for pool in self._kept()
        ]

    async def _tidy(self) -> float:
        """Drains idle and old workers; returns in how many seconds there is more to do."""
        now = self._clock.monotonic()
        next_s = _LONGEST_NAP_S
        for pool in self._kept():
            opens_at = pool.breaker.open_until
            if opens_at is not None and opens_at > now:
                next_s = min(next_s, opens_at - now)
            if (next_try := pool.kinds.next_try(now)) is not None:
                next_s = min(next_s, next_try - now)
            for due_s, member in [*self._idle(pool, now), *self._oldest(pool)]:
                if due_s <= 0:
                    await self._drain(member)
                else:
                    next_s = min(next_s, due_s)
        return next_s

    def _idle(self, pool: _Pool, now: float) -> list[tuple[float, Member]]:
        """Idle workers beyond the warm ones, and in how many seconds each has been so for long."""
        idle = sorted(
            (m for m in self._of(pool) if m.is_connected and _may_serve(m) and not m.jobs),
            key=lambda member: member.idle_since,
        )
        beyond_warm: list[Member] = []
        for kind in {member.worker.kind for member in idle}:
            of_kind = [member for member in idle if member.worker.kind == kind]
            beyond_warm += of_kind[: max(0, len(of_kind) - pool.warm.get(kind, 0))]
        return [(m.idle_since + pool.rules.idle_timeout_s - now, m) for m in beyond_warm]

    def _oldest(self, pool: _Pool) -> list[tuple[float, Member]]:
        """The oldest worker, busy or not, and in how many seconds its age is up.

        One at a time: workers that were made together would all leave together.
        """
        members = self._of(pool)
        serving = [member for member in members if member.is_connected and _may_serve(member)]
        if not serving or any(m.worker.state is WorkerState.DRAINING for m in members):
            return []
        oldest = min(serving, key=lambda member: member.worker.created_at)
        return [(pool.rules.max_age_s - _age_s(oldest, self._clock), oldest)]

    async def _drain(self, member: Member) -> None:
        try:
            await self._hands.drainer.drain(member.worker.id, by="the pool: idle or old")
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
        provider=provider.name,
        labels=capabilities.labels,
        resources=capabilities.resources,
        containers=capabilities.containers,
    )
