"""How a provider is, from what is known of it."""

from enum import StrEnum
from typing import Final

from hodei.domain.placement.breaker import BreakerState
from hodei.domain.providers.record import ProviderMode


class ProviderState(StrEnum):
    """How a provider is."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    """It makes workers, and something failed lately."""
    UNAVAILABLE = "UNAVAILABLE"
    """It makes no workers just now."""
    DISABLED = "DISABLED"
    """Somebody wants it to make none."""
    LEAVING = "LEAVING"
    """It is being removed, and gone with its last worker."""


_UNWANTED: Final = {
    ProviderMode.DISABLED: (ProviderState.DISABLED, ""),
    ProviderMode.LEAVING: (ProviderState.LEAVING, "it is gone once its last worker has ended"),
}


def judge(
    *,
    mode: ProviderMode,
    closed: str,
    problem: str,
    breaker: BreakerState,
    trouble: str,
    troubled_kinds: int,
) -> tuple[ProviderState, str]:
    """The state of a provider, and why it is not healthy.

    Args:
        mode: What somebody wants of it.
        closed: Why it is not asked for workers at all, in words that follow `it`.
        problem: What the provider itself says is wrong; empty when well.
        breaker: Whether it is asked for workers.
        trouble: Why its last worker could not be made; empty where it was.
        troubled_kinds: Of how many kinds the last worker could not be made.
    """
    if mode is not ProviderMode.ENABLED:
        return _UNWANTED[mode]
    if closed:
        return ProviderState.UNAVAILABLE, f"it {closed}"
    if problem or breaker is BreakerState.OPEN:
        return ProviderState.UNAVAILABLE, problem or trouble
    if trouble or breaker is BreakerState.HALF_OPEN:
        on_trial = "it was unavailable, and makes one worker at a time until it is well again"
        return ProviderState.DEGRADED, trouble or on_trial
    if troubled_kinds:
        return ProviderState.DEGRADED, f"the last worker of {troubled_kinds} of its kinds failed"
    return ProviderState.HEALTHY, ""
