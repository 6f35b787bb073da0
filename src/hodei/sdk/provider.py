"""A provider of workers, as the server that answered sees it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypedDict

from google.protobuf.timestamp_pb2 import Timestamp

from hodei.domain.placement.breaker import BreakerState
from hodei.domain.placement.health import ProviderState
from hodei.sdk.times import rfc3339_or_none
from hodei.wire import provider_management_pb2 as pb
from hodei.wire.provider_config import plain_options
from hodei.wire.timestamps import from_timestamp

_STATES: Final[dict[pb.ProviderStatus, ProviderState]] = {
    pb.PROVIDER_STATUS_ACTIVE: ProviderState.HEALTHY,
    pb.PROVIDER_STATUS_DEGRADED: ProviderState.DEGRADED,
    pb.PROVIDER_STATUS_UNHEALTHY: ProviderState.UNAVAILABLE,
    pb.PROVIDER_STATUS_DISABLED: ProviderState.DISABLED,
    pb.PROVIDER_STATUS_MAINTENANCE: ProviderState.LEAVING,
}


class BreakerDict(TypedDict):
    """A circuit breaker as JSON has it."""

    state: str
    open_until: str | None
    failures: int


class TroubledKindDict(TypedDict):
    """A kind that failed lately, as JSON has it."""

    kind: str
    message: str
    next_try_at: str | None


class ProviderDict(TypedDict):
    """A provider as JSON has it."""

    name: str
    type: str
    state: str
    problem: str | None
    breaker: BreakerDict
    workers: dict[str, int]
    active_workers: int
    max_workers: int
    troubled_kinds: list[TroubledKindDict]
    is_kept_here: bool
    is_builtin: bool
    priority: int
    cost_per_hour: float | None
    options: dict[str, str]
    labels: dict[str, str]
    annotations: dict[str, str]
    required_labels: dict[str, str]
    allowed_regions: list[str]
    tags: list[str]
    metadata: dict[str, str]
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreaker:
    """Whether a provider is asked for workers."""

    state: BreakerState
    open_until: datetime | None
    """Set only while it is OPEN."""
    failures: int
    """In a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubledKind:
    """A kind of workers of which the last did not come up."""

    kind: str
    """In words, such as `image debian:12 with 2 CPUs`."""
    message: str
    """Why."""
    next_try_at: datetime | None
    """None is made before then; None where one at a time is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider at the moment when a server answered."""

    name: str
    type: str
    """Such as `docker`; text, since a newer server may know more of them."""
    state: ProviderState
    problem: str
    """Why it is not HEALTHY; empty where it is."""
    breaker: CircuitBreaker
    workers: dict[str, int]
    """Those that live, by their states (`WorkerState`). Of a provider that makes them on the
    machine of each server: of the server that answered."""
    active_workers: int
    """All of `workers`."""
    max_workers: int
    troubled_kinds: tuple[TroubledKind, ...]
    is_kept_here: bool
    """Whether the server that answered makes its workers; else another knows more of failures."""
    is_builtin: bool
    """Whether the server's settings have it, and say what `options` would."""
    priority: int
    """Those with more are asked first."""
    cost_per_hour: float | None
    """Of a worker; None where nobody said."""
    options: dict[str, str]
    """Of one that was added: what was said of it."""
    labels: dict[str, str]
    """Of each of its workers."""
    annotations: dict[str, str]
    """Those of `labels` that say what it is."""
    required_labels: dict[str, str]
    """Only jobs that ask for all of them run on its workers, which have them."""
    allowed_regions: tuple[str, ...]
    """A job that prefers another region is not taken; empty means that any is."""
    tags: tuple[str, ...]
    metadata: dict[str, str]
    version: int
    """Grows by one with each change; 0 where there was none."""

    def to_dict(self) -> ProviderDict:
        """As JSON has it."""
        return {
            "name": self.name,
            "type": self.type,
            "state": self.state.value,
            "problem": self.problem or None,
            "breaker": {
                "state": self.breaker.state.value,
                "open_until": rfc3339_or_none(self.breaker.open_until),
                "failures": self.breaker.failures,
            },
            "workers": dict(self.workers),
            "active_workers": self.active_workers,
            "max_workers": self.max_workers,
            "troubled_kinds": [
                {
                    "kind": each.kind,
                    "message": each.message,
                    "next_try_at": rfc3339_or_none(each.next_try_at),
                }
                for each in self.troubled_kinds
            ],
            "is_kept_here": self.is_kept_here,
            "is_builtin": self.is_builtin,
            "priority": self.priority,
            "cost_per_hour": self.cost_per_hour,
            "options": dict(self.options),
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "required_labels": dict(self.required_labels),
            "allowed_regions": list(self.allowed_regions),
            "tags": list(self.tags),
            "metadata": dict(self.metadata),
            "version": self.version,
        }


class ProviderTestDict(TypedDict):
    """What a provider said, as JSON has it."""

    usable: bool
    problem: str | None
    facts: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTest:
    """What came of asking what is behind a provider."""

    problem: str
    """Why it cannot be used, and what to do; empty where it can."""
    facts: dict[str, str]
    """What it said of itself, such as its `version`."""

    def to_dict(self) -> ProviderTestDict:
        """As JSON has it."""
        return {
            "usable": not self.problem,
            "problem": self.problem or None,
            "facts": dict(self.facts),
        }


def provider_from_wire(provider: pb.ProviderConfig) -> Provider:
    """The provider of an answer."""
    breaker = provider.breaker
    state = pb.CircuitState.Name(breaker.state).removeprefix("CIRCUIT_STATE_")
    kind = pb.ProviderType.Name(provider.provider_type).removeprefix("PROVIDER_TYPE_")
    return Provider(
        name=provider.name,
        type=kind.lower(),
        state=_STATES[provider.status],
        problem=provider.problem,
        breaker=CircuitBreaker(
            state=BreakerState(state),
            open_until=_instant(breaker.open_until if breaker.HasField("open_until") else None),
            failures=breaker.failures,
        ),
        workers=dict(provider.workers),
        active_workers=provider.active_workers,
        max_workers=provider.max_workers,
        troubled_kinds=tuple(
            TroubledKind(
                kind=each.kind,
                message=each.message,
                next_try_at=_instant(each.next_try_at if each.HasField("next_try_at") else None),
            )
            for each in provider.troubled_kinds
        ),
        is_kept_here=provider.is_kept_here,
        is_builtin=provider.is_builtin,
        priority=provider.priority,
        cost_per_hour=provider.cost_per_hour if provider.HasField("cost_per_hour") else None,
        options=plain_options(provider.type_config),
        labels=dict(provider.capabilities.labels),
        annotations=dict(provider.annotations),
        required_labels=dict(provider.required_labels),
        allowed_regions=tuple(provider.allowed_regions),
        tags=tuple(provider.tags),
        metadata=dict(provider.metadata),
        version=provider.version,
    )


def _instant(at: Timestamp | None) -> datetime | None:
    return None if at is None else from_timestamp(at, field="provider")
