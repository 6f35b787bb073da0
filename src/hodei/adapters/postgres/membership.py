"""The servers that share the database, over a connection of its own.

The session of that connection holds an advisory lock: when it is free, the server's process is
dead, or cut off, and nobody need wait for the end of its lease.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeVar

import asyncpg

from hodei.domain.cluster.duties import Duty, Ownership
from hodei.kernel.ids import ServerId
from hodei.ports.cluster import ClusterView, ServerEntry, ServerNameTakenError, ServerSeen

from .connection import Connection, connect, translated_errors
from .named_sql import load
from .session_names import session_name

T = TypeVar("T")

_SQL: Final = load("cluster.sql")
_ANSWER_S: Final = 5.0
"""For one statement, the connection included; far below any lease."""
_SESSION_ENDS_S: Final = 2.0
"""How long the session of a server that has died may still be there."""
_LOOK_AGAIN_S: Final = 0.1
_SETTLED_S: Final = 3.0
"""After a restart of the database all servers have lost their sessions, and come back one by one:
nobody is judged by a session before."""


class PostgresMembership:
    """Implements `hodei.ports.cluster.Membership`."""

    def __init__(self, url: str, *, server: str) -> None:
        self._url = url
        self._session_name = session_name(server)
        self._connection: Connection | None = None
        self._connected_at = 0.0
        self._number = 0
        self._has_lock = False
        self._lives: list[ServerId] = []
        """Ids under which this process has joined."""

    async def join(self, entry: ServerEntry, *, lease_s: float) -> None:
        """See `Membership.join`."""
        lease = timedelta(seconds=lease_s)
        until = asyncio.get_running_loop().time() + _SESSION_ENDS_S
        while not await self._ask(lambda connection: self._join(connection, entry, lease)):
            if asyncio.get_running_loop().time() > until:
                raise ServerNameTakenError(
                    f"another server named {entry.name!r} uses this database: stop it, or give "
                    "this one a name of its own with --name"
                )
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def renew(self, *, streams: int, is_draining: bool) -> bool:
        """See `Membership.renew`."""

        async def renew(connection: Connection) -> bool:
            arguments = (self._me, streams, is_draining)
            return await connection.fetchval(_SQL["renew"], *arguments) is not None

        return await self._ask(renew)

    async def look(self) -> ClusterView:
        """See `Membership.look`."""

        async def look(connection: Connection) -> ClusterView:
            # Duties first: an owner that joins in between would be seen as nobody.
            duties = await connection.fetch(_SQL["look_at_duties"])
            servers = await connection.fetch(_SQL["look_at_servers"])
            ((now,),) = await connection.fetch(_SQL["now"])
            return ClusterView(
                at=now,
                servers=tuple(self._seen(row) for row in servers),
                duties={
                    Duty(name): Ownership(owner=owner, epoch=epoch) for name, owner, epoch in duties
                },
            )

        return await self._ask(look)

    async def take(self, duty: Duty, *, epoch: int) -> bool:
        """See `Membership.take`."""

        async def take(connection: Connection) -> bool:
            arguments = (duty, self._me, epoch)
            return await connection.fetchval(_SQL["take_duty"], *arguments) is not None

        return await self._ask(take)

    async def give_up(self, duty: Duty) -> None:
        """See `Membership.give_up`."""
        await self._ask(lambda own: own.execute(_SQL["give_up_duty"], duty, self._me))

    async def expel(self, server: ServerId, *, lease_s: float) -> bool:
        """See `Membership.expel`."""

        async def expel(connection: Connection) -> bool:
            async with connection.transaction():
                await connection.execute(_SQL["lock_commits"])
                await connection.execute(_SQL["expel"], server, timedelta(seconds=lease_s))
                return bool(await connection.fetchval(_SQL["is_ended"], server))

        return await self._ask(expel)

    async def leave(self) -> None:
        """See `Membership.leave`."""
        if not self._lives:
            return

        async def leave(connection: Connection) -> None:
            async with connection.transaction():
                await connection.execute(_SQL["give_up_all_duties"], self._me)
                await connection.execute(_SQL["leave"], self._me)

        await self._ask(leave)

    async def close(self) -> None:
        """See `Membership.close`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    @property
    def _me(self) -> ServerId:
        return self._lives[-1]

    async def _join(self, connection: Connection, entry: ServerEntry, lease: timedelta) -> bool:
        async with connection.transaction():
            await connection.execute(_SQL["lock_commits"])
            await connection.execute(_SQL["end_former_lives"], entry.name, self._lives, lease)
            await connection.execute(_SQL["forget_old_servers"])
            if await connection.fetchval(_SQL["living_namesake"], entry.name) is not None:
                return False
            # Before the commit: its answer may be lost, and the next try must end this life.
            self._lives.append(entry.id)
            row = (entry.id, entry.name, entry.version, entry.address, entry.worker_address)
            self._number = await connection.fetchval(
                _SQL["put_server"], *row, entry.enroll_address, list(entry.offers)
            )
            self._has_lock = await connection.fetchval(_SQL["hold_session"], self._number)
        return True

    def _seen(self, row: asyncpg.Record) -> ServerSeen:
        is_too_early = asyncio.get_running_loop().time() < self._connected_at + _SETTLED_S
        return ServerSeen(
            entry=ServerEntry(
                id=row["id"],
                name=row["name"],
                version=row["version"],
                address=row["address"],
                worker_address=row["worker_address"],
                enroll_address=row["enroll_address"],
                offers=tuple(row["offers"]),
            ),
            started_at=row["started_at"],
            heartbeat_at=row["heartbeat_at"],
            silent_s=row["silent_s"],
            has_session=row["has_session"] or is_too_early,
            is_draining=row["is_draining"],
            streams=row["streams"],
            ended_at=row["ended_at"],
        )

    async def _ask(self, question: Callable[[Connection], Awaitable[T]]) -> T:
        """The answer of the database; a connection that does not give it is given up.

        Raises:
            StoreUnavailableError: There is none, or not in time.
        """
        try:
            with translated_errors(self._url):
                async with asyncio.timeout(_ANSWER_S):
                    return await question(await self._connected())
        except BaseException:
            # Whatever it was, this connection may be in the middle of something.
            await self.close()
            raise

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._has_lock = False
            self._connection = await connect(self._url, application_name=self._session_name)
            self._connected_at = asyncio.get_running_loop().time()
        if self._number and not self._has_lock:
            # The session before may still have it.
            self._has_lock = await self._connection.fetchval(_SQL["hold_session"], self._number)
        return self._connection
