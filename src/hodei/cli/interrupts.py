"""Ctrl-C and SIGTERM while a job runs."""

import asyncio
import os
import signal
from types import TracebackType
from typing import Final, NoReturn, Self

from hodei.lifecycle.race import is_over_within

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Catches both signals for as long as it is open.

    The first and the second are there to be acted on. Any after them ends the process at once.
    """

    def __init__(self) -> None:
        self._received: list[int] = []
        self._first = asyncio.Event()
        self._second = asyncio.Event()

    @property
    def exit_code(self) -> int | None:
        """130 for Ctrl-C, 143 for SIGTERM; None when neither has come."""
        return 128 + self._received[0] if self._received else None

    async def first(self) -> None:
        """Waits for the first signal."""
        await self._first.wait()

    async def second(self) -> None:
        """Waits for the second signal."""
        await self._second.wait()

    async def second_within(self, seconds: float) -> bool:
        """Waits for the second signal or the time; returns whether the signal has come."""
        return await is_over_within(seconds, self._second.wait())

    def leave(self) -> NoReturn:
        """Ends the process at once.

        Not by an exception: a thread that writes to a reader who does not read would be waited for.
        """
        os._exit(self.exit_code or 1)

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._receive, number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def _receive(self, number: int) -> None:
        self._received.append(number)
        match len(self._received):
            case 1:
                self._first.set()
            case 2:
                self._second.set()
            case _:
                self.leave()
