"""What a pool remembers of kinds of workers that did not come up."""

from dataclasses import dataclass
from typing import Final

from hodei.domain.placement.breaker import Breaker
from hodei.domain.placement.kinds import WorkerKind

GIVES_UP_AFTER: Final = 3
"""Workers of a kind in a row that were made and ended before they took a job."""
_REFUSED_FOR_S: Final = 60.0
"""So long a provider that refused a kind is not asked for it again, where others may make it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubledKind:
    """A kind whose last worker did not come up."""

    kind: WorkerKind
    message: str
    """Why."""
    next_try: float | None
    """None is begun before then, by the monotonic clock; None where one may be begun now."""


@dataclass(slots=True)
class _Trouble:
    message: str
    breaker: Breaker = Breaker()
    crashes: int = 0
    refused_until: float = 0.0

    def closed_until(self, now: float) -> float | None:
        """Until when none is begun; None where one may be."""
        until = max(self.refused_until, self.breaker.open_until or 0.0)
        return until if until > now else None


class KindTroubles:
    """Kinds that a provider could not make lately. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self._by_kind: dict[WorkerKind, _Trouble] = {}

    def succeeded(self, kind: WorkerKind) -> None:
        """A worker came up."""
        self._by_kind.pop(kind, None)

    def failed(self, kind: WorkerKind, message: str, now: float) -> None:
        """One could not be made, and may be later."""
        trouble = self._of(kind, message)
        trouble.breaker = trouble.breaker.failed(now)

    def ended(self, kind: WorkerKind, message: str, now: float) -> bool:
        """One ended as it started; whether that has been so too often to go on."""
        self.failed(kind, message, now)
        trouble = self._of(kind, message)
        trouble.crashes += 1
        return trouble.crashes >= GIVES_UP_AFTER

    def refused(self, kind: WorkerKind, message: str, now: float) -> None:
        """None can be made, and others are to be asked."""
        self._of(kind, message).refused_until = now + _REFUSED_FOR_S

    def forget(self, kind: WorkerKind) -> None:
        """Nobody waits for it any more; whoever asks next asks afresh."""
        self._by_kind.pop(kind, None)

    def most(self, kind: WorkerKind, now: float, *, in_progress: int) -> int | None:
        """How many more may be begun now; None for as many as are wanted."""
        trouble = self._by_kind.get(kind)
        if trouble is None:
            return None
        if trouble.closed_until(now) is not None:
            return 0
        # One at a time until one comes up: ten would only fail ten times as fast.
        return max(0, 1 - in_progress)

    def message(self, kind: WorkerKind) -> str:
        """Why the last one failed; empty where none did."""
        trouble = self._by_kind.get(kind)
        return "" if trouble is None else trouble.message

    def next_try_of(self, kind: WorkerKind, now: float) -> float | None:
        """Before when none of the kind is begun; None where one may be begun now."""
        trouble = self._by_kind.get(kind)
        return None if trouble is None else trouble.closed_until(now)

    def listed(self, now: float) -> list[TroubledKind]:
        """All of them."""
        return [
            TroubledKind(kind=kind, message=each.message, next_try=each.closed_until(now))
            for kind, each in self._by_kind.items()
        ]

    def next_try(self, now: float) -> float | None:
        """When the next kind may be tried again; None where nothing is waited for."""
        untils = [
            until
            for each in self._by_kind.values()
            for until in (each.refused_until, each.breaker.open_until or 0.0)
            if until > now
        ]
        return min(untils, default=None)

    def _of(self, kind: WorkerKind, message: str) -> _Trouble:
        trouble = self._by_kind.setdefault(kind, _Trouble(message))
        trouble.message = message
        return trouble
