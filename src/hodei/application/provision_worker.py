"""Brings one worker up: idempotent steps over rows, undone in reverse when one fails.

Steps: draw a one-time password and record that the worker is wanted; have the provider make the
instance; wait until it has enrolled and its stream is up.
"""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

import structlog

from hodei.application.bus import EventBus
from hodei.application.doors import Doors
from hodei.application.end_worker import EndWorker
from hodei.application.journal import Journal, worker_write
from hodei.application.one_time_passwords import OneTimePasswords
from hodei.domain.jobs.reasons import ReasonCode, reason
from hodei.domain.jobs.spec import Resources
from hodei.domain.placement.kinds import WorkerKind
from hodei.domain.workers import decide
from hodei.domain.workers.events import (
    WorkerLost,
    WorkerProvisioningError,
    WorkerProvisioningRequested,
    WorkerReady,
    WorkerTerminated,
)
from hodei.kernel.errors import HodeiError, RefusedError
from hodei.kernel.ids import JobId, ProviderName, WorkerId
from hodei.ports.pki import CertificateAuthority
from hodei.ports.providers import Bootstrap, KindUnavailableError, Provider, ProvisionRequest
from hodei.ports.stores import StoreUnavailableError

log = structlog.get_logger()

STATIC_PROVIDER = ProviderName("static")
"""Workers that somebody starts by hand."""
_ENDS = frozenset({WorkerProvisioningError, WorkerTerminated, WorkerLost})


class Blame(StrEnum):
    """What the failure of one worker says about the next."""

    PROVIDER = "PROVIDER"
    """The provider is in trouble; its other workers would fare alike."""
    KIND = "KIND"
    """Workers of this kind cannot be made just now, such as those of an image that cannot be had."""
    WORKER = "WORKER"
    """The worker was made, and ended before it took a job."""
    REQUEST = "REQUEST"
    """Workers of this kind can never be made."""


class ProvisioningFailedError(HodeiError):
    """The worker did not come up; what there was of it is gone."""

    code = "PROVISIONING_FAILED"

    def __init__(self, message: str, *, blame: Blame = Blame.PROVIDER) -> None:
        self.blame = blame
        super().__init__(message)


