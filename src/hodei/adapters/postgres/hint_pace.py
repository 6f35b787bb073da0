"""How long a hint waits for others to go with it."""

from collections.abc import Iterable
from typing import Final

from hodei.ports.signals import Topic

COMPANY_S: Final = 0.1
"""What hints that can wait are apart, of each topic."""


class HintPace:
    """Lets the first hint go at once, and those that can wait and come soon after it together.

    Each one costs the database and all that listen some tenths of a millisecond of processor time,
    however little it says.
    """

    def __init__(self) -> None:
        self._sent_at: dict[Topic, float] = {}

    def wait_s(self, topic: Topic, at: float, *, can_wait: bool) -> float:
        """How long a hint may wait.

        Args:
            topic: What it is of.
            at: Seconds on a clock that never goes back.
            can_wait: As `Signals.send` has it.
        """
        last = self._sent_at.get(topic, float("-inf"))
        return max(0.0, last + COMPANY_S - at) if can_wait else 0.0

    def note(self, topics: Iterable[Topic], at: float) -> None:
        """Says what is sent at this moment of the same clock."""
        self._sent_at.update(dict.fromkeys(topics, at))
