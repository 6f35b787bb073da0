"""Hints between servers of one process, which a test may lose or hold up."""

import asyncio
from collections.abc import Sequence

from hodei.ports.signals import Listener, Topic


class Air:
    """What the signals of all servers go through."""

    def __init__(self) -> None:
        self.is_silent = False
        """Whether hints are lost."""
        self._all: list[AirSignals] = []

    def signals(self) -> "AirSignals":
        """Those of one more server."""
        own = AirSignals(self)
        self._all.append(own)
        return own

    def carry(self, sender: "AirSignals", topic: Topic, names: Sequence[str]) -> None:
        """Tells all but the sender, in a later turn of the event loop."""
        loop = asyncio.get_running_loop()
        for each in self._all:
            if each is not sender and not self.is_silent:
                loop.call_soon(each.hear, topic, names)


class AirSignals:
    """Implements `hodei.ports.signals.Signals`."""

    def __init__(self, air: Air) -> None:
        self._air = air
        self._listeners: list[tuple[Topic, Listener]] = []

    def send(self, topic: Topic, names: Sequence[str] = ()) -> None:
        self._air.carry(self, topic, names)

    def listen(self, topic: Topic, listener: Listener) -> None:
        self._listeners.append((topic, listener))

    def hear(self, topic: Topic, names: Sequence[str]) -> None:
        """Somebody has told it."""
        for heard, listener in self._listeners:
            if heard == topic:
                listener(names)
