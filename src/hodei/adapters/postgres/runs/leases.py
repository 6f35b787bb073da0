"""Shard leases of servers that share a database, by the database's time.

That a server lives is written without waiting for the disk: should the database crash, it is said
again a second later. Who owns a shard is as durable as what the owner commits, and changes under the
lock of those commits: what a former owner has sent is committed before, or never.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from hodei.adapters.postgres.named_sql import load
from hodei.adapters.postgres.reader import Readers
from hodei.kernel.ids import ServerId
from hodei.ports.durable import Held
from hodei.ports.durable_rows import ShardId

_SQL: Final = load("runs.sql")
_DURABLY: Final = "SET LOCAL synchronous_commit = on"


class PostgresLeases:
    """Implements `hodei.ports.durable.Leases`.

    Args:
        readers: Connections for reads, and for writes that need not survive a crash.
        session: What the sessions of this store are called, and those of no other.
    """

    def __init__(self, readers: Readers, session: str) -> None:
        self._readers = readers
        self._session = session
        self._shard_count = 0

    async def shard_count(self) -> int:
        """See `Leases.shard_count`."""
        if not self._shard_count:
            self._shard_count = await self._readers.value(_SQL["shard_count"])
        return self._shard_count

    async def heartbeat(self, server: ServerId, *, ttl_s: float) -> list[ServerId]:
        """See `Leases.heartbeat`. The dead are known by their sessions, which have ended."""
        await self._readers.fetch(
            _SQL["heartbeat"], server, self._session, timedelta(seconds=ttl_s)
        )
        living = await self._readers.fetch(_SQL["living_servers"])
        return [ServerId(each["id"]) for each in living]

    async def renew(self, server: ServerId, *, ttl_s: float) -> Held:
        """See `Leases.renew`."""
        owned = await self._readers.fetch(_SQL["renew"], server, timedelta(seconds=ttl_s))
        now = await self._readers.value(_SQL["now"])
        return Held(now=now, epochs={ShardId(each["id"]): each["epoch"] for each in owned})

    async def take(
        self, server: ServerId, shards: Sequence[ShardId], *, ttl_s: float
    ) -> dict[ShardId, int]:
        """See `Leases.take`."""
        async with self._readers.transaction() as connection:
            await connection.execute(_DURABLY)
            await connection.execute(_SQL["forget_servers"])
            await connection.execute(_SQL["lock"])
            taken = await connection.fetch(_SQL["take"], server, shards, timedelta(seconds=ttl_s))
        return {ShardId(each["id"]): each["epoch"] for each in taken}

    async def release(self, server: ServerId, shards: Sequence[ShardId]) -> None:
        """See `Leases.release`."""
        async with self._readers.transaction() as connection:
            await connection.execute(_DURABLY)
            await connection.execute(_SQL["lock"])
            await connection.execute(_SQL["release"], server, shards)
