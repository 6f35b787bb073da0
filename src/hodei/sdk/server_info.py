"""What a server says of itself."""

from dataclasses import dataclass
from datetime import datetime

from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.timestamps import from_timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """A server, as it answered."""

    version: str
    cluster_id: str
    started_at: datetime
    providers: tuple[str, ...]
    position: str
    """Of the newest event: `events(after=…)` follows from here on."""
    counters: dict[str, int]
    """What operators should notice, counted since the server started."""


def server_info_from_wire(answer: pb.GetServerInfoResponse) -> ServerInfo:
    """The server of an answer."""
    return ServerInfo(
        version=answer.version,
        cluster_id=answer.cluster_id,
        started_at=from_timestamp(answer.started_at, field="started_at"),
        providers=tuple(answer.providers),
        position=answer.position,
        counters=dict(answer.counters),
    )
