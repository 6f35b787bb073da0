"""The steps of a job's life, in the words of people."""

from collections.abc import Callable
from typing import Final, NamedTuple

from hodei.sdk import JobEvent


class Step(NamedTuple):
    """One step."""

    what: str
    detail: str


def step_of(event: JobEvent) -> Step | None:
    """The step that an event is; None for those that are of no interest here."""
    make = _STEPS.get(event.type)
    return make(event) if make else None


def _why(what: str) -> Callable[[JobEvent], Step]:
    return lambda event: Step(what, event.reason.message if event.reason else "")


def _of_worker(what: str) -> Callable[[JobEvent], Step]:
    return lambda event: Step(what, event.worker_id)


def _of_attempt(what: str) -> Callable[[JobEvent], Step]:
    return lambda event: Step(what, f"attempt {event.attempt}")


_STEPS: Final[dict[str, Callable[[JobEvent], Step]]] = {
    "JobQueued": lambda event: Step("queued", event.job_id),
    "WorkerProvisioningRequested": _of_worker("provisioning"),
    "WorkerProvisioned": _of_worker("worker started"),
    "WorkerProvisioningError": _why("no worker"),
    "WorkerRegistered": _of_worker("worker enrolled"),
    "WorkerReady": _of_worker("worker ready"),
    "WorkerLost": _why("worker lost"),
    "JobAssigned": _of_attempt("assigned"),
    "JobAccepted": _of_attempt("running"),
    "JobDispatchFailed": _why("not started"),
    "JobRetried": _why("failed, again"),
    "JobCancelRequested": lambda _: Step("cancelling", ""),
    "JobSucceeded": lambda _: Step("succeeded", "exit code 0"),
    "JobFailed": _why("failed"),
    "JobCancelled": _why("cancelled"),
    "JobTimedOut": _why("timed out"),
}
