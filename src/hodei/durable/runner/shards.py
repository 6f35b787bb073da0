"""Which shards this server owns, and for how long it may say so.

Every server wants the shards for which it draws the highest number among those that live; a shard
that another one wants by now is handed over once its runs are at rest, and never taken before its
lease is over. The owner steps down by its own steady clock before the lease ends for the others.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import structlog

from hodei.durable.runner.store_clock import StoreClock
from hodei.kernel.ids import ServerId
from hodei.ports.durable import Fence, Leases
from hodei.ports.durable_rows import ShardId
from hodei.ports.stores import StoreUnavailableError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """How long leases are, in seconds."""

    ttl_s: float = 15.0
    margin_s: float = 2.0
    """The owner stops so long before the end."""
    look_s: float = 1.0
    """Between two looks for shards to take."""

    @property
    def renew_s(self) -> float:
        """Between two renewals."""
        return self.ttl_s / 3


DEFAULT_LEASES: Final = LeaseTimes()


@lru_cache(maxsize=64)
def wanted_by(server: ServerId, alive: frozenset[ServerId], shards: int) -> frozenset[ShardId]:
    """The shards that `server` should own: rendezvous hashing moves few when servers come and go."""
    servers = alive | {server}
    return frozenset(
        ShardId(shard)
        for shard in range(shards)
        if max(servers, key=lambda each: (_number(f"{each}/{shard}"), each)) == server
    )


def shard_of(namespace: str, workflow_id: str, shards: int) -> ShardId:
    """The shard of a workflow id; the same for ever."""
    return ShardId(_number(f"{namespace}/{workflow_id}") % shards)


class Shards:
    """Keeps the leases of one server.

    Args:
        server: This life of this process.
        leases: The store's.
        clock: Learns the store's time from each renewal.
        times: How long leases are.
        on_lost: Called with shards that are no longer owned, whose work is to be dropped at once.
        on_leaving: Awaited before shards are given up: until their work is at rest.
    """

    def __init__(
        self,
        server: ServerId,
        leases: Leases,
        clock: StoreClock,
        *,
        times: LeaseTimes,
        on_lost: Callable[[set[ShardId]], None],
        on_leaving: Callable[[set[ShardId]], Awaitable[None]],
    ) -> None:
        self._server = server
        self._leases = leases
        self._clock = clock
        self._times = times
        self._on_lost = on_lost
        self._on_leaving = on_leaving
        self._epochs: dict[ShardId, int] = {}
        self._valid_until = 0.0
        self._renewed_at: float | None = None
        self._count = 0

    @property
    def count(self) -> int:
        """How many shards there are in all; 0 before the first look."""
        return self._count

    def owned(self) -> list[ShardId]:
        """The shards that this server owns just now, by its own clock."""
        return sorted(self._epochs) if self._is_valid() else []

    def fence(self, shard: ShardId) -> Fence | None:
        """What a commit of this shard's runs must carry; None while it is not owned."""
        epoch = self._epochs.get(shard)
        if epoch is None or not self._is_valid():
            return None
        return Fence(shard_id=shard, owner=self._server, epoch=epoch)

    def lost(self, shard: ShardId) -> None:
        """The store says that a shard is another's by now."""
        if self._epochs.pop(shard, None) is not None:
            log.warning("shard_lost", shard=shard)
            self._on_lost({shard})

    async def look(self) -> None:
        """Renews when it is time, takes what is free, hands over what others should have.

        Raises:
            StoreUnavailableError: The store could not be asked; what is owned runs out by itself.
        """
        if not self._count:
            self._count = await self._leases.shard_count()
        try:
            await self._renew_in_time()
            alive = await self._leases.heartbeat(self._server, ttl_s=self._times.ttl_s)
            wanted = wanted_by(self._server, frozenset(alive), self._count)
            await self._take(set(wanted) - set(self._epochs))
            await self._hand_over(set(self._epochs) - wanted)
        except StoreUnavailableError:
            self._drop_expired()
            raise

    async def give_up(self) -> None:
        """Hands everything over, because the server stops."""
        await self._hand_over(set(self._epochs))
        await self._leases.heartbeat(self._server, ttl_s=0)

    async def _renew_in_time(self) -> None:
        asked_at = self._clock.monotonic()
        if self._renewed_at is not None and asked_at < self._renewed_at + self._times.renew_s:
            return
        held = await self._clock.renew(self._leases, self._server, ttl_s=self._times.ttl_s)
        lost = {shard for shard, epoch in self._epochs.items() if held.epochs.get(shard) != epoch}
        for shard in lost:
            self.lost(shard)
        self._renewed_at = asked_at
        self._valid_until = asked_at + self._times.ttl_s - self._times.margin_s

    async def _take(self, free: set[ShardId]) -> None:
        if free:
            taken = await self._leases.take(self._server, sorted(free), ttl_s=self._times.ttl_s)
            # Their leases are younger than the last renewal, so that its end holds for them too.
            self._epochs |= taken

    async def _hand_over(self, shards: set[ShardId]) -> None:
        if shards:
            await self._on_leaving(shards)
            for shard in shards:
                self._epochs.pop(shard, None)
            await self._leases.release(self._server, sorted(shards))

    def _drop_expired(self) -> None:
        if not self._is_valid():
            for shard in list(self._epochs):
                self.lost(shard)

    def _is_valid(self) -> bool:
        return self._clock.monotonic() < self._valid_until


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
