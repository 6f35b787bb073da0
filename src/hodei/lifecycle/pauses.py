"""Notices that this process did not run for a while: it was stopped, or its whole machine was."""

import asyncio


class Pauses:
    """The distance between looks, by the event loop's time.

    Args:
        after_s: A look that comes so long after the one before has been kept from it. Somebody looks
            several times as often.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._looked_at: float | None = None

    def look(self) -> float:
        """For how many seconds the process has just not run; 0 where it has."""
        now = asyncio.get_running_loop().time()
        before, self._looked_at = self._looked_at, now
        away_s = 0.0 if before is None else now - before
        return away_s if away_s > self._after_s else 0.0
