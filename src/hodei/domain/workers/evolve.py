"""What a worker is after an event."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from hodei.domain.jobs.spec import Resources
from hodei.domain.workers.events import (
    CertificateRenewed,
    WorkerDisconnected,
    WorkerDrainRequested,
    WorkerEvent,
    WorkerFirstOutput,
    WorkerHealthChanged,
    WorkerLost,
    WorkerProvisioned,
    WorkerProvisioningError,
    WorkerProvisioningRequested,
    WorkerReady,
    WorkerReconnected,
    WorkerRegistered,
    WorkerStopped,
    WorkerTerminated,
)
from hodei.domain.workers.states import WORKER_TRANSITIONS, WorkerState
from hodei.domain.workers.worker import Registration, Worker
from hodei.kernel.errors import BrokenError


def evolve(worker: Worker | None, event: WorkerEvent, at: datetime) -> Worker:
    """The worker after `event`, which happened at `at`.

    Raises:
        BrokenError: The event cannot follow.
    """
    if isinstance(event, WorkerProvisioningRequested):
        if worker is not None:
            raise BrokenError(f"worker {event.worker_id} was requested twice")
        return Worker(
            id=event.worker_id,
            version=1,
            provider=event.provider,
            state=WorkerState.REQUESTED,
            created_at=at,
            slots=event.slots,
            labels=event.labels,
            resources=event.resources,
            offer=event.offer,
            for_job=event.for_job,
            kind=event.kind,
            max_jobs=event.max_jobs,
            home=event.home,
        )
    if worker is None:
        raise BrokenError(f"{type(event).__name__} comes before WorkerProvisioningRequested")
    return _apply(replace(worker, version=worker.version + 1), event, at)


def evolve_all(worker: Worker | None, events: Iterable[WorkerEvent], at: datetime) -> Worker:
    """The worker after several events of one moment."""
    for event in events:
        worker = evolve(worker, event, at)
    if worker is None:
        raise BrokenError("no event, no worker")
    return worker


def _apply(worker: Worker, event: WorkerEvent, at: datetime) -> Worker:  # noqa: C901, PLR0911, PLR0912 - one arm an event
    match event:
        case WorkerProvisioned():
            provisioned = replace(worker, handle=event.handle, stopped=None)
            # An agent may be faster than its provider's answer.
            early = worker.state is not WorkerState.REQUESTED
            return provisioned if early else _move(provisioned, WorkerState.STARTING)
        case WorkerRegistered():
            return replace(
                worker,
                registration=Registration(at=at, event=event),
                serials=(event.serial,),
                certificate_until=event.not_after,
            )
        case CertificateRenewed():
            return replace(
                worker,
                serials=(*worker.serials[-1:], event.serial),
                certificate_until=event.not_after,
            )
        case WorkerReady():
            return replace(
                _move(worker, WorkerState.READY),
                session_epoch=event.session_epoch,
                connected=True,
                server=event.server,
                ready_at=at,
                slots=event.slots,
                labels=event.labels,
                resources=_granted(worker, event.resources),
                taints=event.taints,
                agent_version=event.agent_version,
                hostname=event.hostname,
                name=event.name,
                stopped=None,
            )
        case WorkerDisconnected():
            return replace(worker, connected=False)
        case WorkerReconnected():
            return replace(
                worker,
                connected=True,
                session_epoch=event.session_epoch,
                server=event.server,
                # One that was paused, for one, runs again.
                stopped=None,
            )
        case WorkerDrainRequested():
            return _move(worker, WorkerState.DRAINING)
        case WorkerStopped():
            return replace(worker, connected=False, stopped=event)
        case WorkerHealthChanged():
            return replace(worker, is_unseen=not event.is_seen)
        case WorkerFirstOutput():
            return replace(worker, has_spoken=True)
        case WorkerTerminated():
            return replace(_move(worker, WorkerState.TERMINATED), connected=False, ended_at=at)
        case WorkerLost() | WorkerProvisioningError():
            return replace(
                _move(worker, WorkerState.LOST), connected=False, ended_at=at, reason=event.reason
            )
        case WorkerProvisioningRequested():
            raise BrokenError(f"worker {worker.id} was requested twice")
        case _:
            assert_never(event)


def _granted(worker: Worker, told: Resources) -> Resources:
    """What it has: what it was made with, and what its agent tells where nothing was said.

    An agent in a container sees the whole host.
    """
    if worker.kind is None:
        return told
    made = worker.resources
    return replace(
        told,
        cpu_millicores=made.cpu_millicores or told.cpu_millicores,
        memory_bytes=made.memory_bytes or told.memory_bytes,
        gpu_count=made.gpu_count,
        gpu_types=made.gpu_types,
    )


def _move(worker: Worker, to: WorkerState) -> Worker:
    if to not in WORKER_TRANSITIONS[worker.state]:
        raise BrokenError(f"worker {worker.id} cannot go from {worker.state} to {to}")
    return replace(worker, state=to)
