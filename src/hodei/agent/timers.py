"""Timers by name on the event loop."""

import asyncio
from collections.abc import Callable

from hodei.agent.reactor.events import TimerKey


class Timers:
    """Calls `fire` with the key of each timer that comes due."""

    def __init__(self, fire: Callable[[TimerKey], None]) -> None:
        self._fire = fire
        self._handles: dict[TimerKey, asyncio.TimerHandle] = {}

    def arm(self, key: TimerKey, at: float) -> None:
        """Sets a timer to a time of the loop's clock; moves it where it was set before."""
        self.cancel(key)
        self._handles[key] = asyncio.get_running_loop().call_at(at, self._due, key)

    def cancel(self, key: TimerKey) -> None:
        """Unsets a timer, if it is set."""
        if handle := self._handles.pop(key, None):
            handle.cancel()

    def close(self) -> None:
        """Unsets all."""
        for key in list(self._handles):
            self.cancel(key)

    def _due(self, key: TimerKey) -> None:
        del self._handles[key]
        self._fire(key)
