"""Tells the parts of this server what was committed, in the order of the store."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence

from hodei.lifecycle.wake import Wake
from hodei.ports.stores import StoredEvent

_MOST_QUEUED = 10_000
"""Events that a follower may be behind before it must read from the store instead."""


class Subscription:
    """A follower's inbox, bounded so that a slow client costs no memory.

    One that overflows says so, and the follower reads the store again from its own position.
    """

    def __init__(self, streams: frozenset[str] | None) -> None:
        self.streams = streams
        """What it follows; None for everything."""
        self._events: deque[StoredEvent] = deque()
        self._wake = Wake()
        self._overflown = False

    def offer(self, event: StoredEvent) -> None:
        """Puts an event in, unless there is no room."""
        if len(self._events) >= _MOST_QUEUED:
            self._overflown = True
        if not self._overflown:
            self._events.append(event)
        self._wake.notify()

    async def take(self) -> tuple[list[StoredEvent], bool]:
        """Waits for events; returns them, and whether some had no room."""
        while not self._events and not self._overflown:
            await self._wake.wait()
        events, overflown = list(self._events), self._overflown
        self._events.clear()
        self._overflown = False
        return events, overflown


class EventBus:
    """Hands committed events to followers and to the parts that react to them."""

    def __init__(self) -> None:
        self._followers: set[Subscription] = set()
        self._by_stream: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._listeners: list[Callable[[Sequence[StoredEvent]], None]] = []

    def listen(self, listener: Callable[[Sequence[StoredEvent]], None]) -> None:
        """Calls `listener` with every batch of events.

        It must not block or raise: the events would be lost to those after it, and whoever
        publishes ends the process.
        """
        self._listeners.append(listener)

    def publish(self, events: Sequence[StoredEvent]) -> None:
        """Tells everybody who asked."""
        for listener in self._listeners:
            listener(events)
        if not self._followers and not self._by_stream:
            return
        for event in events:
            for follower in self._followers:
                follower.offer(event)
            for follower in self._by_stream.get(event.stream, ()):
                follower.offer(event)

    def follow(self, streams: Iterable[str] | None) -> Subscription:
        """A subscription to these streams, or to all; end it with `unfollow`."""
        subscription = Subscription(None if streams is None else frozenset(streams))
        if subscription.streams is None:
            self._followers.add(subscription)
        else:
            for stream in subscription.streams:
                self._by_stream[stream].add(subscription)
        return subscription

    def unfollow(self, subscription: Subscription) -> None:
        """Ends a subscription. Idempotent."""
        self._followers.discard(subscription)
        for stream in subscription.streams or ():
            followers = self._by_stream.get(stream, set())
            followers.discard(subscription)
            if not followers:
                self._by_stream.pop(stream, None)
