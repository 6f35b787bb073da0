"""Connections to the database, with all that every one of them needs, and what its errors mean."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg

from hodei.kernel.errors import BrokenError, HodeiError
from hodei.ports.stores import StoreUnavailableError

Connection = asyncpg.Connection

_CONNECT_S: Final = 5
_STATEMENT_S: Final = 30.0
"""Longer than any statement takes that the store sends."""

_SETTINGS: Final = (
    # What the planner guesses of arrays is never worth compiling.
    "SET jit = off;"
    # There is an index for all that is asked. Tables that have just begun to grow look small to the
    # planner, and it would stay with reading all of one long after that has become wrong.
    "SET enable_seqscan = off;"
    # Whoever is stopped or cut off in the middle of a commit holds up the others for no longer.
    "SET idle_in_transaction_session_timeout = '5s';"
    # Longer than that, so that it is the one in the way who fails.
    "SET lock_timeout = '15s';"
    # A client that has vanished lets go of its locks within half a minute.
    "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;"
)
_COMMITTING: Final = (
    # Every row is reached by its key, however many they are, so that planning once is enough:
    # commits at 64 at once went from 2,400 to 3,900 a second.
    "SET plan_cache_mode = force_generic_plan;"
    "SET enable_hashjoin = off; SET enable_mergejoin = off;"
    # Each statement of a function sees what was committed before it, which may be after it began.
    "SET default_transaction_isolation = 'read committed';"
    # Whatever stronger promise the database makes stays as it is.
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'"
)
LOST: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # Of a session that the database has ended, until its end of the connection has closed too.
    asyncpg.InternalClientError,
)
"""What comes of a connection that is no more, besides errors that the database itself sends."""


async def connect(url: str, *, application_name: str = "hodei") -> Connection:
    """A connection that commits, durably.

    Raises:
        StoreUnavailableError: There is no connection to be had; the message says where.
    """
    with translated_errors(url):
        connection = await asyncpg.connect(
            url,
            timeout=_CONNECT_S,
            command_timeout=_STATEMENT_S,
            server_settings={"application_name": application_name},
            # The statement that writes a group is longer than what is kept prepared by default.
            max_cacheable_statement_size=0,
        )
        try:
            await set_up(connection)
            await connection.execute(_COMMITTING)
        except BaseException:
            connection.terminate()
            raise
    return connection


async def make_pool(url: str, *, size: int, application_name: str) -> asyncpg.Pool:
    """A pool for reads, and for writes that need not survive a crash.

    Raises:
        StoreUnavailableError: There is no connection to be had.
    """
    with translated_errors(url):
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=_CONNECT_S,
            command_timeout=_STATEMENT_S,
            server_settings={"application_name": application_name},
            max_cacheable_statement_size=0,
            init=_set_up_pooled,
            # Nobody changes a connection, and the default costs each read another round trip.
            reset=_leave_as_it_is,
        )


async def set_up(connection: Connection) -> None:
    """Gives a connection the settings that all have.

    Not as parameters of the connection itself: proxies such as PgBouncer refuse those.
    """
    await connection.execute(_SETTINGS)


async def _set_up_pooled(connection: Any) -> None:  # noqa: ANN401 - the pool's proxy
    await set_up(connection)
    await connection.execute("SET synchronous_commit = off")


async def _leave_as_it_is(_: object) -> None:
    pass


def place(url: str) -> str:
    """Where a URL points, without its password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2] or "the local socket"
    return f"{host}{parts.path}"


@contextmanager
def translated_errors(url: str) -> Generator[None]:
    """Turns errors of PostgreSQL, and of the way there, into ours."""
    try:
        yield
    except HodeiError:
        raise
    except (asyncpg.PostgresError, *LOST) as error:
        raise translate(error, url) from error


def translate(error: Exception, url: str) -> StoreUnavailableError | BrokenError:
    """What an error of PostgreSQL means for the caller."""
    if isinstance(error, asyncpg.PostgresError):
        state: str = getattr(error, "sqlstate", None) or ""
        if state.startswith(_REFUSES_WHAT_IT_GOT):
            return BrokenError(f"the database refused what should be right: {error}")
        advice = next((text for key, text in _ADVICE.items() if state.startswith(key)), "")
        return StoreUnavailableError(
            f"the database at {place(url)} cannot be used now: {error}{advice}"
        )
    what = str(error) or "it does not answer"
    return StoreUnavailableError(
        f"the database at {place(url)} cannot be reached: {what}; see whether it runs"
    )


_REFUSES_WHAT_IT_GOT: Final = ("21", "22", "23", "42601", "42804", "54")
"""Bad data, broken constraints, bad statements, beyond limits: classes of SQLSTATE."""

_ADVICE: Final = {
    "25006": "; it is read-only: connect to the primary, or allow it to be written",
    "28": "; see the user and the password in the URL",
    "3D000": "; create the database first",
    "42501": "; the user may not do that: let the owner of the tables run hodei db migrate",
    "42": "; its tables are not those of Hodei: see hodei db status",
    "53100": "; free some space on its disk, nothing that was accepted is lost",
    "53300": "; raise its max_connections, or let others use fewer",
    "55P03": "; another holds a lock for long: see pg_stat_activity",
}
