"""Ctrl-C and SIGTERM while a job runs."""

import asyncio
import os
import signal
from types import TracebackType
from typing import Final, Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Catches both signals for as long as it is open.

    The first and the second are there to be acted on. Any after them ends the process at once,
    whatever it waits for.
    """

    def __init__(self, *, leave_on: int) -> None:
        """`leave_on` says which one ends the process: 2 for the second, 3 for the third."""
        self._leave_on = leave_on
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
        if len(self._received) >= self._leave_on:
            # Not by an exception: a thread that writes to a reader who does not read would be
            # waited for.
            os._exit(128 + self._received[0])
        (self._first if len(self._received) == 1 else self._second).set()
