"""What may happen to a worker next. Like `jobs.decide`: state in, events out."""

import hmac
from datetime import datetime, timedelta
from typing import Final

from hodei.domain.jobs.reasons import Reason
from hodei.domain.workers.events import (
    WorkerDisconnected,
    WorkerDrainRequested,
    WorkerEvent,
    WorkerFirstOutput,
    WorkerHealthChanged,
    WorkerLost,
    WorkerProvisioned,
    WorkerProvisioningError,
    WorkerReady,
    WorkerReconnected,
    WorkerStopped,
    WorkerTerminated,
)
from hodei.domain.workers.states import WorkerState
from hodei.domain.workers.worker import Registration, Worker
from hodei.kernel.errors import (
    PermissionDeniedError,
    UnauthenticatedError,
    WrongStateError,
)
from hodei.kernel.ids import JobId

LOST_REPLY_WINDOW: Final = timedelta(minutes=2)
"""How long the same password with the same key gets the same certificate again."""


def admit(
    worker: Worker | None, *, otp_hmac: bytes, key_hash: bytes, now: datetime
) -> Registration | None:
    """Whether a one-time password opens the door.

    Returns:
        The registration of before when this is the repetition of a call whose reply was lost;
        None when the password is fresh and a certificate is to be issued.

    Raises:
        UnauthenticatedError: Unknown worker, wrong password, expired, or the worker has ended.
        PermissionDeniedError: It was used already with another key. Raise an alarm: somebody
            else has, or had, the password.
    """
    if worker is None or not hmac.compare_digest(worker.offer.otp_hmac, otp_hmac):
        raise UnauthenticatedError("the one-time password is not valid for this worker id")
    if worker.has_ended:
        raise UnauthenticatedError(f"worker {worker.id} has ended")
    if worker.registration is not None:
        if worker.registration.event.key_hash != key_hash:
            raise PermissionDeniedError(
                f"the one-time password of worker {worker.id} was used before with another key"
            )
        if now - worker.registration.at > LOST_REPLY_WINDOW:
            raise UnauthenticatedError("the one-time password was used already")
        return worker.registration
    if now >= worker.offer.expires_at:
        raise UnauthenticatedError("the one-time password has expired: ask for a new worker")
    return None


def provisioned(
    worker: Worker, handle: dict[str, str], steps: dict[str, float] | None = None
) -> list[WorkerEvent]:
    """The provider has made the instance, with steps that took so many seconds each."""
    if worker.has_ended or worker.handle == handle:
        return []
    return [WorkerProvisioned(handle=handle, steps=steps or {})]


def connect(worker: Worker, ready: WorkerReady, *, is_outdated: bool = False) -> list[WorkerEvent]:
    """A stream of the worker is up.

    Args:
        worker: The worker.
        ready: What it says of itself.
        is_outdated: Whether its agent is of the release before the server's. One that was there
            before finishes its jobs and goes. A new one serves: whoever made it made it so, and
            the next would be no newer.

    Raises:
        WrongStateError: The worker has ended; its agent must end too.
    """
    if worker.has_ended:
        raise WrongStateError(f"worker {worker.id} has ended as {worker.state}")
    if worker.ready_at is None and worker.state is not WorkerState.DRAINING:
        return [ready]
    reconnected = WorkerReconnected(session_epoch=ready.session_epoch, server=ready.server)
    leaving = drain(worker, by="the server: its agent is outdated") if is_outdated else []
    return [reconnected, *leaving]


def disconnect(
    worker: Worker, *, session_epoch: int, message: str, silent_s: float = 0.0
) -> list[WorkerEvent]:
    """A stream of the worker is down; one that a newer stream has replaced changes nothing."""
    if worker.has_ended or not worker.connected or worker.session_epoch != session_epoch:
        return []
    return [WorkerDisconnected(message=message, silent_s=silent_s)]


def drain(worker: Worker, *, by: str) -> list[WorkerEvent]:
    """It is to take no more jobs and to end after the last.

    Raises:
        WrongStateError: It has ended.
    """
    if worker.has_ended:
        raise WrongStateError(f"worker {worker.id} has ended as {worker.state}")
    if worker.state in {WorkerState.DRAINING, WorkerState.REQUESTED}:
        return []
    return [WorkerDrainRequested(by=by)]


def see(worker: Worker, *, is_seen: bool, message: str) -> list[WorkerEvent]:
    """Its provider has lost sight of it, or sees it again."""
    if worker.has_ended or worker.is_unseen is not is_seen:
        return []
    return [WorkerHealthChanged(is_seen=is_seen, message=message)]


def stop(worker: Worker, stopped: WorkerStopped) -> list[WorkerEvent]:
    """Its provider saw its instance end; what was seen first is the truth."""
    return [] if worker.has_ended or worker.stopped is not None else [stopped]


def speak(worker: Worker, *, job_id: JobId) -> list[WorkerEvent]:
    """Output of a job of its is stored."""
    return [] if worker.has_ended or worker.has_spoken else [WorkerFirstOutput(job_id=job_id)]


def end(worker: Worker, *, why: Reason | None, message: str) -> list[WorkerEvent]:
    """Its instance is confirmed gone.

    Args:
        worker: The worker.
        why: Set when nobody asked for it.
        message: What happened.
    """
    if worker.has_ended:
        return []
    if why is None:
        return [WorkerTerminated(message=message)]
    if worker.ready_at is None:
        return [WorkerProvisioningError(reason=why)]
    return [WorkerLost(reason=why)]
