"""Which events may be stored without anybody here knowing.

A connection that breaks while a commit is on its way leaves its outcome open. Its events then lie
somewhere after the position at which it began, among those of commits that were on their way too.
"""

import asyncio
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from hodei.kernel.ids import BEFORE_THE_FIRST, Position
from hodei.ports.stores import StoredEvent, StoreUnavailableError


class UnsureCommits:
    """Watches commits from their beginning to the telling of their events."""

    def __init__(self) -> None:
        self.newest = BEFORE_THE_FIRST
        """The newest position that was told."""
        self._begun: dict[object, Position] = {}
        """Commits on their way, oldest first, and what had been told when each began."""
        self._told: deque[tuple[Position, Position]] = deque()
        """First and last positions that were told since the oldest of those began."""
        self._unsure_after: Position | None = None
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def are_there(self) -> bool:
        """Whether some commit's outcome is open."""
        return self._unsure_after is not None

    @contextmanager
    def watch(self) -> Generator[None]:
        """Around a commit and the telling of its events."""
        commit = object()
        self._begun[commit] = self.newest
        self._quiet.clear()
        try:
            yield
        except StoreUnavailableError:
            # Whatever is unsure already began no later: the oldest of them is what counts.
            if self._unsure_after is None:
                self._unsure_after = self._begun[commit]
            self._unsure_after = min(self._unsure_after, self._begun[commit])
            raise
        finally:
            del self._begun[commit]
            if not self._begun:
                self._quiet.set()
            self._forget()

    def told(self, events: Sequence[StoredEvent]) -> None:
        """These were told, or are about to be."""
        self._told.append((events[0].position, events[-1].position))
        self.newest = max(self.newest, events[-1].position)

    async def quiet(self) -> Position:
        """Waits until no commit is on its way; returns after which position events may be missing.

        The caller sees to it that none begins meanwhile.
        """
        await self._quiet.wait()
        return self.newest if self._unsure_after is None else self._unsure_after

    def were_told(self, event: StoredEvent) -> bool:
        """Whether an event after that position was told."""
        return any(first <= event.position <= last for first, last in self._told)

    def settled(self) -> None:
        """All that was missing has been told."""
        self._unsure_after = None
        self._forget()

    def _forget(self) -> None:
        """Lets go of what no commit on its way, and no unsure one, can lie among."""
        limits = [*self._begun.values()][:1]
        if self._unsure_after is not None:
            limits.append(self._unsure_after)
        limit = min(limits, default=self.newest)
        while self._told and self._told[0][1] <= limit:
            self._told.popleft()
