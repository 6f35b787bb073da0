"""A worker as the server showed it last, and the invitation of a new one."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from hodei.domain.workers.states import WorkerState
from hodei.sdk.job import Reason, ReasonDict, reason_from_wire
from hodei.sdk.times import rfc3339, rfc3339_or_none
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.timestamps import from_timestamp


class WorkerDict(TypedDict):
    """A worker as JSON has it."""

    id: str
    name: str
    provider: str
    state: str
    slots: int
    slots_used: int
    pid: int | None
    labels: dict[str, str]
    connected: bool
    jobs: list[str]
    agent_version: str
    reason: ReasonDict | None
    created_at: str
    last_heartbeat_at: str | None


class OrphanDict(TypedDict):
    """An orphan as JSON has it."""

    provider: str
    worker_id: str
    instance: dict[str, str]
    removed: bool
    message: str


class BootstrapDict(TypedDict):
    """The bootstrap document of an invited worker, as its agent reads it."""

    worker_id: str
    cluster_id: str
    enroll_address: str
    worker_address: str
    ca_fingerprint: str
    otp: str
    name: str
    labels: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker at the moment when the server answered."""

    id: str
    name: str
    provider: str
    """`static` for one that somebody started by hand."""
    state: WorkerState
    slots: int
    """Jobs that it runs at once."""
    slots_used: int
    pid: int | None
    """Of a local one's agent, on the server's host."""
    labels: dict[str, str]
    connected: bool
    """Whether its stream is up just now."""
    job_ids: tuple[str, ...]
    """What it holds."""
    agent_version: str
    reason: Reason | None
    """Why it was lost or never came."""
    created_at: datetime
    last_heartbeat_at: datetime | None

    def to_dict(self) -> WorkerDict:
        """As JSON has it."""
        return {
            "id": self.id,
            "name": self.name,
            "provider": self.provider,
            "state": self.state.value,
            "slots": self.slots,
            "slots_used": self.slots_used,
            "pid": self.pid,
            "labels": self.labels,
            "connected": self.connected,
            "jobs": list(self.job_ids),
            "agent_version": self.agent_version,
            "reason": self.reason and self.reason.to_dict(),
            "created_at": rfc3339(self.created_at),
            "last_heartbeat_at": rfc3339_or_none(self.last_heartbeat_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What a worker needs to enrol. Holds a one-time password: hand it over, never log it."""

    worker_id: str
    cluster_id: str
    enroll_address: str
    worker_address: str
    ca_fingerprint: str
    otp: str
    expires_at: datetime
    """Past it the password opens nothing."""
    name: str
    labels: dict[str, str]

    def __repr__(self) -> str:
        return f"Invitation(worker_id={self.worker_id!r}, expires_at={self.expires_at!r})"

    def to_dict(self) -> BootstrapDict:
        """The bootstrap document, which `hodei worker` reads on its stdin."""
        return {
            "worker_id": self.worker_id,
            "cluster_id": self.cluster_id,
            "enroll_address": self.enroll_address,
            "worker_address": self.worker_address,
            "ca_fingerprint": self.ca_fingerprint,
            "otp": self.otp,
            "name": self.name,
            "labels": self.labels,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """An instance that a provider has and no worker."""

    provider: str
    worker_id: str
    """That it was made for."""
    instance: dict[str, str]
    """The provider's own words for it."""
    removed: bool
    message: str
    """Why it was not removed."""

    def to_dict(self) -> OrphanDict:
        """As JSON has it."""
        return {
            "provider": self.provider,
            "worker_id": self.worker_id,
            "instance": self.instance,
            "removed": self.removed,
            "message": self.message,
        }


def orphan_from_wire(orphan: pb.OrphanResource) -> Orphan:
    """The orphan of an answer."""
    return Orphan(
        provider=orphan.provider,
        worker_id=orphan.worker_id,
        instance=dict(orphan.instance),
        removed=orphan.removed,
        message=orphan.message,
    )


def worker_from_wire(worker: pb.WorkerResource) -> Worker:
    """The worker of an answer."""
    beat = worker.last_heartbeat_at if worker.HasField("last_heartbeat_at") else None
    return Worker(
        id=worker.id,
        name=worker.name,
        provider=worker.provider,
        state=WorkerState(worker.state),
        slots=worker.slots,
        slots_used=worker.slots_used,
        pid=worker.pid if worker.HasField("pid") else None,
        labels=dict(worker.labels),
        connected=worker.connected,
        job_ids=tuple(worker.job_ids),
        agent_version=worker.agent_version,
        reason=reason_from_wire(worker.reason) if worker.HasField("reason") else None,
        created_at=from_timestamp(worker.created_at, field="created_at"),
        last_heartbeat_at=None if beat is None else from_timestamp(beat, field="last_heartbeat_at"),
    )


def invitation_from_wire(
    answer: pb.InviteWorkerResponse, request: pb.InviteWorkerRequest, *, cluster_id: str
) -> Invitation:
    """The invitation of an answer; name and labels are those that were asked for."""
    return Invitation(
        worker_id=answer.worker_id,
        cluster_id=cluster_id,
        enroll_address=answer.enroll_address,
        worker_address=answer.worker_address,
        ca_fingerprint=answer.ca_fingerprint,
        otp=answer.otp,
        expires_at=from_timestamp(answer.expires_at, field="expires_at"),
        name=request.name,
        labels=dict(request.labels),
    )
