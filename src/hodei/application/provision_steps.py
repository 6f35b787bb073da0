"""The steps of bringing a worker up, as `hodei.sagas.provision_worker` asks for them.

Each bears to be carried out again: its server may have died before what it did was written down.
"""

import asyncio
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import structlog

from hodei.application.bootstraps import Bootstraps, Shape
from hodei.application.bus import EventBus
from hodei.application.end_worker import EndWorker
from hodei.application.journal import ConflictError, Journal, worker_write
from hodei.application.one_time_passwords import OneTimePasswords
from hodei.domain.jobs.reasons import ReasonCode, reason
from hodei.domain.jobs.spec import Resources
from hodei.domain.placement.kinds import WorkerKind
from hodei.domain.workers import decide
from hodei.domain.workers.events import (
    WorkerDrainRequested,
    WorkerEvent,
    WorkerLost,
    WorkerProvisioned,
    WorkerProvisioningError,
    WorkerProvisioningRequested,
    WorkerReady,
    WorkerStopped,
    WorkerTerminated,
)
from hodei.domain.workers.worker import Worker
from hodei.durable.failures import ApplicationError
from hodei.durable.runner.worker import Attempt, Handler
from hodei.kernel.errors import HodeiError, RefusedError, UnavailableError
from hodei.kernel.ids import BEFORE_THE_FIRST, ProviderName, WorkerId
from hodei.ports.providers import Handle, KindUnavailableError, Provider, ProvisionRequest
from hodei.ports.stores import Store, StoredEvent, StoreUnavailableError
from hodei.sagas.provision_worker import (
    AWAIT,
    CALLED_OFF,
    DESTROY,
    GIVE_BACK,
    MAKE,
    PREPARE,
    RESERVE,
    WhyUndone,
    WorkerOrder,
)

log = structlog.get_logger()

_TURNED_AWAY = "the server: it did not enrol in time"
_FIRST_EVENTS = 1_000
"""Of a worker that comes up; it has a handful by then."""


