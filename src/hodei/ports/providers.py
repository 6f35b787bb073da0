"""Infrastructure that brings workers up and takes them down."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hodei.domain.jobs.spec import Resources
from hodei.domain.placement.admission import EVERY_JOB, Admission
from hodei.domain.placement.fit import Containers
from hodei.domain.placement.kinds import WorkerKind
from hodei.domain.providers.record import ProviderType
from hodei.kernel.errors import RefusedError, UnavailableError
from hodei.kernel.ids import ClusterId, ProviderName, WorkerId


class ProviderUnavailableError(UnavailableError):
    """The provider cannot be reached or cannot serve now; another try may help."""

    code = "PROVIDER_UNAVAILABLE"


class KindUnavailableError(ProviderUnavailableError):
    """Workers of one kind cannot be made now, such as those of an image that cannot be fetched.

    Another try may help; those of other kinds are not concerned.
    """


class ProvisioningRefusedError(RefusedError):
    """The provider will never make such an instance; the message names the option at fault."""

    code = "PROVISIONING_REFUSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """What an agent needs to enrol. Contains a secret: never log it, never put it in argv."""

    worker_id: WorkerId
    cluster_id: ClusterId
    enroll_address: str
    """host:port of the enrolment listener."""
    worker_address: str
    """host:port of the listener for worker streams."""
    ca_fingerprint: str
    """`sha256:` and the hex SHA-256 of the root certificate in DER."""
    ca_pem: str = ""
    """The roots that an agent is to believe. With the one of the fingerprint among them it need not
    ask a server to show it, which takes a connection of its own."""
    otp: str
    name: str = ""
    slots: int = 1
    labels: dict[str, str] = field(default_factory=dict[str, str])
    taints: tuple[str, ...] = ()
    """Each as key=value:effect."""
    custom_resources: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionRequest:
    """One worker."""

    worker_id: WorkerId
    bootstrap: Bootstrap
    resources: Resources = Resources()
    labels: dict[str, str] = field(default_factory=dict[str, str])
    kind: WorkerKind | None = None
    """What to make, where the provider makes more than one kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """What a provider needs to find an instance again, also after a restart of the server."""

    provider: ProviderName
    worker_id: WorkerId
    data: dict[str, str]
    """The provider's own; a local one's has `pid`."""
    steps: dict[str, float] = field(default_factory=dict[str, float], compare=False)
    """How many seconds each step took, where the instance was made just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStopped:
    """An instance has ended, by itself or by somebody's hand.

    Processes of its may be left: call `destroy` before anything of it is run elsewhere.
    """

    worker_id: WorkerId
    reason: str
    exit_code: int | None = None
    out_of_memory: bool = False
    """Whether the kernel ended it because what it may use was used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchGap:
    """Events may have been missed: look at every instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SightChanged:
    """The provider cannot see its instances any more, or sees them again.

    They may run on meanwhile. A `WatchGap` follows once they are seen again.
    """

    is_seen: bool
    message: str


InstanceEvent = InstanceStopped | WatchGap | SightChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the provider's workers have and can do."""

    type: ProviderType
    max_workers: int
    slots_per_worker: int
    resources: Resources
    """Of one worker."""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    """Every worker of it has these."""
    confirms_destroy: bool = True
    """Whether `destroy` returns only when every process of the instance is gone."""
    is_on_this_host: bool = False
    containers: Containers | None = None
    """Set where a worker is made for the kind of job that it is wanted for."""
    max_jobs_per_worker: int = 0
    """A worker leaves after so many jobs; 0 is no limit."""
    admission: Admission = EVERY_JOB
    annotations: dict[str, str] = field(default_factory=dict[str, str])
    """Those of `labels` that say what the provider is, such as what it complies with."""


class Provider(Protocol):
    """Brings workers up and takes them down. Everything it makes carries cluster and worker id."""

    @property
    def name(self) -> ProviderName:
        """The name under which it is configured."""
        ...

    def capabilities(self) -> Capabilities:
        """What its workers have; does not change while it runs."""
        ...

    async def start(self) -> None:
        """Gets ready; returns once it can provision.

        Raises:
            ProviderUnavailableError: It cannot; the message says what is missing.
        """
        ...

    async def stop(self) -> None:
        """Lets go of everything but the instances, which live on. Idempotent."""
        ...

    async def prepare(self, kind: WorkerKind | None) -> None:
        """Gets what instances of a kind need and what takes long, such as their image.

        Idempotent; `provision` does not depend on it. Cancelled, it may be begun again.

        Raises:
            ProviderUnavailableError: Another try may help.
            ProvisioningRefusedError: None will.
        """
        ...

    def is_prepared(self, kind: WorkerKind | None) -> bool:
        """Whether there was nothing left to prepare for a kind when somebody last looked.

        `provision` copes where that is not true any more, but takes longer.
        """
        ...

    async def provision(self, request: ProvisionRequest) -> Handle:
        """Makes the instance of a worker id, or finds the one that was made before.

        Idempotent by worker id, also over a crash in its middle. Cancelled, it may leave an
        instance behind, which `list_owned` shows.

        Raises:
            ProviderUnavailableError: Another try may help.
            ProvisioningRefusedError: None will.
        """
        ...

    async def destroy(self, handle: Handle) -> None:
        """Ends an instance with its whole tree of processes and removes what it left.

        Idempotent. Returns only when nothing of it can run any more (see
        `Capabilities.confirms_destroy`).

        Raises:
            ProviderUnavailableError: It is not confirmed; try again.
        """
        ...

    async def is_running(self, handle: Handle) -> bool:
        """Whether the instance is there."""
        ...

    def watch(self) -> AsyncIterator[InstanceEvent]:
        """Ends of instances, each once, as they happen.

        Resubscribes by itself; begins with a `WatchGap`. One consumer at a time.
        """
        ...

    async def list_owned(self) -> list[Handle]:
        """Every instance of this cluster that exists, also those that no row tells of."""
        ...

    async def examine(self) -> Mapping[str, str]:
        """What it stands for, by words such as `version`: asked anew, started or not.

        Raises:
            ProviderUnavailableError: It does not answer, or cannot be used; with what to do.
        """
        ...

    async def health(self) -> str:
        """Empty when well, else what is wrong and what to do."""
        ...
