"""Shard leases in memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hodei.kernel.clock import Clock
from hodei.kernel.ids import ServerId
from hodei.ports.durable import Fence, Fenced, Held
from hodei.ports.durable_rows import ShardId


@dataclass(slots=True)
class _Shard:
    owner: ServerId | None = None
    epoch: int = 0
    expires_at: datetime | None = None


class MemoryLeases:
    """Implements `hodei.ports.durable.Leases`."""

    def __init__(self, clock: Clock, *, shards: int) -> None:
        self.clock = clock
        self._shards = {ShardId(number): _Shard() for number in range(shards)}
        self._alive_until: dict[ServerId, datetime] = {}

    def check_fence(self, fence: Fence) -> Fenced | None:
        """Whether the writer still owns its shard. A lease that ran out and that nobody took holds."""
        shard = self._shards[fence.shard_id]
        if shard.owner == fence.owner and shard.epoch == fence.epoch:
            return None
        return Fenced(shard_id=fence.shard_id)

    async def shard_count(self) -> int:
        """See `Leases.shard_count`."""
        await asyncio.sleep(0)
        return len(self._shards)

    async def heartbeat(self, server: ServerId, *, ttl_s: float) -> list[ServerId]:
        """See `Leases.heartbeat`."""
        await asyncio.sleep(0)
        now = self.clock.now()
        self._alive_until[server] = now + timedelta(seconds=ttl_s)
        return sorted(each for each, until in self._alive_until.items() if until > now)

    async def renew(self, server: ServerId, *, ttl_s: float) -> Held:
        """See `Leases.renew`."""
        await asyncio.sleep(0)
        now = self.clock.now()
        own = {number: each for number, each in self._shards.items() if each.owner == server}
        for shard in own.values():
            shard.expires_at = now + timedelta(seconds=ttl_s)
        return Held(now=now, epochs={number: each.epoch for number, each in own.items()})

    async def take(
        self, server: ServerId, shards: Sequence[ShardId], *, ttl_s: float
    ) -> dict[ShardId, int]:
        """See `Leases.take`."""
        await asyncio.sleep(0)
        now = self.clock.now()
        taken: dict[ShardId, int] = {}
        for number in shards:
            shard = self._shards[number]
            if shard.expires_at is None or shard.expires_at <= now:
                shard.owner = server
                shard.epoch += 1
                shard.expires_at = now + timedelta(seconds=ttl_s)
                taken[number] = shard.epoch
        return taken

    async def release(self, server: ServerId, shards: Sequence[ShardId]) -> None:
        """See `Leases.release`."""
        await asyncio.sleep(0)
        for number in shards:
            shard = self._shards[number]
            if shard.owner == server:
                shard.owner = None
                shard.expires_at = None
