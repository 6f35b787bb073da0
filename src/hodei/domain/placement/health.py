"""How a provider is, from what is known of it."""

from enum import StrEnum

from hodei.domain.placement.breaker import BreakerState


class ProviderState(StrEnum):
    """How a provider is."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    """It makes workers, and something failed lately."""
    UNAVAILABLE = "UNAVAILABLE"
    """It makes no workers just now."""


def judge(
    *, problem: str, breaker: BreakerState, trouble: str, troubled_kinds: int
) -> tuple[ProviderState, str]:
    """The state of a provider, and why it is not healthy.

    Args:
        problem: What the provider itself says is wrong; empty when well.
        breaker: Whether it is asked for workers.
        trouble: Why its last worker could not be made; empty where it was.
        troubled_kinds: Of how many kinds the last worker could not be made.
    """
    if problem or breaker is BreakerState.OPEN:
        return ProviderState.UNAVAILABLE, problem or trouble
    if trouble or breaker is BreakerState.HALF_OPEN:
        on_trial = "it was unavailable, and makes one worker at a time until it is well again"
        return ProviderState.DEGRADED, trouble or on_trial
    if troubled_kinds:
        return ProviderState.DEGRADED, f"the last worker of {troubled_kinds} of its kinds failed"
    return ProviderState.HEALTHY, ""
