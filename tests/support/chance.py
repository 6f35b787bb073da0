"""Time and chance in the hands of a test."""

from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class JumpingClock:
    """A `Clock` that stands still until it is told to jump."""

    def __init__(self) -> None:
        self._passed = timedelta()

    def now(self) -> datetime:
        """Noon, and what has passed since."""
        return NOON + self._passed

    def monotonic(self) -> float:
        """Seconds that have passed."""
        return 1000.0 + self._passed.total_seconds()

    def jump(self, seconds: float) -> None:
        """Lets time pass."""
        self._passed += timedelta(seconds=seconds)


class CountingIds:
    """An `IdSource` that draws the same things in every run."""

    def __init__(self) -> None:
        self._drawn = 0

    def new(self) -> str:
        """Ids that sort by the order in which they were drawn."""
        return f"00000000-0000-7000-8000-{self._next():012d}"

    def token_bits(self) -> int:
        """A number that nobody else was given."""
        return self._next()

    def secret(self) -> str:
        """A text that nobody else was given."""
        return f"secret-{self._next()}"

    def fraction(self) -> float:
        """No jitter."""
        return 0.0

    def _next(self) -> int:
        self._drawn += 1
        return self._drawn
