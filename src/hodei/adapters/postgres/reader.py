"""Reads: a small pool of connections, and decoding that does not hold up the event loop."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString, TypeVar

import asyncpg

from hodei.ports.stores import StoreUnavailableError

from .connection import make_pool, translated_errors

T = TypeVar("T")

_CONNECTIONS: Final = 4
"""One for the dispatcher's short reads while others make long lists."""
_READ_S: Final = 40.0
"""For a connection to come free and the read on it."""
_DECODED_INLINE: Final = 256
"""Rows that are decoded on the event loop, at about 10 µs each; more go to a thread."""


class Readers:
    """Reads see everything that a commit which has returned wrote."""

    def __init__(self, pool: asyncpg.Pool, url: str) -> None:
        self._pool = pool
        self._url = url
        self._closed = False

    @classmethod
    async def open(cls, url: str, *, application_name: str, size: int = _CONNECTIONS) -> "Readers":
        """Connects.

        Args:
            url: Of the database.
            application_name: Of the connections, for those who look at the database.
            size: How many there are at most.

        Raises:
            StoreUnavailableError: There is no connection to be had.
        """
        pool = await make_pool(url, size=size, application_name=application_name)
        return cls(pool, url)

    async def fetch(self, statement: LiteralString, *arguments: object) -> list[asyncpg.Record]:
        """The rows of a statement.

        Raises:
            StoreUnavailableError: It could not be read.
        """
        if self._closed:
            raise StoreUnavailableError("the store is closed")
        with translated_errors(self._url):
            async with asyncio.timeout(_READ_S), self._pool.acquire() as connection:
                return await connection.fetch(statement, *arguments)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Any]:
        """A connection in a transaction, for changes that may be lost with the machine.

        Raises:
            StoreUnavailableError: It could not be done; nothing was changed, as far as is known.
        """
        if self._closed:
            raise StoreUnavailableError("the store is closed")
        with translated_errors(self._url):
            async with (
                asyncio.timeout(_READ_S),
                self._pool.acquire() as connection,
                connection.transaction(isolation="read_committed"),
            ):
                yield connection

    async def value(self, statement: LiteralString, *arguments: object) -> Any:  # noqa: ANN401
        """The one value of a statement's one row."""
        rows = await self.fetch(statement, *arguments)
        return rows[0][0]

    async def close(self) -> None:
        """Waits for what was begun, and takes no more. Idempotent."""
        if not self._closed:
            self._closed = True
            await self._pool.close()


async def decoded(decode: Callable[[list[asyncpg.Record]], T], rows: list[asyncpg.Record]) -> T:
    """What `decode` makes of the rows, made in a thread where there are many."""
    if len(rows) <= _DECODED_INLINE:
        return decode(rows)
    return await asyncio.to_thread(decode, rows)
