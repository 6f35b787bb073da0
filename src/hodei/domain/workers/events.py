"""What happens to a worker."""

from dataclasses import dataclass, field
from datetime import datetime

from hodei.domain.jobs.reasons import Reason
from hodei.domain.jobs.spec import Resources
from hodei.domain.placement.kinds import WorkerKind
from hodei.domain.placement.taints import Taint
from hodei.kernel.ids import JobId, ProviderName, ServerId, WorkerId


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentOffer:
    """A one-time password, as the server remembers it: never the password itself."""

    otp_hmac: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProvisioningRequested:
    """A worker is wanted. The first event of every worker."""

    worker_id: WorkerId
    provider: ProviderName
    """`static` for one that somebody starts by hand."""
    slots: int
    labels: dict[str, str] = field(default_factory=dict[str, str])
    resources: Resources = Resources()
    """What it is to have, for placement."""
    offer: EnrolmentOffer
    for_job: JobId | None = None
    """The job whose waiting asked for it; None for the warm pool and for static ones."""
    kind: WorkerKind | None = None
    """What it is made for; None where all workers of the provider are alike."""
    max_jobs: int = 0
    """It leaves after so many jobs; 0 is no limit."""
    home: str = ""
    """The name of the server on whose host its instance lives, and which alone can see it. Empty
    where every server can, and where there is only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProvisioned:
    """The provider has made the instance."""

    handle: dict[str, str]
    """What the provider needs to find it again."""
    steps: dict[str, float] = field(default_factory=dict[str, float])
    """How many seconds each step of its making took, by the provider's names for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProvisioningError:
    """The provider could not make it, or it never enrolled; what there was of it is gone."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRegistered:
    """It proved itself by its one-time password and has a certificate."""

    key_hash: bytes
    """SHA-256 of the public key: the same key may ask again for a lost reply."""
    serial: str
    chain_pem: str
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRenewed:
    """It has a new certificate for a new key."""

    serial: str
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReady:
    """Its first stream is up, and this is what it has."""

    session_epoch: int
    slots: int
    labels: dict[str, str]
    resources: Resources
    taints: tuple[Taint, ...]
    agent_version: str
    hostname: str
    name: str
    server: ServerId | None = None
    """That has the stream; None where there is only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerDisconnected:
    """Its stream is down; its jobs run on until its lease ends."""

    message: str
    silent_s: float = 0.0
    """For how long it had said nothing by then: its lease runs from its last word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReconnected:
    """A new stream is up; older ones are cut."""

    session_epoch: int
    server: ServerId | None = None
    """As in WorkerReady."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerDrainRequested:
    """It takes no more jobs and ends after the last."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStopped:
    """The provider saw its instance end."""

    reason: str
    exit_code: int | None = None
    out_of_memory: bool = False
    """Whether the kernel ended it because what it may use was used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHealthChanged:
    """Its provider lost sight of its instance, or sees it again. It may run on meanwhile."""

    is_seen: bool
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFirstOutput:
    """The first byte of output of its first job is stored."""

    job_id: JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTerminated:
    """It is gone as intended; the provider has confirmed that nothing of it is left."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLost:
    """It is gone unasked; the provider has confirmed it, or its time is up."""

    reason: Reason


WorkerEvent = (
    WorkerProvisioningRequested
    | WorkerProvisioned
    | WorkerProvisioningError
    | WorkerRegistered
    | CertificateRenewed
    | WorkerReady
    | WorkerDisconnected
    | WorkerReconnected
    | WorkerDrainRequested
    | WorkerStopped
    | WorkerHealthChanged
    | WorkerFirstOutput
    | WorkerTerminated
    | WorkerLost
)
