"""What a worker's stream carries, as plain values. `api` turns them into messages and back."""

from dataclasses import dataclass, field
from typing import Final, Protocol

from hodei.domain.jobs.decide import Outcome
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.logs import LogChunk, LogStream
from hodei.domain.workers.events import WorkerReady
from hodei.kernel.ids import FencingToken, JobId

SUPERSEDED: Final = "superseded by a newer stream of the same worker"
"""Why a stream is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAttempt:
    """An attempt that the agent holds when it connects."""

    job_id: JobId
    attempt: int
    token: FencingToken
    started: bool
    acknowledged: dict[LogStream, int] = field(default_factory=dict[LogStream, int])
    """Up to where it has been told that its output is stored; it has nothing before that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The first thing that a worker says."""

    ready: WorkerReady
    """What it has; its `session_epoch` is the one that it knows, 0 at first."""
    held: tuple[HeldAttempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the worker uses now."""

    cpu_percent: float = 0.0
    memory_bytes: int = 0
    disk_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The worker lives."""

    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The process of an attempt runs."""

    job_id: JobId
    attempt: int
    token: FencingToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Bytes of jobs."""

    chunks: tuple[LogChunk, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An attempt has ended, with its whole tree of processes."""

    job_id: JobId
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """The worker wants no more jobs and will end."""

    message: str


FromWorker = Heartbeat | Started | Output | Result | Leaving


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of an attempt that the agent holds."""

    job_id: JobId
    attempt: int
    keep: bool
    stored: dict[LogStream, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """The first thing that a worker hears."""

    session_epoch: int
    verdicts: tuple[Verdict, ...]
    heartbeat_interval_s: float
    lease_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Run this job's current attempt."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """End this attempt."""

    job_id: JobId
    attempt: int
    reason_code: ReasonCode
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogsStored:
    """Up to these ends the bytes are safe."""

    job_id: JobId
    attempt: int
    stream: LogStream
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultTaken:
    """The result needs no repetition."""

    job_id: JobId
    attempt: int
    recorded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainOrder:
    """Finish and end, or come back on a new stream."""

    terminate: bool
    reconnect_after_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Where the worker may go, now and later."""

    worker_addresses: tuple[str, ...]


ToWorker = Servers | Welcome | Run | Cancel | LogsStored | ResultTaken | DrainOrder


class Link(Protocol):
    """The server's end of one stream, as the application needs it."""

    def send(self, message: ToWorker) -> None:
        """Queues a message; it goes out in order, packed with others.

        Never blocks. After the stream's end it does nothing.
        """
        ...

    def close(self, why: str) -> None:
        """Ends the stream; the worker may come back. Idempotent."""
        ...