class ProvisionWorker:
    """The use case of every worker's beginning."""

    def __init__(
        self,
        *,
        journal: Journal,
        bus: EventBus,
        authority: CertificateAuthority,
        passwords: OneTimePasswords,
        doors: Doors,
        ender: EndWorker,
    ) -> None:
        self._journal = journal
        self._bus = bus
        self._authority = authority
        self._passwords = passwords
        self._doors = doors
        self._ender = ender

    async def provision(
        self,
        worker_id: WorkerId,
        provider: Provider,
        *,
        for_job: JobId | None,
        enroll_timeout_s: float,
        kind: WorkerKind | None = None,
    ) -> None:
        """Returns once the worker takes jobs.

        What takes long, such as the fetching of an image, comes before the worker has a row: no
        time runs against it, and there is nothing to undo.

        Cancelled, it leaves the worker as it is; the next start of the server goes on with it.

        Raises:
            ProvisioningFailedError: It did not come up; the message says why.
            StoreUnavailableError: As above, and the provider has nothing to do with it.
        """
        prepare_s = await self._prepare(provider, kind)
        subscription = self._bus.follow([f"worker:{worker_id}"])
        try:
            async with asyncio.timeout(enroll_timeout_s):
                bootstrap = await self._request(worker_id, provider, for_job, kind)
                request = ProvisionRequest(
                    worker_id=worker_id,
                    bootstrap=bootstrap,
                    resources=_resources(provider, kind),
                    labels=bootstrap.labels,
                    kind=kind,
                )
                handle = await provider.provision(request)
                steps = ({} if kind is None else {"prepare": prepare_s}) | handle.steps
                worker = await self._journal.change_worker(
                    worker_id, lambda worker: decide.provisioned(worker, handle.data, steps)
                )
                if worker.has_ended:
                    # Somebody ended it before there was anything to destroy.
                    await provider.destroy(handle)
                while True:
                    events, _ = await subscription.take()
                    kinds = {type(stored.event) for stored in events}
                    if WorkerReady in kinds:
                        return
                    if kinds & _ENDS:
                        why = "; ".join(filter(None, (_told(stored.event) for stored in events)))
                        raise ProvisioningFailedError(
                            f"worker {worker_id} ended as it started: {why}", blame=Blame.WORKER
                        )
        except TimeoutError as error:
            doors = self._doors.of(provider.name)
            message = (
                f"worker {worker_id} had not enrolled at {doors.enroll_addresses()} "
                f"and connected to {doors.worker_addresses()} within {enroll_timeout_s:g} s; see "
                "whether a firewall is between"
            )
            await self._undo(worker_id, message)
            raise ProvisioningFailedError(message) from error
        except StoreUnavailableError as error:
            await self._undo(worker_id, str(error))
            raise
        except HodeiError as error:
            await self._undo(worker_id, str(error))
            raise _failed(error) from error
        finally:
            self._bus.unfollow(subscription)

    async def invite(self, *, name: str, labels: dict[str, str], worker_id: WorkerId) -> Bootstrap:
        """What somebody needs to start a worker by hand, within the password's life."""
        password, offer = self._passwords.draw(worker_id, self._journal.now())
        await self._commit_request(
            WorkerProvisioningRequested(
                worker_id=worker_id,
                provider=STATIC_PROVIDER,
                slots=1,
                labels=labels,
                offer=offer,
            )
        )
        return self._bootstrap(worker_id, password, self._doors, _Shape(name=name, labels=labels))

    async def _prepare(self, provider: Provider, kind: WorkerKind | None) -> float:
        """Returns how many seconds it took."""
        began_at = self._journal.now()
        try:
            await provider.prepare(kind)
        except HodeiError as error:
            raise _failed(error) from error
        return (self._journal.now() - began_at).total_seconds()

    async def _request(
        self,
        worker_id: WorkerId,
        provider: Provider,
        for_job: JobId | None,
        kind: WorkerKind | None,
    ) -> Bootstrap:
        capabilities = provider.capabilities()
        password, offer = self._passwords.draw(worker_id, self._journal.now())
        await self._commit_request(
            WorkerProvisioningRequested(
                worker_id=worker_id,
                provider=provider.name,
                slots=capabilities.slots_per_worker,
                labels=capabilities.labels,
                resources=_resources(provider, kind),
                offer=offer,
                for_job=for_job,
                kind=kind,
                max_jobs=capabilities.max_jobs_per_worker,
                home=self._doors.home_of(provider),
            )
        )
        shape = _Shape(
            slots=capabilities.slots_per_worker,
            labels=capabilities.labels,
            resources=capabilities.resources,
        )
        return self._bootstrap(worker_id, password, self._doors.of(provider.name), shape)

    async def _commit_request(self, event: WorkerProvisioningRequested) -> None:
        at = self._journal.now()
        write = worker_write(None, [event], at)
        await self._journal.commit(
            at=at, workers=[write], correlation_id=event.for_job or event.worker_id
        )
        log.info(
            "worker_requested",
            worker_id=event.worker_id,
            provider=event.provider,
            for_job=event.for_job,
        )

    def _bootstrap(
        self, worker_id: WorkerId, password: str, doors: Doors, shape: "_Shape"
    ) -> Bootstrap:
        return Bootstrap(
            worker_id=worker_id,
            cluster_id=doors.cluster_id,
            enroll_address=doors.enroll_addresses(),
            worker_address=doors.worker_addresses(),
            ca_fingerprint=self._authority.fingerprint,
            otp=password,
            name=shape.name,
            slots=shape.slots,
            labels=shape.labels,
            custom_resources=shape.resources.custom,
        )

    async def _undo(self, worker_id: WorkerId, message: str) -> None:
        why = reason(ReasonCode.PROVISIONING_FAILED, message)
        await self._ender.end(worker_id, why=why, message=message)


def _resources(provider: Provider, kind: WorkerKind | None) -> Resources:
    """What a worker is to have; of one that is made for a kind, what the kind says."""
    if kind is None:
        return provider.capabilities().resources
    return Resources(
        cpu_millicores=kind.cpu_millicores,
        memory_bytes=kind.memory_bytes,
        gpu_count=kind.gpu_count,
        gpu_types=kind.gpu_types,
    )


def _failed(error: HodeiError) -> ProvisioningFailedError:
    match error:
        case ProvisioningFailedError():
            return error
        case KindUnavailableError():
            blame = Blame.KIND
        case RefusedError():
            blame = Blame.REQUEST
        case _:
            blame = Blame.PROVIDER
    return ProvisioningFailedError(str(error), blame=blame)


def _told(event: object) -> str:
    match event:
        case WorkerProvisioningError() | WorkerLost():
            return event.reason.message
        case WorkerTerminated():
            return event.message
        case _:
            return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What the agent is told about itself."""

    name: str = ""
    slots: int = 1
    labels: dict[str, str] = field(default_factory=dict[str, str])
    resources: Resources = Resources()
