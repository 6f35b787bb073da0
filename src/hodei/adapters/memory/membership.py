"""Membership in memory: what several servers of one process share, and a server that is alone has."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from hodei.domain.cluster.duties import Duty, Ownership
from hodei.kernel.clock import Clock
from hodei.kernel.ids import ServerId
from hodei.ports.cluster import ClusterView, ServerEntry, ServerNameTakenError, ServerSeen


@dataclass(slots=True)
class _Row:
    entry: ServerEntry
    started_at: datetime
    heartbeat_at: datetime
    beat: float
    """By the monotonic clock."""
    has_session: bool = True
    is_draining: bool = False
    streams: int = 0
    ended_at: datetime | None = None


@dataclass(slots=True)
class MemoryCluster:
    """The rows of all servers."""

    clock: Clock
    servers: dict[ServerId, _Row] = field(default_factory=dict[ServerId, _Row])
    duties: dict[Duty, Ownership] = field(default_factory=dict[Duty, Ownership])

    def is_member(self, server: ServerId) -> bool:
        """Whether it has joined and not ended."""
        row = self.servers.get(server)
        return row is not None and row.ended_at is None


class MemoryMembership:
    """Implements `hodei.ports.cluster.Membership`."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster
        self._lives: list[ServerId] = []

    async def join(self, entry: ServerEntry, *, lease_s: float) -> None:
        """See `Membership.join`."""
        for row in self._cluster.servers.values():
            if row.entry.name == entry.name and row.ended_at is None:
                if row.entry.id not in self._lives and not self._is_dead(row, lease_s):
                    raise ServerNameTakenError(f"another server is named {entry.name!r}")
                row.ended_at = self._cluster.clock.now()
        self._lives.append(entry.id)
        now = self._cluster.clock.now()
        self._cluster.servers[entry.id] = _Row(entry, now, now, self._cluster.clock.monotonic())

    async def renew(self, *, streams: int, is_draining: bool) -> bool:
        """See `Membership.renew`."""
        if not self._cluster.is_member(self._me):
            return False
        row = self._cluster.servers[self._me]
        row.streams, row.is_draining = streams, is_draining
        row.heartbeat_at = self._cluster.clock.now()
        row.beat = self._cluster.clock.monotonic()
        return True

    async def look(self) -> ClusterView:
        """See `Membership.look`."""
        now = self._cluster.clock.monotonic()
        return ClusterView(
            servers=tuple(
                ServerSeen(
                    entry=row.entry,
                    started_at=row.started_at,
                    heartbeat_at=row.heartbeat_at,
                    silent_s=now - row.beat,
                    has_session=row.has_session and row.ended_at is None,
                    is_draining=row.is_draining,
                    streams=row.streams,
                    ended_at=row.ended_at,
                )
                for row in self._cluster.servers.values()
            ),
            duties=dict(self._cluster.duties),
            at=self._cluster.clock.now(),
        )

    async def take(self, duty: Duty, *, epoch: int) -> bool:
        """See `Membership.take`."""
        now = self._cluster.duties.get(duty, Ownership(owner=None, epoch=0))
        is_taken = now.owner is not None and self._cluster.is_member(now.owner)
        if now.epoch != epoch or is_taken or not self._cluster.is_member(self._me):
            return False
        self._cluster.duties[duty] = Ownership(owner=self._me, epoch=epoch + 1)
        return True

    async def give_up(self, duty: Duty) -> None:
        """See `Membership.give_up`."""
        now = self._cluster.duties.get(duty)
        if now is not None and now.owner == self._me:
            self._cluster.duties[duty] = replace(now, owner=None)

    async def expel(self, server: ServerId, *, lease_s: float) -> bool:
        """See `Membership.expel`."""
        row = self._cluster.servers[server]
        if row.ended_at is None and self._is_dead(row, lease_s):
            row.ended_at = self._cluster.clock.now()
        return row.ended_at is not None

    async def leave(self) -> None:
        """See `Membership.leave`."""
        if self._lives and self._cluster.is_member(self._me):
            for duty in self._cluster.duties:
                await self.give_up(duty)
            self._cluster.servers[self._me].ended_at = self._cluster.clock.now()

    async def close(self) -> None:
        """See `Membership.close`."""
        if self._lives:
            self._cluster.servers[self._me].has_session = False

    @property
    def _me(self) -> ServerId:
        return self._lives[-1]

    def _is_dead(self, row: _Row, lease_s: float) -> bool:
        silent_s = self._cluster.clock.monotonic() - row.beat
        return not row.has_session or silent_s > lease_s
