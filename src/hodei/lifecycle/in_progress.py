"""Work of others that somebody waits for without having started it."""

import asyncio
from types import TracebackType

from hodei.lifecycle.race import is_over_within


class InProgress:
    """How much of one kind of work is in progress. Each piece enters it as a context manager."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    def __enter__(self) -> None:
        self._count += 1
        self._none.clear()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._count -= 1
        if not self._count:
            self._none.set()

    async def over_within(self, seconds: float) -> bool:
        """Waits until none is in progress, at most so long; returns whether that came."""
        return await is_over_within(seconds, self._none.wait())
