"""A circuit breaker: stops asking a provider that keeps failing, and tries it again later."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

OPENS_AFTER: Final = 5
"""Failures in a row."""
OPEN_FOR_S: Final = 60.0
CLOSES_AFTER: Final = 3
"""Successes in a row of those that are let through after it was open."""


class BreakerState(StrEnum):
    """Whether a provider is asked for workers."""

    CLOSED = "CLOSED"
    """As many as are wanted."""
    OPEN = "OPEN"
    """None."""
    HALF_OPEN = "HALF_OPEN"
    """One at a time, to see whether it is well again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """The breaker of one provider. Times are of the monotonic clock."""

    failures: int = 0
    """In a row."""
    successes: int = 0
    """In a row, since it was last open."""
    open_until: float | None = None
    """None while it is closed."""

    def lets_through(self, now: float) -> bool:
        """Whether the provider may be asked."""
        return self.open_until is None or now >= self.open_until

    def state(self, now: float) -> BreakerState:
        """How it is for people."""
        if not self.is_on_trial:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self.lets_through(now) else BreakerState.OPEN

    @property
    def is_on_trial(self) -> bool:
        """Whether it was open and has not closed yet: ask for one thing at a time."""
        return self.open_until is not None

    def failed(self, now: float) -> "Breaker":
        """After a failure."""
        failures = self.failures + 1
        opens = self.is_on_trial or failures >= OPENS_AFTER
        until = now + OPEN_FOR_S if opens else None
        return Breaker(failures=failures, open_until=until)

    def succeeded(self) -> "Breaker":
        """After a success."""
        if not self.is_on_trial:
            return Breaker()
        successes = self.successes + 1
        return Breaker() if successes >= CLOSES_AFTER else replace(self, successes=successes)
