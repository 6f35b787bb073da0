"""The time of the store, as a server knows it."""

from datetime import datetime, timedelta

from hodei.kernel.clock import Clock
from hodei.kernel.ids import ServerId
from hodei.ports.durable import Held, Leases


class StoreClock:
    """Adds to the store's time what the own steady clock says has passed since.

    Counted from before the store was asked, so that it is never behind the store: a timer that is
    set by it is late by at most the way there and back, and never early.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: datetime | None = None
        self._asked_at = 0.0

    @property
    def is_set(self) -> bool:
        """Whether the store was asked yet."""
        return self._told is not None

    def set(self, told: datetime, asked_at: float) -> None:
        """Takes over what the store said; `asked_at` is the steady clock's time before the question.

        Never goes back, as the way to the store may have been longer the time before.
        """
        if self._told is None or told > self._at(asked_at):
            self._told = told
            self._asked_at = asked_at

    def now(self) -> datetime:
        """The store's time, or a little later."""
        return self._at(self._clock.monotonic())

    def monotonic(self) -> float:
        """The own steady clock."""
        return self._clock.monotonic()

    async def renew(self, leases: Leases, server: ServerId, *, ttl_s: float) -> Held:
        """Renews the leases of a server and learns the store's time by it."""
        asked_at = self._clock.monotonic()
        held = await leases.renew(server, ttl_s=ttl_s)
        self.set(held.now, asked_at)
        return held

    def _at(self, monotonic: float) -> datetime:
        told = self._told
        if told is None:
            # Before the first answer: only what needs no precision asks so early.
            return self._clock.now()
        return told + timedelta(seconds=monotonic - self._asked_at)
