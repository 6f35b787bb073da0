"""Says which servers there are, and what each of them does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hodei.application.fleet import Fleet
from hodei.application.hold_duties import LEASE_S
from hodei.application.standing import Standing
from hodei.domain.cluster.duties import Duty
from hodei.kernel.clock import Clock
from hodei.ports.cluster import ServerEntry, ServerSeen


class ServerState(StrEnum):
    """How a server is."""

    LIVE = "LIVE"
    DRAINING = "DRAINING"
    """It hands over what it has, and is about to stop."""
    DEAD = "DEAD"
    """Its process is gone, or it was silent for its lease; nobody has taken over yet."""
    ENDED = "ENDED"
    """It has left, or was taken for dead and its duties are others' now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedServer:
    """A server."""

    entry: ServerEntry
    state: ServerState
    started_at: datetime
    heartbeat_at: datetime
    ended_at: datetime | None
    streams: int
    duties: tuple[Duty, ...]
    is_self: bool
    """Whether it is the one that answers."""


class ListServers:
    """The use case behind `ListServers`."""

    def __init__(
        self, *, entry: ServerEntry, standing: Standing, fleet: Fleet, clock: Clock
    ) -> None:
        self._entry = entry
        self._standing = standing
        self._fleet = fleet
        self._clock = clock
        self._started_at = clock.now()

    def list(self) -> Sequence[ListedServer]:
        """All that live, and those that ended lately, as this server saw them a moment ago."""
        view = self._standing.view
        if view is None:
            return [self._alone()]
        return [
            ListedServer(
                entry=seen.entry,
                state=_state(seen),
                started_at=seen.started_at,
                heartbeat_at=seen.heartbeat_at,
                ended_at=seen.ended_at,
                streams=seen.streams,
                duties=tuple(
                    sorted(duty for duty, now in view.duties.items() if now.owner == seen.entry.id)
                ),
                is_self=seen.entry.id == self._standing.me,
            )
            for seen in view.servers
        ]

    def _alone(self) -> ListedServer:
        return ListedServer(
            entry=self._entry,
            state=ServerState.LIVE,
            started_at=self._started_at,
            heartbeat_at=self._clock.now(),
            ended_at=None,
            streams=self._fleet.streams(),
            duties=tuple(sorted(self._entry.offers)),
            is_self=True,
        )


def _state(seen: ServerSeen) -> ServerState:
    if seen.ended_at is not None:
        return ServerState.ENDED
    if not seen.has_session or seen.silent_s > LEASE_S:
        return ServerState.DEAD
    return ServerState.DRAINING if seen.is_draining else ServerState.LIVE
