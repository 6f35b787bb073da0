"""The workers of one provider: how many there are, how many more there may be, and what failed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from hodei.application.fleet import Fleet, Member
from hodei.application.kind_troubles import KindTroubles
from hodei.application.pool_condition import PoolCondition, Terms
from hodei.domain.placement.breaker import Breaker
from hodei.domain.placement.fit import Offer
from hodei.domain.placement.kinds import WorkerKind
from hodei.domain.placement.scaling import Coming, Source
from hodei.domain.workers.states import WorkerState
from hodei.kernel.clock import Clock
from hodei.kernel.ids import ProviderName, WorkerId
from hodei.ports.providers import Provider

_STARTUP_WEIGHT = 0.3
"""Of the newest start in the mean that `FastestStartup` goes by: some five starts count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRules:
    """How one provider's workers are kept."""

    warm_workers: int
    idle_timeout_s: float
    max_age_s: float
    enroll_timeout_s: float
    warm_kinds: Mapping[WorkerKind, int] = field(default_factory=dict[WorkerKind, int])
    """As `warm_workers`, of a provider that makes workers of many kinds."""


class Pool:
    """One provider's, on this server."""

    def __init__(
        self, *, provider: Provider, rules: PoolRules, terms: Terms, fleet: Fleet, clock: Clock
    ) -> None:
        self.provider = provider
        self.rules = rules
        self.terms = terms
        self._fleet = fleet
        self._clock = clock
        self.breaker = Breaker()
        self.trouble = ""
        """Why the last attempt failed; empty after one that did not."""
        self.kinds = KindTroubles()
        self.begun: dict[WorkerId, WorkerKind | None] = {}
        """Workers that are being brought up."""
        self.turn = 0
        """When it was last asked for a worker, counted over all pools."""
        self.there_since = float("-inf")
        """By the monotonic clock: when its provider was last there again after it had been gone."""
        self._startup_s: float | None = None

    @property
    def name(self) -> ProviderName:
        """The provider's."""
        return self.provider.name

    @property
    def warm(self) -> Mapping[WorkerKind | None, int]:
        """How many idle workers of each kind are kept ready."""
        if self.terms.drains:
            return {}
        if self.provider.capabilities().containers is None:
            return {None: self.rules.warm_workers}
        return {**self.rules.warm_kinds}

    @property
    def is_kept_here(self) -> bool:
        """Whether it is for this server to make and to drain its workers."""
        return self._fleet.standing.keeps(self.provider)

    @property
    def offer(self) -> Offer:
        """What its next worker would have."""
        capabilities = self.provider.capabilities()
        return Offer(
            provider=self.name,
            provider_type=capabilities.type,
            labels=capabilities.labels,
            resources=capabilities.resources,
            containers=capabilities.containers,
            admission=capabilities.admission,
        )

    def members(self) -> list[Member]:
        """Its living workers, as far as this server reaches them."""
        return [
            each
            for each in self._fleet.members()
            if each.worker.provider == self.name and self._fleet.standing.reaches(each.worker)
        ]

    def room(self) -> int:
        """How many more workers it may make now."""
        if self.terms.closed or not self.breaker.lets_through(self._clock.monotonic()):
            return 0
        most = self.provider.capabilities().max_workers
        room = max(0, most - len(self.members()) - self.just_requested())
        if self.breaker.is_on_trial:
            return 0 if self.begun else min(1, room)
        return room

    def most(self, kind: WorkerKind | None) -> int:
        """How many more of a kind may be begun."""
        room = self.room()
        if kind is None:
            return room
        in_progress = sum(each == kind for each in self.begun.values())
        most = self.kinds.most(kind, self._clock.monotonic(), in_progress=in_progress)
        return room if most is None else min(room, most)

    def just_requested(self, *kinds: WorkerKind | None) -> int:
        """Workers begun whose first row is not written yet; only of `kinds` where any are named."""
        return sum(
            (not kinds or kind in kinds) and self._fleet.get(worker_id) is None
            for worker_id, kind in self.begun.items()
        )

    def missing(self) -> list[tuple[WorkerKind | None, int]]:
        """How many workers of each kind are to be begun so that enough are ready."""
        members = self.members()
        found: list[tuple[WorkerKind | None, int]] = []
        for kind, count in self.warm.items():
            # A busy worker with a free slot is as quick as an idle one.
            ready = sum(
                len(member.jobs) < member.worker.slots
                for member in members
                if member.worker.kind == kind and may_serve(member)
            )
            missing = count - ready - self.just_requested(kind)
            found.append((kind, min(missing, self.most(kind))))
        return found

    def coming(self) -> list[Coming]:
        """Slots of workers that no row tells of yet."""
        slots = self.provider.capabilities().slots_per_worker
        return [
            Coming(
                offer=self.offer
                if kind is None
                else replace(self.offer, kind=kind, containers=None),
                slots=slots,
            )
            for worker_id, kind in self.begun.items()
            if self._fleet.get(worker_id) is None
        ]

    def source(self, waiting: Collection[WorkerKind]) -> Source:
        """What it may make for jobs that wait for workers of these kinds."""
        return Source(
            offer=self.offer,
            slots_per_worker=self.provider.capabilities().slots_per_worker,
            may_make=self.room(),
            may_make_of={kind: self.most(kind) for kind in waiting if self.kinds.message(kind)},
            priority=self.terms.priority,
            cost_per_hour=self.terms.cost_per_hour,
            startup_s=self._startup_s,
            failures=self.breaker.failures,
            turn=self.turn,
        )

    def condition(self) -> PoolCondition:
        """How it is now."""
        return PoolCondition(
            provider=self.provider,
            terms=self.terms,
            breaker=self.breaker,
            trouble=self.trouble,
            troubled_kinds=self.kinds.listed(self._clock.monotonic()),
            members=self.members(),
            is_kept_here=self.is_kept_here,
        )

    def succeeded(self, kind: WorkerKind | None, took_s: float) -> None:
        """A worker came up."""
        self.breaker = self.breaker.succeeded()
        self.trouble = ""
        if kind is not None:
            self.kinds.succeeded(kind)
        before = took_s if self._startup_s is None else self._startup_s
        self._startup_s = before + _STARTUP_WEIGHT * (took_s - before)

    def failed(self, message: str) -> None:
        """One did not, and the provider is to blame."""
        self.breaker = self.breaker.failed(self._clock.monotonic())
        self.trouble = message

    def there_again(self) -> None:
        """The provider was gone, and is there again: what failed before says nothing of now."""
        self.breaker = Breaker()
        self.trouble = ""
        self.kinds = KindTroubles()
        self.there_since = self._clock.monotonic()

    def trouble_with(self, kind: WorkerKind) -> str:
        """Why no worker of a kind is made just now, and when one is tried; empty where one may be."""
        now = self._clock.monotonic()
        message = self.trouble or self.kinds.message(kind)
        untils = (self.breaker.open_until, self.kinds.next_try_of(kind, now))
        until = max((each for each in untils if each is not None), default=now)
        if not message or until <= now:
            return message
        at = self._clock.now() + timedelta(seconds=until - now)
        shown = at.isoformat(timespec="seconds").replace("+00:00", "Z")
        return f"{message}; it is tried again at {shown}"

    def next_try(self) -> float | None:
        """When something may be tried again that may not now; None where there is nothing."""
        now = self._clock.monotonic()
        untils = [self.breaker.open_until, self.kinds.next_try(now)]
        return min((until for until in untils if until is not None and until > now), default=None)


def may_serve(member: Member) -> bool:
    """Whether the worker takes jobs, now or once it is up."""
    states = {WorkerState.REQUESTED, WorkerState.STARTING, WorkerState.READY}
    return member.worker.state in states and not member.is_ending
