"""Counts of what operators should notice, by name."""

from collections import Counter


class Counters:
    """Counts since the server started. One event loop writes them."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, name: str, count: int = 1) -> None:
        """Counts something once more."""
        self._counts[name] += count

    def snapshot(self) -> dict[str, int]:
        """All counts so far."""
        return dict(self._counts)
