"""The agent's standing with the server: connected or not, staying or leaving."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

FIRST_RETRY_S: Final = 0.05
MAX_RETRY_S: Final = 5.0
RETRY_FACTOR: Final = 1.5
"""Grows slowly: a wait is then about a third of the outage so far, and the workers of a server
that took two seconds to restart are back within another one."""
STEADY_S: Final = 5.0
"""A stream that lasted this long was sound: the next retry is a first one. Anything less counts
on, so that two agents with one identity do not push each other out in a tight loop."""

EXIT_OK: Final = 0
EXIT_REFUSED: Final = 3
"""The server will not have this worker."""
EXIT_SERVERLESS: Final = 4
"""There was no server for too long."""
EXIT_BROKEN: Final = 5
"""A part of the agent died."""
EXIT_FORCED: Final = 143
"""A second SIGTERM: its jobs were ended at once. 128 + 15, as a shell has it."""


class Leaving(Enum):
    """Whether, and how soon, the agent ends once it holds nothing any more."""

    NO = auto()
    DRAINING = auto()
    FORCED = auto()


def retry_delay_s(failures: int, chance: float) -> float:
    """Seconds to wait after `failures` failures in a row; `chance` in [0, 1) spreads agents."""
    longest = MAX_RETRY_S
    # Bounded before the power is taken: an outage of days must not overflow.
    if failures < 20:
        longest = min(longest, FIRST_RETRY_S * RETRY_FACTOR**failures)
    return longest * (0.5 + chance / 2)


@dataclass(slots=True, kw_only=True)
class Session:
    """What the agent knows of its server."""

    epoch: int = 0
    is_welcomed: bool = False
    welcomed_at: float = 0.0
    lost_at: float = 0.0
    """Since when there has been no server; counts only while not welcomed."""
    failures: int = 0
    heartbeat_interval_s: float = 15.0
    renew_after_s: float = 0.0
    is_renewal_due: bool = False
    leaving: Leaving = Leaving.NO
    leaving_reason: str = ""
    last_resort: int | None = None
    """The code to exit with once no process is left, whatever is still to be told."""

    def lose(self, now: float) -> None:
        """There is no stream any more."""
        if not self.is_welcomed:
            return
        self.is_welcomed = False
        self.lost_at = now
        if now - self.welcomed_at >= STEADY_S:
            self.failures = 0

    def next_retry_s(self, chance: float) -> float:
        """Counts a failure, and says how long to wait after it."""
        delay = retry_delay_s(self.failures, chance)
        self.failures += 1
        return delay
