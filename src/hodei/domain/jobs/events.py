"""What happens to a job. The store keeps these for good; `wire.event_codec` writes them down."""

from dataclasses import dataclass
from datetime import datetime

from hodei.domain.jobs.reasons import Reason
from hodei.domain.jobs.spec import JobSpec
from hodei.domain.jobs.states import AttemptState
from hodei.kernel.ids import FencingToken, JobId, WorkerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an attempt's processes used."""

    user_cpu_s: float
    system_cpu_s: float
    max_rss_bytes: int
    """The largest resident size of one process of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """How an attempt ended."""

    number: int
    state: AttemptState
    exit_code: int | None = None
    """Set only when its main process exited by itself."""
    signal: int | None = None
    """Set only when a signal ended its main process."""
    reason: Reason | None = None
    """None only for SUCCEEDED."""
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCreated:
    """The job was accepted. From here on it is never lost."""

    job_id: JobId
    spec: JobSpec
    queued_by: str
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQueued:
    """The job may be given to a worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAssigned:
    """A worker was chosen; attempt number and token are its own from here on."""

    attempt: int
    worker_id: WorkerId
    token: FencingToken


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAccepted:
    """The worker has started the job's process."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDispatchFailed:
    """The attempt was lost before it ran: it uses up no retry, and the job is queued again."""

    end: AttemptEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRetried:
    """The attempt failed and another one may follow."""

    end: AttemptEnd
    not_before: datetime | None
    """The end of the backoff; None queues the job at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCancelRequested:
    """Somebody asked for the job's end; its worker is told."""

    by: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSucceeded:
    """The last attempt exited with 0."""

    end: AttemptEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailed:
    """The job has failed for good."""

    reason: Reason
    end: AttemptEnd | None = None
    """None when it never got a worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCancelled:
    """The job has ended because somebody asked for it."""

    reason: Reason
    end: AttemptEnd | None = None
    """None when no attempt was open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTimedOut:
    """The job ran past its timeout or its deadline."""

    reason: Reason
    end: AttemptEnd | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRetryRequested:
    """Somebody asked for a fresh round of attempts of a job that had ended."""

    by: str


JobEvent = (
    JobCreated
    | JobQueued
    | JobAssigned
    | JobAccepted
    | JobDispatchFailed
    | JobRetried
    | JobCancelRequested
    | JobSucceeded
    | JobFailed
    | JobCancelled
    | JobTimedOut
    | JobRetryRequested
)
