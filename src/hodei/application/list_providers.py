"""Says which providers there are, and how each of them is."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from hodei.application.keep_pool import PoolKeeper
from hodei.application.keep_providers import KeepProviders
from hodei.application.pool_condition import PoolCondition, Terms
from hodei.domain.placement.breaker import BreakerState
from hodei.domain.placement.health import ProviderState, judge
from hodei.domain.providers.record import ProviderMode, ProviderRecord, ProviderType
from hodei.domain.workers.states import WorkerState, shown_state
from hodei.kernel.clock import Clock
from hodei.kernel.ids import ProviderName
from hodei.ports.providers import Capabilities, Provider

_HEALTH_WITHIN_S: Final = 5.0
"""A provider that does not answer for so long is not well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedKind:
    """A kind of workers of which the last did not come up."""

    kind: str
    """In words."""
    message: str
    next_try_at: datetime | None
    """None where one may be tried now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedProvider:
    """A provider."""

    name: ProviderName
    type: ProviderType
    state: ProviderState
    problem: str
    """Why it is not healthy; empty where it is."""
    breaker: BreakerState
    failures: int
    """In a row."""
    open_until: datetime | None
    """Of an open breaker."""
    workers: Mapping[WorkerState, int]
    """Those that live, by their states."""
    max_workers: int
    troubled_kinds: Sequence[ListedKind]
    is_kept_here: bool
    """Whether the server that answers makes its workers; else what is said of failures is old."""
    is_builtin: bool
    """Whether the server's settings have it."""
    terms: Terms
    capabilities: Capabilities | None
    """None where this server cannot make it."""
    record: ProviderRecord | None
    """None where nobody ever changed what the settings say."""

    @property
    def active_workers(self) -> int:
        """Those that live."""
        return sum(self.workers.values())

    @property
    def has_capacity(self) -> bool:
        """Whether it may make another worker now."""
        is_able = self.state in {ProviderState.HEALTHY, ProviderState.DEGRADED}
        return is_able and self.active_workers < self.max_workers


class ListProviders:
    """The use case behind `ListProviders` and `GetProvider`."""

    def __init__(self, *, pool: PoolKeeper, keeper: KeepProviders, clock: Clock) -> None:
        self._pool = pool
        self._keeper = keeper
        self._clock = clock

    async def list(self) -> list[ListedProvider]:
        """All of them, in the order in which they are asked for workers."""
        conditions = self._pool.conditions()
        async with asyncio.TaskGroup() as asking:
            asked = [asking.create_task(_problem(each.provider)) for each in conditions]
        listed = [
            self._listed(condition, problem.result())
            for condition, problem in zip(conditions, asked, strict=True)
        ]
        return listed + [
            _unusable(self._keeper.records[name], why)
            for name, why in sorted(self._keeper.unusable.items())
        ]

    def _listed(self, condition: PoolCondition, problem: str) -> ListedProvider:
        now = self._clock.monotonic()
        breaker = condition.breaker.state(now)
        record = self._keeper.records.get(condition.provider.name)
        state, why = judge(
            mode=record.mode if record is not None else ProviderMode.ENABLED,
            closed=condition.terms.closed,
            problem=problem,
            breaker=breaker,
            trouble=condition.trouble,
            troubled_kinds=len(condition.troubled_kinds),
        )
        capabilities = condition.provider.capabilities()
        return ListedProvider(
            name=condition.provider.name,
            type=capabilities.type,
            state=state,
            problem=why,
            breaker=breaker,
            failures=condition.breaker.failures,
            open_until=self._instant(condition.breaker.open_until, now)
            if breaker is BreakerState.OPEN
            else None,
            workers=Counter(
                shown_state(member.worker.state, held_jobs=len(member.jobs))
                for member in condition.members
            ),
            max_workers=capabilities.max_workers,
            troubled_kinds=[
                ListedKind(
                    kind=str(each.kind),
                    message=each.message,
                    next_try_at=self._instant(each.next_try, now),
                )
                for each in condition.troubled_kinds
            ],
            is_kept_here=condition.is_kept_here,
            is_builtin=condition.provider.name in self._keeper.builtins,
            terms=condition.terms,
            capabilities=capabilities,
            record=record,
        )

    def _instant(self, monotonic: float | None, now: float) -> datetime | None:
        if monotonic is None:
            return None
        return self._clock.now() + timedelta(seconds=monotonic - now)


def _unusable(record: ProviderRecord, why: str) -> ListedProvider:
    """One that this server cannot make."""
    return ListedProvider(
        name=record.name,
        type=record.type,
        state=ProviderState.UNAVAILABLE,
        problem=why,
        breaker=BreakerState.CLOSED,
        failures=0,
        open_until=None,
        workers={},
        max_workers=0,
        troubled_kinds=(),
        is_kept_here=False,
        is_builtin=False,
        terms=Terms(priority=record.priority, cost_per_hour=record.cost_per_hour, closed=why),
        capabilities=None,
        record=record,
    )


async def _problem(provider: Provider) -> str:
    try:
        async with asyncio.timeout(_HEALTH_WITHIN_S):
            return await provider.health()
    except TimeoutError:
        return f"it has not answered within {_HEALTH_WITHIN_S:g} s"
