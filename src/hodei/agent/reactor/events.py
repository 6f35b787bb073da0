"""What may happen to an agent, as the shell reports it."""

from dataclasses import dataclass
from typing import NamedTuple

from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import Command, LogPolicy
from hodei.domain.logs import LogStream


class JobKey(NamedTuple):
    """One attempt of one job."""

    job_id: str
    attempt: int


class StreamKey(NamedTuple):
    """One output stream of one attempt."""

    job: JobKey
    stream: LogStream


class TimerKey(NamedTuple):
    """A timer; arming it again moves it."""

    name: str
    job: JobKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJob:
    """A job as the server sends it."""

    key: JobKey
    token: int
    command: Command
    environment: dict[str, str]
    working_dir: str
    stdin: bytes | None
    timeout_s: float
    grace_s: float
    disconnect_timeout_s: float
    log_policy: LogPolicy
    refusal: str = ""
    """Not empty: this agent cannot run it, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the server says of a job that the agent holds."""

    key: JobKey
    keep: bool
    stored: dict[LogStream, int]


# --- The session with the server ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """The agent has a certificate, and may dial."""

    renew_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcomed:
    """The server took the stream."""

    session_epoch: int
    verdicts: tuple[Verdict, ...]
    heartbeat_interval_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServersKnown:
    """Where streams may go from now on."""

    worker_addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLost:
    """The stream ended, or could not be opened; it is worth another try."""

    detail: str
    chance: float
    """In [0, 1), for jitter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRefused:
    """The server will not have this worker any more."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainReceived:
    """The server asks the agent to end, or to come back on another stream."""

    terminate: bool
    reconnect_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SigTerm:
    """The agent's process was asked to end: SIGTERM or SIGINT."""

    wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRenewed:
    """A new certificate is at hand for the next connection."""

    renew_after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalFailed:
    """No new certificate came; the old one still serves."""

    detail: str
    chance: float
    """In [0, 1), for jitter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """A timer that the reactor armed is due."""

    timer: TimerKey
    wall_ns: int


# --- Jobs and their processes ------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJobReceived:
    """The server gave the agent a job."""

    run: RunJob
    wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelReceived:
    """The server wants a job ended."""

    key: JobKey
    force: bool
    reason_code: ReasonCode
    wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultAcked:
    """The server has dealt with a result."""

    key: JobKey
    recorded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawned:
    """The job's main process runs."""

    key: JobKey
    pid: int
    wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnFailed:
    """The job's main process could not be started; nothing of it runs."""

    key: JobKey
    reason_code: ReasonCode
    message: str
    wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessGone:
    """The job's main process has ended and its whole tree is gone."""

    key: JobKey
    exit_code: int | None
    signal: int | None
    user_cpu_s: float
    system_cpu_s: float
    max_rss_bytes: int
    out_of_memory: bool
    wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotLost:
    """A slot process died: this agent is broken."""

    slot: int


# --- Output --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRead:
    """Bytes came out of a job's pipe. Never while its reading is paused."""

    key: StreamKey
    data: bytes
    wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputEnded:
    """Nothing more will come out of a job's pipe."""

    key: StreamKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Acked:
    """Everything before `offset` is on the server's disk."""

    key: StreamKey
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spooled:
    """The bytes of a `WriteSpool` are in the spool."""

    key: StreamKey
    size: int
    wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolFailed:
    """The bytes of a `WriteSpool` are not in the spool: the disk would not take them."""

    key: StreamKey
    data: bytes
    wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unspooled:
    """The bytes that a `ReadSpool` asked for; fewer when the disk would not give them."""

    key: StreamKey
    data: bytes


SessionEvent = (
    Enrolled
    | Welcomed
    | ServersKnown
    | StreamLost
    | StreamRefused
    | DrainReceived
    | SigTerm
    | CertificateRenewed
    | RenewalFailed
)
JobEvent = (
    RunJobReceived | CancelReceived | ResultAcked | Spawned | SpawnFailed | ProcessGone | SlotLost
)
OutputEvent = OutputRead | OutputEnded | Acked | Spooled | SpoolFailed | Unspooled
Event = SessionEvent | JobEvent | OutputEvent | TimerFired
