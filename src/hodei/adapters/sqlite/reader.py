"""A small pool of threads that read, each on a connection of its own."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from hodei.ports.stores import StoreUnavailableError

from .connection import connect, translated_errors

T = TypeVar("T")

_THREADS: Final = 2
"""One for the dispatcher's short reads while the other makes a long list."""


class ReaderPool:
    """Reads see everything that a commit which has returned wrote."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._own = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="hodei-sqlite-reader")
        self._closed = False

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `query` on one of the threads.

        Raises:
            StoreUnavailableError: It could not be read.
        """
        return await self.compute(lambda: self._query(query))

    async def compute(self, work: Callable[[], T]) -> T:
        """Runs work that would hold up the event loop on one of the threads."""
        if self._closed:
            raise StoreUnavailableError("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def refuse(self) -> None:
        """Takes no more reads."""
        self._closed = True

    def close(self) -> None:
        """Waits for what was begun. Blocks: for the writer's thread, not for the event loop's."""
        self._executor.shutdown()
        for connection in self._connections:
            connection.close()

    def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        with translated_errors():
            return query(self._connection())

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._own, "connection"):
            self._own.connection = connect(self._data_dir, read_only=True)
            self._connections.append(self._own.connection)
        return self._own.connection
