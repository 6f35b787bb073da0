"""What a job is: its definition, as validated data. `limits` says what is allowed in it."""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

from hodei.domain.jobs.container import ContainerOptions
from hodei.domain.jobs.reasons import ReasonCode

DEFAULT_TIMEOUT_S: Final = 300.0
DEFAULT_GRACE_S: Final = 10.0
DEFAULT_DISCONNECT_TIMEOUT_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec:
    """A program and its arguments, each exactly as given; no shell is between."""

    argv: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The text of a script and the program that runs it."""

    interpreter: str
    content: str


Command = Exec | Script


class Priority(IntEnum):
    """Who goes first in the queue; the numbers are those of the wire."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    CRITICAL = 3


class LogPolicy(StrEnum):
    """What the agent does when its log spool is full."""

    HOLD = "HOLD"
    """Stop reading the job's pipes: the job waits, nothing is lost."""
    DROP_OLDEST = "DROP_OLDEST"
    """Drop the oldest spooled bytes, and say so in the log and in a counter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a failed attempt is followed by another.

    An attempt that was lost before it ran does not count.
    """

    max_attempts: int = 1
    """All attempts, the first included; 1 to 100."""
    initial_backoff_s: float = 1.0
    """Wait before the second attempt, in seconds."""
    backoff_factor: float = 2.0
    """Each further wait is this much longer; 1 to 10."""
    max_backoff_s: float = 300.0
    """The longest wait, in seconds."""
    jitter: float = 0.1
    """The share of a wait that is drawn at random, 0 to 1."""
    retry_on: frozenset[ReasonCode] = frozenset()
    """Only these reasons are retried; empty means every one that can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a job needs of its worker, or what a worker has. 0 asks for nothing in particular."""

    cpu_millicores: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    gpu_count: int = 0
    gpu_types: tuple[str, ...] = ()
    """Any of these will do; empty means any."""
    custom: dict[str, int] = field(default_factory=dict[str, int])
    """Countable things by name, such as licences."""


class SelectorOperator(StrEnum):
    """How a label is compared, by Kubernetes' words."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectorRequirement:
    """One condition on a worker's labels."""

    key: str
    operator: SelectorOperator
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which workers may run the job: all of these hold."""

    match_labels: dict[str, str] = field(default_factory=dict[str, str])
    match_expressions: tuple[SelectorRequirement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """A taint that the job puts up with. An empty key tolerates every taint."""

    key: str
    operator: str
    """`Equal` or `Exists`."""
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """The definition of a job. Two that are equal are the same job when their ids are the same."""

    command: Command
    name: str = ""
    description: str = ""
    environment: dict[str, str] = field(default_factory=dict[str, str])
    """Added to the worker's own for this job."""
    working_dir: str = ""
    """Absolute, or relative to the job's private workspace; empty means the workspace."""
    stdin: bytes | None = None
    """None gives the job an empty stdin."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    """Seconds that one attempt may run."""
    grace_s: float = DEFAULT_GRACE_S
    """Seconds between SIGTERM and SIGKILL."""
    disconnect_timeout_s: float = DEFAULT_DISCONNECT_TIMEOUT_S
    """Seconds that an attempt may run on while its agent has no server."""
    deadline_s: float | None = None
    """Seconds from submission within which the job must have ended, over all attempts."""
    retry: RetryPolicy = RetryPolicy()
    priority: Priority = Priority.NORMAL
    labels: dict[str, str] = field(default_factory=dict[str, str])
    tags: tuple[str, ...] = ()
    selector: Selector = Selector()
    tolerations: tuple[Toleration, ...] = ()
    resources: Resources = Resources()
    preferred_provider: str = ""
    """A provider's name: only its workers, where it is given."""
    preferred_region: str = ""
    """A worker of this region first, where there is one."""
    log_policy: LogPolicy = LogPolicy.HOLD
    image: str = ""
    """The container image that it runs in; empty means wherever its worker runs."""
    container: ContainerOptions | None = None
    """How its container differs from the provider's others; None means in nothing."""
