"""What servers of one process share besides their stores, and what a test may take from them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hodei.adapters.memory import MemoryCluster, MemoryStore
from hodei.kernel.ids import Position, ServerId
from hodei.ports.signals import Listener, Topic
from hodei.ports.stores import Batch, Committed, Conflict, OthersEvents, StoreUnavailableError
from support.chance import JumpingClock


class Air:
    """What the signals of all servers go through, and where they see one another."""

    def __init__(self) -> None:
        self.clock = JumpingClock()
        self.cluster = MemoryCluster(self.clock)
        self.is_silent = False
        """Whether hints are lost."""
        self.brings_along = True
        """Whether a commit brings along what others have stored."""
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
        self.could_wait: list[bool] = []
        """Of the hints at events that were sent."""

    def send(self, topic: Topic, names: Sequence[str] = (), *, can_wait: bool = False) -> None:
        if topic is Topic.EVENTS:
            self.could_wait.append(can_wait)
        self._air.carry(self, topic, names)

    def listen(self, topic: Topic, listener: Listener) -> None:
        self._listeners.append((topic, listener))

    def hear(self, topic: Topic, names: Sequence[str]) -> None:
        """Somebody has told it."""
        for heard, listener in self._listeners:
            if heard == topic:
                listener(names)


class MembersStore:
    """A store that commits for members only and brings along what others do, as on PostgreSQL."""

    def __init__(self, store: MemoryStore, air: Air, member: Callable[[], ServerId | None]) -> None:
        self._store = store
        self._air = air
        self._member = member
        self._heard: Position | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        return getattr(self._store, name)

    async def commit(self, batch: Batch) -> Committed | Conflict:
        member = self._member()
        if member is None or not self._air.cluster.is_member(member):
            raise StoreUnavailableError("this server is no member")
        outcome = await self._store.commit(batch)
        if isinstance(outcome, Conflict) or not self._air.brings_along:
            return outcome
        return replace(outcome, others=await self._others_before(outcome))

    async def _others_before(self, outcome: Committed) -> OthersEvents | None:
        heard, self._heard = self._heard, outcome.events[-1].position
        until = Position(outcome.events[0].position - 1)
        if heard is None or heard > until:
            return None
        others = tuple(each for each in self._store._events if heard < each.position <= until)
        return OthersEvents(after=heard, until=until, events=others)
