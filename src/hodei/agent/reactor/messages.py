"""What an agent says to the server; the shell turns it into protobuf."""

from dataclasses import dataclass

from hodei.agent.reactor.events import JobKey, StreamKey
from hodei.domain.logs import LogStream


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a job's main process, and the children that it waited for, used."""

    user_cpu_s: float
    system_cpu_s: float
    max_rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How an attempt ended."""

    key: JobKey
    token: int
    reason_code: str
    """Empty for an exit with 0."""
    message: str
    exit_code: int | None
    signal: int | None
    usage: Usage | None
    started_ns: int | None
    ended_ns: int
    final_offsets: dict[LogStream, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A job that the agent holds, in its hello."""

    key: JobKey
    token: int
    started: bool
    sent: dict[LogStream, int]
    acknowledged: dict[LogStream, int]
    result: Result | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The first message of each stream."""

    session_epoch: int
    held: tuple[Held, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The job's main process runs."""

    key: JobKey
    token: int
    pid: int
    started_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some bytes of one stream."""

    key: StreamKey
    offset: int
    data: bytes
    wall_ns: int
    """When the agent read it."""

    @property
    def end(self) -> int:
        """The offset just after it."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A sign of life; the shell adds the cached metrics."""

    job_ids: tuple[str, ...]
    is_draining: bool
    dropped_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draining:
    """The agent takes nothing new."""

    reason: str


Message = Started | Chunk | Result | Heartbeat | Draining
