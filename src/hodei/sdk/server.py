"""A server among those that share a database, as one of them sees it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypedDict

from hodei.sdk.times import rfc3339, rfc3339_or_none
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.timestamps import from_timestamp


class ServerState(StrEnum):
    """How a server is."""

    LIVE = "LIVE"
    DRAINING = "DRAINING"
    """It hands over what it has, and is about to stop."""
    DEAD = "DEAD"
    """Its process is gone, or it was silent for its lease; nobody has taken over yet."""
    ENDED = "ENDED"
    """It has left, or was taken for dead and its duties are others' now."""


class ServerDict(TypedDict):
    """A server as JSON has it."""

    name: str
    id: str
    state: str
    version: str
    address: str
    worker_address: str
    enroll_address: str
    started_at: str
    heartbeat_at: str
    ended_at: str | None
    streams: int
    duties: list[str]
    is_self: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server at the moment when another answered, or itself."""

    name: str
    id: str
    """Of one life of it: it has another when it is started again."""
    state: ServerState
    version: str
    address: str
    """For clients, as host:port; so are the next two."""
    worker_address: str
    enroll_address: str
    started_at: datetime
    heartbeat_at: datetime
    ended_at: datetime | None
    streams: int
    """Workers that are connected to it."""
    duties: tuple[str, ...]
    """What it does for all servers."""
    is_self: bool
    """Whether it is the one that answered."""

    def to_dict(self) -> ServerDict:
        """As JSON has it."""
        return {
            "name": self.name,
            "id": self.id,
            "state": self.state.value,
            "version": self.version,
            "address": self.address,
            "worker_address": self.worker_address,
            "enroll_address": self.enroll_address,
            "started_at": rfc3339(self.started_at),
            "heartbeat_at": rfc3339(self.heartbeat_at),
            "ended_at": rfc3339_or_none(self.ended_at),
            "streams": self.streams,
            "duties": list(self.duties),
            "is_self": self.is_self,
        }


def server_from_wire(server: pb.ServerResource) -> Server:
    """The server of an answer."""
    ended = server.ended_at if server.HasField("ended_at") else None
    return Server(
        name=server.name,
        id=server.id,
        state=ServerState(pb.ServerState.Name(server.state).removeprefix("SERVER_STATE_")),
        version=server.version,
        address=server.address,
        worker_address=server.worker_address,
        enroll_address=server.enroll_address,
        started_at=from_timestamp(server.started_at, field="started_at"),
        heartbeat_at=from_timestamp(server.heartbeat_at, field="heartbeat_at"),
        ended_at=None if ended is None else from_timestamp(ended, field="ended_at"),
        streams=server.streams,
        duties=tuple(server.duties),
        is_self=server.is_self,
    )
