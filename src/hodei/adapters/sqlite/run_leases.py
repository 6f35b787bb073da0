"""Shard leases on SQLite, where one process has the database to itself.

What a process holds ends with it, so that leases and signs of life are kept in its memory: they cost
no write, and a server that is started again after a crash waits for none. The epoch is stored, since
no two owners ever may have the same, and the owner beside it, for the fence of each commit.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hodei.kernel.clock import Clock
from hodei.kernel.ids import ServerId
from hodei.ports.durable import Held
from hodei.ports.durable_rows import ShardId

from . import run_reads, run_writes
from .reader import ReaderPool
from .writer import Writer


@dataclass(slots=True)
class _Shard:
    epoch: int
    owner: ServerId | None = None
    expires_at: datetime | None = None


class SqliteLeases:
    """Implements `hodei.ports.durable.Leases`."""

    def __init__(self, writer: Writer, readers: ReaderPool, clock: Clock) -> None:
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._shards: dict[ShardId, _Shard] = {}
        self._alive_until: dict[ServerId, datetime] = {}
        # One change of owners at a time: it is decided on here and then written.
        self._turn = asyncio.Lock()

    async def shard_count(self) -> int:
        """See `Leases.shard_count`."""
        return len(await self._known())

    async def heartbeat(self, server: ServerId, *, ttl_s: float) -> list[ServerId]:
        """See `Leases.heartbeat`."""
        await self._known()
        now = self._clock.now()
        self._alive_until[server] = now + timedelta(seconds=ttl_s)
        return sorted(each for each, until in self._alive_until.items() if until > now)

    async def renew(self, server: ServerId, *, ttl_s: float) -> Held:
        """See `Leases.renew`."""
        shards = await self._known()
        now = self._clock.now()
        own = {id_: each for id_, each in shards.items() if each.owner == server}
        for shard in own.values():
            shard.expires_at = now + timedelta(seconds=ttl_s)
        return Held(now=now, epochs={id_: each.epoch for id_, each in own.items()})

    async def take(
        self, server: ServerId, shards: Sequence[ShardId], *, ttl_s: float
    ) -> dict[ShardId, int]:
        """See `Leases.take`."""
        async with self._turn:
            known = await self._known()
            now = self._clock.now()
            free = [
                id_ for id_ in shards if (until := known[id_].expires_at) is None or until <= now
            ]
            taken = {id_: known[id_].epoch + 1 for id_ in free}
            await self._write([(server, epoch, id_) for id_, epoch in taken.items()])
            until = now + timedelta(seconds=ttl_s)
            self._shards |= {
                id_: _Shard(epoch=epoch, owner=server, expires_at=until)
                for id_, epoch in taken.items()
            }
            return taken

    async def release(self, server: ServerId, shards: Sequence[ShardId]) -> None:
        """See `Leases.release`."""
        async with self._turn:
            known = await self._known()
            own = [id_ for id_ in shards if known[id_].owner == server]
            await self._write([(None, known[id_].epoch, id_) for id_ in own])
            self._shards |= {id_: _Shard(epoch=known[id_].epoch) for id_ in own}

    async def _known(self) -> dict[ShardId, _Shard]:
        if not self._shards:
            epochs = await self._readers.read(run_reads.shard_epochs)
            # Another may have been faster.
            self._shards = self._shards or {id_: _Shard(epoch) for id_, epoch in epochs.items()}
        return self._shards

    async def _write(self, owners: Sequence[run_writes.Ownership]) -> None:
        if owners:
            await self._writer.change(
                lambda connection: run_writes.write_owners(connection, owners)
            )
