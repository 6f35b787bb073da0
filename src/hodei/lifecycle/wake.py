"""Signals between tasks of one event loop that carry no data, only 'look again'."""

import asyncio


class Wake:
    """A flag that one task waits for and any may raise. Raising it twice wakes once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Raises the flag. From the event loop's thread only."""
        self._event.set()

    async def wait(self) -> None:
        """Waits for the flag and takes it down."""
        await self._event.wait()
        self._event.clear()

    async def wait_up_to(self, seconds: float) -> bool:
        """Waits for the flag or the time; returns whether the flag was raised."""
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            return False
        return True
