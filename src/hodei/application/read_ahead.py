"""How many jobs of the queue are read beyond those that free slots take."""

from collections import deque
from typing import Final

RESERVED_S: Final = 1.0
"""How long jobs that were read ahead are taken to be this server's. The store keeps them for it no
longer."""
_WITHIN_S: Final = 0.5
_MOST: Final = 128


class ReadAhead:
    """As many as are given to workers within half a second, where several share the queue.

    What one server reads the others pass over for a while. So it reads ahead of time only what it is
    about to give away: nothing of a queue of long jobs, and of short ones what saves it most reads.

    Args:
        fixed: The number where nobody shares the queue; 0 where somebody does.
    """

    def __init__(self, fixed: int) -> None:
        self.fixed = fixed
        self._given: deque[tuple[float, int]] = deque()

    def note(self, given: int, at: float) -> None:
        """Says that so many jobs were given to workers.

        Args:
            given: How many.
            at: Seconds on a clock that never goes back.
        """
        if not self.fixed:
            self._given.append((at, given))
            self._forget(at)

    def jobs(self, at: float) -> int:
        """How many to read ahead at this moment of the same clock."""
        if self.fixed:
            return self.fixed
        self._forget(at)
        return min(_MOST, sum(given for _, given in self._given))

    def _forget(self, at: float) -> None:
        while self._given and self._given[0][0] < at - _WITHIN_S:
            self._given.popleft()
