"""What the reactor wants done. The shell performs effects in order, each at once or as a task."""

from dataclasses import dataclass, field

from hodei.agent.reactor.events import JobKey, RunJob, StreamKey, TimerKey
from hodei.agent.reactor.messages import Hello, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """Close the stream that may be open, and open a new one; say `hello` on it."""

    hello: Hello
    elsewhere: bool = False
    """At another server than the one before, where there is another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send on the open stream, in order. What the stream loses is sent again after a welcome."""

    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTimer:
    """Report `TimerFired` at a monotonic time; replaces the timer of that key."""

    timer: TimerKey
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTimer:
    """Disarm a timer, which may not be armed."""

    timer: TimerKey


@dataclass(frozen=True, slots=True, kw_only=True)
class StartProcess:
    """Run the job on a slot: `Spawned` or `SpawnFailed`, output, then `ProcessGone`."""

    run: RunJob
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalTree:
    """SIGTERM to every process of the slot's job."""

    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KillTree:
    """SIGKILL to every process of the slot's job, until none is left."""

    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseReading:
    """Leave what comes out of the pipe in it."""

    key: StreamKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeReading:
    """Undo `PauseReading`."""

    key: StreamKey


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSpool:
    """Append to the stream's spool: `Spooled` or `SpoolFailed`. Spool effects keep their order."""

    key: StreamKey
    data: bytes
    wall_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSpool:
    """Take the oldest bytes out of the stream's spool: `Unspooled`."""

    key: StreamKey
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DropSpool:
    """Throw away the oldest bytes of the stream's spool."""

    key: StreamKey
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetJob:
    """Remove what is left of a job: workspace, script, spool."""

    key: JobKey


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewCertificate:
    """Ask for a new certificate: `CertificateRenewed` or `RenewalFailed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowServers:
    """Take these addresses for the next connection."""

    worker_addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """Send what waits, close the stream, end the process."""

    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A line for the agent's own log."""

    event: str
    facts: dict[str, object] = field(default_factory=dict[str, object])
    is_warning: bool = False


Effect = (
    Connect
    | Send
    | ArmTimer
    | CancelTimer
    | StartProcess
    | SignalTree
    | KillTree
    | PauseReading
    | ResumeReading
    | WriteSpool
    | ReadSpool
    | DropSpool
    | ForgetJob
    | RenewCertificate
    | KnowServers
    | Exit
    | Note
)
