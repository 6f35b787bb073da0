"""A worker as it is now: the fold of its events."""

from dataclasses import dataclass, field
from datetime import datetime

from hodei.domain.jobs.reasons import Reason
from hodei.domain.jobs.spec import Resources
from hodei.domain.placement.kinds import WorkerKind
from hodei.domain.placement.taints import Taint
from hodei.domain.workers.events import EnrolmentOffer, WorkerRegistered, WorkerStopped
from hodei.domain.workers.states import ENDED, WorkerState
from hodei.kernel.ids import JobId, ProviderName, ServerId, WorkerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """How the worker proved itself."""

    at: datetime
    event: WorkerRegistered


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker as it is now."""

    id: WorkerId
    version: int
    """The number of its events so far."""
    provider: ProviderName
    state: WorkerState
    created_at: datetime
    slots: int
    """How many jobs it runs at once."""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    resources: Resources = Resources()
    taints: tuple[Taint, ...] = ()
    offer: EnrolmentOffer
    for_job: JobId | None = None
    kind: WorkerKind | None = None
    """What it was made for; None where all workers of its provider are alike."""
    max_jobs: int = 0
    """It leaves after so many jobs; 0 is no limit."""
    home: str = ""
    """The name of the server on whose host its instance lives; empty where that is no matter."""
    handle: dict[str, str] | None = None
    """None until the provider has made the instance, and for static workers."""
    registration: Registration | None = None
    serials: tuple[str, ...] = ()
    """Of its newest certificates: the current one and the one before it."""
    certificate_until: datetime | None = None
    session_epoch: int = 0
    """Of its newest stream; 0 before the first."""
    connected: bool = False
    """Whether a stream of it was up when the last event was written."""
    server: ServerId | None = None
    """That had its newest stream; None where there is only one."""
    ready_at: datetime | None = None
    ended_at: datetime | None = None
    reason: Reason | None = None
    is_unseen: bool = False
    """Whether its provider has lost sight of its instance."""
    stopped: WorkerStopped | None = None
    """What its provider saw of its instance's end; None while it runs, also once it is made again
    or its agent has come back."""
    has_spoken: bool = False
    """Whether output of a job of its is stored."""
    name: str = ""
    hostname: str = ""
    agent_version: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self.state in ENDED
