"""Time and chance as ports, so that tests decide both."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time. The pure core never asks anything else for it."""

    def now(self) -> datetime:
        """The wall-clock time, aware, in UTC. May step; never compare two for a duration."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back. For leases and durations."""
        ...


class IdSource(Protocol):
    """Draws ids and secrets."""

    def new(self) -> str:
        """A new id that sorts by its time of creation (UUID version 7)."""
        ...

    def token_bits(self) -> int:
        """31 random bits, unguessable."""
        ...

    def secret(self) -> str:
        """256 random bits as URL-safe text."""
        ...

    def fraction(self) -> float:
        """A number in [0, 1), evenly drawn; for jitter, not for secrets."""
        ...
