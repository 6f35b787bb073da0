"""Keeps a second server away from a database that one server at a time may use.

The lock belongs to the session of the connection that commits: whoever commits holds it, and it is
free as soon as that session has ended, by whatever cause.
"""

import asyncio
import os
import secrets
import socket
from typing import Final

from hodei.ports.stores import StoreUnavailableError

from .connection import Connection

_LOCK: Final = 448545449323
"""The advisory lock of the server that uses the database."""
_SESSION_ENDS_S: Final = 1.0
"""How long a session may still be there whose server has died or lost it: one that is started again
at once must not be kept away by itself."""
_LOOK_AGAIN_S: Final = 0.05

_HOLDER: Final = """
SELECT activity.pid, activity.application_name
FROM pg_locks AS lock JOIN pg_stat_activity AS activity USING (pid)
WHERE lock.locktype = 'advisory' AND lock.granted AND lock.objsubid = 1
    AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND lock.classid::bigint << 32 | lock.objid::bigint = $1
"""


class DatabaseInUseError(StoreUnavailableError):
    """Another server uses the database."""

    code = "DATABASE_IN_USE"


def session_name(server: str) -> str:
    """What the sessions of this server are called in `pg_stat_activity`, and those of no other.

    PostgreSQL keeps 63 characters of ASCII.
    """
    words = f"hodei {server[:20]} (process {os.getpid()} on {socket.gethostname()[:16]})"
    return f"{words.encode('ascii', 'replace').decode()} {secrets.token_hex(3)}"


async def require_sole(connection: Connection, own_name: str) -> None:
    """Takes the lock for the session of `connection`.

    A session of this server that the database still has, though its connection was lost, is ended;
    one of another server gets a moment to end by itself.

    Raises:
        DatabaseInUseError: Another server has it; the message names it.
    """
    began = asyncio.get_running_loop().time()
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
        holder = await connection.fetchrow(_HOLDER, _LOCK)
        if holder is not None and asyncio.get_running_loop().time() - began > _SESSION_ENDS_S:
            raise DatabaseInUseError(
                f"the database is in use by {_shown(holder['application_name'])}: stop that server "
                "first; several servers on one database are not in this release"
            )
        if holder is not None and holder["application_name"] == own_name:
            await connection.execute("SELECT pg_terminate_backend($1)", holder["pid"])
        await asyncio.sleep(_LOOK_AGAIN_S)


async def user_of(connection: Connection) -> str:
    """The server that uses the database, for people; empty for none."""
    holder = await connection.fetchrow(_HOLDER, _LOCK)
    return "" if holder is None else _shown(holder["application_name"])


def _shown(name: str) -> str:
    """Without what tells two servers of the same name apart."""
    return name.rpartition(" ")[0] or "another program"
