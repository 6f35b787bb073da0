"""Signals between tasks of one event loop that carry no data, only 'look again'."""

import asyncio

from hodei.lifecycle.race import is_over_within


class Wake:
    """A flag that one task waits for and any may raise. Raising it twice wakes once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def notify(self) -> None:
        """Raises the flag. From the event loop's thread only."""
        self._event.set()

    def notify_within(self, seconds: float) -> None:
        """Raises the flag after so long, unless somebody raises it before.

        For what can wait for company. While one time runs, another changes nothing.
        """
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self.notify)

    async def wait(self) -> None:
        """Waits for the flag and takes it down."""
        await self._event.wait()
        self._event.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def wait_up_to(self, seconds: float) -> bool:
        """Waits for the flag or the time; returns whether the flag was raised."""
        return await is_over_within(seconds, self.wait())