class Blame(StrEnum):
    """What the failure of one worker says about the next. Stored as the type of the failure."""

    PROVIDER = "PROVIDER"
    """The provider is in trouble; its other workers would fare alike."""
    KIND = "KIND"
    """Workers of this kind cannot be made just now, such as those of an image that cannot be had."""
    WORKER = "WORKER"
    """The worker was made, and ended before it took a job."""
    REQUEST = "REQUEST"
    """Workers of this kind can never be made."""
    NOBODY = CALLED_OFF
    """Somebody wanted it no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepParts:
    """What the steps work with."""

    journal: Journal
    store: Store
    bus: EventBus
    passwords: OneTimePasswords
    bootstraps: Bootstraps
    ender: EndWorker
    providers: Mapping[ProviderName, Provider]


class ProvisionSteps:
    """Carries out the activities of the saga."""

    def __init__(self, parts: StepParts) -> None:
        self._journal = parts.journal
        self._store = parts.store
        self._bus = parts.bus
        self._passwords = parts.passwords
        self._bootstraps = parts.bootstraps
        self._ender = parts.ender
        self._providers = parts.providers

    def handlers(self) -> dict[str, Handler]:
        """By the names of the activities."""
        return {
            PREPARE.name: self.prepare,
            RESERVE.name: self.reserve,
            MAKE.name: self.make,
            AWAIT.name: self.await_enrolment,
            DESTROY.name: self.destroy,
            GIVE_BACK.name: self.give_back,
        }

    async def prepare(self, _: Attempt, order: WorkerOrder) -> float:
        """Gets what workers of the kind need; returns how many seconds it took."""
        began_at = self._journal.now()
        with _blaming():
            await self._provider(order.provider).prepare(order.kind)
        return (self._journal.now() - began_at).total_seconds()

    async def reserve(self, _: Attempt, order: WorkerOrder) -> None:
        """Gives the worker its row, from which on it counts, and its password opens the door."""
        provider = self._provider(order.provider)
        capabilities = provider.capabilities()
        at = self._journal.now()
        event = WorkerProvisioningRequested(
            worker_id=order.worker_id,
            provider=order.provider,
            slots=capabilities.slots_per_worker,
            labels=capabilities.labels,
            resources=_resources(provider, order.kind),
            offer=self._passwords.offer(order.worker_id, at),
            for_job=order.for_job,
            kind=order.kind,
            max_jobs=capabilities.max_jobs_per_worker,
            home=order.home,
        )
        try:
            await self._journal.commit(
                at=at,
                workers=[worker_write(None, [event], at)],
                correlation_id=order.for_job or order.worker_id,
            )
        except ConflictError:
            # An attempt that was taken for dead has done it.
            return
        log.info(
            "worker_requested",
            worker_id=order.worker_id,
            provider=order.provider,
            for_job=order.for_job,
        )

    async def make(self, attempt: Attempt, order: WorkerOrder, prepared_s: float) -> None:
        """Has the provider make the instance, and writes down how to find it."""
        provider = self._provider(order.provider)
        worker = await self._living(order.worker_id)
        with _blaming():
            if attempt.number > 1:
                await self._clear_remains(provider, worker)
            handle = await self._provision(provider, order)
        steps = ({} if order.kind is None else {"prepare": prepared_s}) | handle.steps
        worker = await self._journal.change_worker(
            order.worker_id, lambda worker: decide.provisioned(worker, handle.data, steps)
        )
        if worker.has_ended:
            raise _ended(order.worker_id, "somebody ended it before it was made")
        if worker.ready_at is None:
            await self._see_it_run(provider, handle)

    async def await_enrolment(self, _: Attempt, order: WorkerOrder) -> None:
        """Returns once the worker takes jobs.

        Its time is counted from here: after a stop of the servers it gets all of it again, as leases
        are renewed before anybody judges them.
        """
        stream = f"worker:{order.worker_id}"
        subscription = self._bus.follow([stream])
        try:
            told = await self._told(order.worker_id)
            events = _of_this_instance([each.event for each in told])
            async with asyncio.timeout(order.enroll_timeout_s):
                while not self._is_up(order, events):
                    told, _overflown = await subscription.take()
                    events = [each.event for each in told]
        except TimeoutError as error:
            # From here on it gets no job. One that was faster has come up after all.
            worker = await self._journal.change_worker(order.worker_id, _turn_away)
            if worker.ready_at is None:
                raise self._never_came(order) from error
        finally:
            self._bus.unfollow(subscription)

    async def destroy(self, _: Attempt, order: WorkerOrder, why: WhyUndone) -> None:
        """Returns once nothing of the instance can run any more."""
        await self._ender.take_down(order.worker_id, order.provider, message=why.message)

    async def give_back(self, _: Attempt, order: WorkerOrder, why: WhyUndone) -> None:
        """Ends the row, if the worker has one that has not ended."""
        failed = reason(ReasonCode.PROVISIONING_FAILED, why.message)
        await self._ender.record(
            order.worker_id, why=failed if why.has_failed else None, message=why.message
        )

    def _provider(self, name: ProviderName) -> Provider:
        provider = self._providers.get(name)
        if provider is None:
            message = f"there is no provider {name} here any more"
            raise ApplicationError(message, type=Blame.PROVIDER, is_final=True)
        return provider

    async def _living(self, worker_id: WorkerId) -> Worker:
        worker = await self._store.load_worker(worker_id)
        if worker is None or worker.has_ended:
            raise _ended(worker_id, "somebody ended it before it was made")
        return worker

    async def _clear_remains(self, provider: Provider, worker: Worker) -> None:
        """Removes what an earlier attempt made and what has ended since; what runs is found again.

        Raises:
            ApplicationError: It had been used.
        """
        for handle in await provider.list_owned():
            if handle.worker_id != worker.id:
                continue
            if await provider.is_running(handle):
                return
            await provider.destroy(handle)
        if worker.registration is not None:
            # Its password has been used: another instance would be turned away. Whether the worker
            # is to blame or the server that died meanwhile, nobody can tell.
            raise _ended(worker.id, "its agent is not there any more", blame=Blame.NOBODY)

    async def _see_it_run(self, provider: Provider, handle: Handle) -> None:
        """An end that was told before the instance was written down is not heard of again."""
        try:
            is_running = await provider.is_running(handle)
        except UnavailableError as error:
            log.info("instance_not_seen", worker_id=handle.worker_id, message=str(error))
            return
        if not is_running:
            told = [
                each.event.reason
                for each in await self._told(handle.worker_id)
                if isinstance(each.event, WorkerStopped)
            ]
            raise _ended(handle.worker_id, told[-1] if told else "its agent is not there any more")

    async def _told(self, worker_id: WorkerId) -> list[StoredEvent]:
        return await self._store.read_events(
            after=BEFORE_THE_FIRST, limit=_FIRST_EVENTS, streams=[f"worker:{worker_id}"]
        )

    async def _provision(self, provider: Provider, order: WorkerOrder) -> Handle:
        doors = self._bootstraps.doors.of(provider.name)
        capabilities = provider.capabilities()
        bootstrap = self._bootstraps.write(
            order.worker_id,
            doors,
            Shape(
                slots=capabilities.slots_per_worker,
                labels=capabilities.labels,
                resources=capabilities.resources,
            ),
        )
        request = ProvisionRequest(
            worker_id=order.worker_id,
            bootstrap=bootstrap,
            resources=_resources(provider, order.kind),
            labels=bootstrap.labels,
            kind=order.kind,
        )
        try:
            async with asyncio.timeout(order.enroll_timeout_s):
                return await provider.provision(request)
        except TimeoutError as error:
            message = (
                f"provider {provider.name} had not made the instance of worker {order.worker_id} "
                f"within {order.enroll_timeout_s:g} s"
            )
            raise ApplicationError(message, type=Blame.PROVIDER, is_final=True) from error

    def _is_up(self, order: WorkerOrder, events: Sequence[object]) -> bool:
        """Whether the worker has come up.

        Raises:
            ApplicationError: It never will.
        """
        if any(isinstance(event, WorkerReady) for event in events):
            return True
        ends = [why for event in events if (why := _told(event)) is not None]
        if ends:
            raise _ended(order.worker_id, "; ".join(filter(None, ends)))
        for event in events:
            if isinstance(event, WorkerDrainRequested):
                if event.by == _TURNED_AWAY:
                    # By an attempt whose server died then.
                    raise self._never_came(order)
                raise _ended(order.worker_id, f"drained by {event.by}", blame=Blame.NOBODY)
        return False

    def _never_came(self, order: WorkerOrder) -> ApplicationError:
        doors = self._bootstraps.doors.of(order.provider)
        message = (
            f"worker {order.worker_id} had not enrolled at {doors.enroll_addresses()} "
            f"and connected to {doors.worker_addresses()} within {order.enroll_timeout_s:g} s; see "
            "whether a firewall is between"
        )
        return ApplicationError(message, type=Blame.PROVIDER, is_final=True)


@contextmanager
def _blaming() -> Generator[None]:
    """Says of whatever a provider raises whose fault it is; none of it is tried again here."""
    try:
        yield
    except StoreUnavailableError:
        # Not the provider's fault: the step is tried again.
        raise
    except KindUnavailableError as error:
        raise ApplicationError(str(error), type=Blame.KIND, is_final=True) from error
    except RefusedError as error:
        raise ApplicationError(str(error), type=Blame.REQUEST, is_final=True) from error
    except HodeiError as error:
        raise ApplicationError(str(error), type=Blame.PROVIDER, is_final=True) from error


def _of_this_instance(events: Sequence[object]) -> list[object]:
    """Without what was seen of one that was made before it, whose server died."""
    made = [n for n, event in enumerate(events) if isinstance(event, WorkerProvisioned)]
    since = made[-1] if made else 0
    return [
        event
        for number, event in enumerate(events)
        if number >= since or not isinstance(event, WorkerStopped)
    ]


def _told(event: object) -> str | None:
    """What is said of its end; None where it is none."""
    match event:
        case WorkerProvisioningError() | WorkerLost():
            return event.reason.message
        case WorkerTerminated():
            return event.message
        case WorkerStopped():
            return event.reason
        case _:
            return None


def _turn_away(worker: Worker) -> list[WorkerEvent]:
    if worker.has_ended or worker.ready_at is not None:
        return []
    return decide.drain(worker, by=_TURNED_AWAY)


def _ended(worker_id: WorkerId, why: str, *, blame: Blame = Blame.WORKER) -> ApplicationError:
    message = f"worker {worker_id} ended as it started: {why}"
    return ApplicationError(message, type=blame, is_final=True)


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
