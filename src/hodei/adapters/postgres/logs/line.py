"""The connection that appends: one statement at a time, and what became of it."""

from collections.abc import Awaitable, Callable
from typing import LiteralString

import asyncpg

from hodei.adapters.postgres.connection import LOST, Connection, translate
from hodei.kernel.errors import HodeiError, UnavailableError
from hodei.ports.logs import LogStoreUnavailableError
from hodei.ports.stores import SchemaError


class LostError(Exception):
    """The connection was lost over a statement."""


class GoneError(LogStoreUnavailableError):
    """The database is not there."""


class Line:
    """The connection that appends, or the next one."""

    def __init__(
        self, connection: Connection, connect: Callable[[], Awaitable[Connection]], url: str
    ) -> None:
        self._connection: Connection | None = connection
        self._connect = connect
        self._url = url

    async def fetch(self, statement: LiteralString, *arguments: object) -> list[asyncpg.Record]:
        """Runs one statement, which is a transaction of its own.

        Raises:
            TransactionRollbackError: It was undone for another's sake.
            LostError: It is not known whether it was done.
            GoneError: There is no connection to be had.
            LogStoreUnavailableError: It was refused.
        """
        connection = await self._connected()
        try:
            return await connection.fetch(statement, *arguments)
        except asyncpg.exceptions.TransactionRollbackError:
            raise
        except (asyncpg.PostgresError, *LOST) as error:
            failure = translate(error, self._url)
            if isinstance(error, LOST) or connection.is_closed():
                self._drop()
                raise LostError(str(failure)) from error
            raise _unavailable(failure) from error
        except BaseException:
            # Cancelled, it is in the middle of something.
            self._drop()
            raise

    async def close(self) -> None:
        """Lets go of it."""
        if self._connection is not None:
            await self._connection.close()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = None
            try:
                self._connection = await self._connect()
            except (HodeiError, SchemaError) as error:
                raise GoneError(str(error)) from error
        return self._connection


def _unavailable(error: HodeiError) -> HodeiError:
    return LogStoreUnavailableError(str(error)) if isinstance(error, UnavailableError) else error
