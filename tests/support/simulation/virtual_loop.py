"""An asyncio loop on which time passes only when nothing else can happen."""

import asyncio
import selectors
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class StuckError(Exception):
    """Everything waits, and nothing will ever come."""


class _NoSelector(selectors.BaseSelector):
    """Instead of waiting for the outside world, which there is none of, lets time pass."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self._map: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        # The pipe by which threads would wake the loop: there are none either.
        key = selectors.SelectorKey(fileobj, 0, events, data)
        self._map[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._map.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._map

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise StuckError
        self.passed_s += max(timeout, 0)
        return []

    def close(self) -> None:
        self._map.clear()


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs real asyncio code in no time, and the same way each time."""

    def __init__(self) -> None:
        self._time = _NoSelector()
        super().__init__(self._time)
        # Timers that are due together run together, whatever the rounding of floats says.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._time.passed_s


class VirtualClock:
    """A `Clock` of a machine in the simulation.

    Args:
        loop: Whose time it shows.
        wrong_by_s: How far its wall clock is off.
    """

    def __init__(self, loop: VirtualLoop, *, wrong_by_s: float = 0.0) -> None:
        self._loop = loop
        self._wrong_by = timedelta(seconds=wrong_by_s)

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.time()) + self._wrong_by

    def monotonic(self) -> float:
        return self._loop.time()


def run_virtually(main: Any) -> Any:
    """Runs `main(loop)` to its end on a loop of its own."""
    loop = VirtualLoop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main(loop))
    finally:
        _cancel_all(loop)
        asyncio.set_event_loop(None)
        loop.close()


def _cancel_all(loop: VirtualLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(_ended(tasks))


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=60)
