"""How a provider's pool is, for those who report it."""

from collections.abc import Sequence
from dataclasses import dataclass

from hodei.application.fleet import Member
from hodei.application.kind_troubles import TroubledKind
from hodei.domain.placement.breaker import Breaker
from hodei.ports.providers import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a provider stands among the others."""

    priority: int = 0
    """Those with more are asked first."""
    cost_per_hour: float | None = None
    """Of a worker; None where it is not known."""
    closed: str = ""
    """Why it makes no workers, in words that follow `it`; empty where it does."""
    drains: bool = False
    """Whether those that it has are to leave, too, as nobody wants any of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCondition:
    """A pool at one moment."""

    provider: Provider
    terms: Terms
    breaker: Breaker
    trouble: str
    """Why the last attempt to make a worker failed; empty after one that did not."""
    troubled_kinds: Sequence[TroubledKind]
    members: Sequence[Member]
    """Its living workers, as far as this server reaches them."""
    is_kept_here: bool
    """Whether this server, and no other, makes its workers just now."""
