"""Which servers share a store, and which of them has which duty."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hodei.domain.cluster.duties import Duty, Ownership
from hodei.kernel.errors import RefusedError
from hodei.kernel.ids import ServerId


class ServerNameTakenError(RefusedError):
    """Another server of the same name is alive; the message says what to do."""

    code = "SERVER_NAME_TAKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEntry:
    """What a server says of itself."""

    id: ServerId
    """Of one life of it: a server that is started again, or joins again, has another."""
    name: str
    """The same in each life, and of no other server."""
    version: str
    address: str
    """For clients, as host:port; so are the next two."""
    worker_address: str
    enroll_address: str
    offers: tuple[Duty, ...]
    """What it can do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSeen:
    """A server as the others see it."""

    entry: ServerEntry
    started_at: datetime
    heartbeat_at: datetime
    silent_s: float
    """Since its last heartbeat, by the store's time."""
    has_session: bool
    """False where its process is known to be gone: the store has closed its session."""
    is_draining: bool
    streams: int
    """Of workers, at its last heartbeat."""
    ended_at: datetime | None
    """Since when it is no member any more: it has left, or was found dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """All of it at one moment."""

    servers: tuple[ServerSeen, ...]
    """Members, and those that ended lately; in the order in which they joined."""
    duties: Mapping[Duty, Ownership]
    at: datetime
    """The store's time."""


class Membership(Protocol):
    """This server's place among those that share the store. One caller at a time.

    All times are the store's. Whoever is no member any more cannot commit: `expel` sees to that
    before it returns.

    Each method raises `StoreUnavailableError` when the store does not answer; what it was to do may
    then have been done.
    """

    async def join(self, entry: ServerEntry, *, lease_s: float) -> None:
        """Becomes a member, also for the second time, as a new server id.

        Ends former lives of the same name that are dead, whose process this is, or that were
        silent for `lease_s`.

        Raises:
            ServerNameTakenError: A server of the name lives.
        """
        ...

    async def renew(self, *, streams: int, is_draining: bool) -> bool:
        """Says that this server lives; returns whether it still is a member."""
        ...

    async def look(self) -> ClusterView:
        """What there is now."""
        ...

    async def take(self, duty: Duty, *, epoch: int) -> bool:
        """Takes a duty that was seen at `epoch`; whether nobody else was faster.

        The duty's next epoch is greater by one. One that nobody ever had has epoch 0.
        """
        ...

    async def give_up(self, duty: Duty) -> None:
        """Lets others take a duty that this server has. Idempotent."""
        ...

    async def expel(self, server: ServerId, *, lease_s: float) -> bool:
        """Ends a member whose session is gone or that was silent for `lease_s`.

        Returns whether it has ended: it may have come back meanwhile. From then on nothing that it
        sent before is committed any more.
        """
        ...

    async def leave(self) -> None:
        """Is no member any more, and gives up all duties. Idempotent."""
        ...

    async def close(self) -> None:
        """Lets go of the store, without leaving. Idempotent."""
        ...
