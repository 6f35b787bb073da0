"""An event loop in a thread, for callers that have none."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from enum import Enum
from typing import Any, TypeVar

T = TypeVar("T")


class _End(Enum):
    END = 0


class Portal:
    """Runs coroutines for code that is not async. May be used from any thread but its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # A daemon, so that a client that nobody closed does not hold up the end of the program.
        self._thread = threading.Thread(target=self._run_loop, name="hodei-client", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether it runs things."""
        return self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs `work` to its end; an interrupt of the caller (Ctrl-C) cancels it.

        Raises:
            RuntimeError: The portal is closed.
        """
        if not self.is_open:
            work.close()
            raise RuntimeError("this client is closed: make another one")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        """Yields what `items` yields; ends it when the caller stops early."""
        try:
            while (item := self.run(_next(items))) is not _End.END:
                yield item
        finally:
            if isinstance(items, AsyncGenerator) and self.is_open:
                self.run(items.aclose())

    def close(self) -> None:
        """Ends the loop and its thread. Idempotent."""
        if self.is_open:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run_loop(self) -> None:
        # The runner ends what is left as asyncio.run would: tasks first, then async generators.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()


async def _next(items: AsyncIterator[T]) -> T | _End:
    return await anext(items, _End.END)
