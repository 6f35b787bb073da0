"""An event of every type with every field set, and how those of a release are kept.

`python -m replay.event_samples v1.2.0`, run in `tests` when version 1.2.0 is released, writes
`events/v1.2.0`. What is written there is never changed: it stands for what users have stored.
"""

import json
import sys
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from hodei.domain.jobs.container import ContainerOptions, Mount, PullPolicy
from hodei.domain.jobs.events import (
    AttemptEnd,
    JobAccepted,
    JobAssigned,
    JobCancelled,
    JobCancelRequested,
    JobCreated,
    JobDispatchFailed,
    JobFailed,
    JobQueued,
    JobRetried,
    JobRetryRequested,
    JobSucceeded,
    JobTimedOut,
    Usage,
)
from hodei.domain.jobs.reasons import ReasonCode, reason
from hodei.domain.jobs.spec import (
    Exec,
    JobSpec,
    LogPolicy,
    Priority,
    Resources,
    RetryPolicy,
    Script,
    Selector,
    SelectorOperator,
    SelectorRequirement,
    Toleration,
)
from hodei.domain.jobs.states import AttemptState
from hodei.domain.placement.kinds import WorkerKind
from hodei.domain.placement.taints import Taint
from hodei.domain.workers.events import (
    CertificateRenewed,
    EnrolmentOffer,
    WorkerDisconnected,
    WorkerDrainRequested,
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
from hodei.kernel.ids import FencingToken, JobId, ProviderName, WorkerId
from hodei.wire import event_codec
from hodei.wire.event_codec import EncodedEvent, Event

EVENTS_DIR: Final = Path(__file__).parent / "events"

_INSTANT: Final = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
_RESOURCES: Final = Resources(
    cpu_millicores=1500,
    memory_bytes=2**34,
    disk_bytes=2**40,
    gpu_count=2,
    gpu_types=("a100", "h100"),
    custom={"licence": 3},
)
_CONTAINER: Final = ContainerOptions(
    pull=PullPolicy.ALWAYS,
    pids_limit=64,
    shm_bytes=2**26,
    tmpfs=("/scratch:size=64m",),
    mounts=(Mount(source="/data", target="/in", read_only=True),),
    network="builds",
    extra_hosts=("cache:10.0.0.1",),
    user="1000:1000",
    cap_add=("NET_ADMIN",),
    read_only=True,
    platform="linux/amd64",
    runtime="runsc",
)
_SPEC: Final = JobSpec(
    command=Exec(argv=(b"echo", b"", b"\xff\x00", "é".encode())),
    name="Prüfung",
    description="two\nlines",
    environment={"HOME": "/tmp", "EMPTY": ""},
    working_dir="sub/dir",
    stdin=b"\x00\xff",
    timeout_s=1.5,
    grace_s=0.5,
    disconnect_timeout_s=60.0,
    deadline_s=3600.0,
    retry=RetryPolicy(
        max_attempts=5,
        initial_backoff_s=0.25,
        backoff_factor=3.0,
        max_backoff_s=30.0,
        jitter=0.5,
        retry_on=frozenset({ReasonCode.WORKER_LOST}),
    ),
    priority=Priority.CRITICAL,
    labels={"team": "blue"},
    tags=("nightly", "slow"),
    selector=Selector(
        match_labels={"zone": "a"},
        match_expressions=(
            SelectorRequirement(key="arch", operator=SelectorOperator.IN, values=("arm", "x86")),
        ),
    ),
    tolerations=(Toleration(key="dedicated", operator="Equal", value="gpu"),),
    resources=_RESOURCES,
    preferred_provider="local",
    preferred_region="eu",
    log_policy=LogPolicy.DROP_OLDEST,
    image="debian:12",
    container=_CONTAINER,
)
_REASON: Final = reason(ReasonCode.NON_ZERO_EXIT_CODE, "exited with 7")
_END: Final = AttemptEnd(
    number=2,
    state=AttemptState.FAILED,
    exit_code=7,
    signal=9,
    reason=_REASON,
    stdout_bytes=2**40,
    stderr_bytes=1,
    usage=Usage(user_cpu_s=0.5, system_cpu_s=0.25, max_rss_bytes=2**30),
)

SAMPLES: Final[dict[str, Event]] = {
    "JobCreated": JobCreated(
        job_id=JobId("job-1"), spec=_SPEC, queued_by="somebody", deadline=_INSTANT
    ),
    "JobCreated.script": JobCreated(
        job_id=JobId("job-2"),
        spec=JobSpec(command=Script(interpreter="bash", content="exit 1\n")),
        queued_by="",
    ),
    "JobQueued": JobQueued(),
    "JobAssigned": JobAssigned(
        attempt=2, worker_id=WorkerId("worker-1"), token=FencingToken(2 << 31 | 5)
    ),
    "JobAccepted": JobAccepted(attempt=2),
    "JobDispatchFailed": JobDispatchFailed(end=_END),
    "JobRetried": JobRetried(end=_END, not_before=_INSTANT),
    "JobRetried.at-once": JobRetried(end=_END, not_before=None),
    "JobCancelRequested": JobCancelRequested(by="somebody", message="no more"),
    "JobSucceeded": JobSucceeded(
        end=AttemptEnd(number=1, state=AttemptState.SUCCEEDED, exit_code=0)
    ),
    "JobFailed": JobFailed(reason=_REASON, end=_END),
    "JobFailed.without-worker": JobFailed(reason=_REASON),
    "JobCancelled": JobCancelled(reason=_REASON, end=_END),
    "JobTimedOut": JobTimedOut(reason=_REASON, end=_END),
    "JobRetryRequested": JobRetryRequested(by="somebody"),
    "WorkerProvisioningRequested": WorkerProvisioningRequested(
        worker_id=WorkerId("worker-1"),
        provider=ProviderName("local"),
        slots=4,
        labels={"zone": "a"},
        resources=_RESOURCES,
        offer=EnrolmentOffer(otp_hmac=b"\x00\xff" * 16, expires_at=_INSTANT),
        for_job=JobId("job-1"),
        kind=WorkerKind(
            image="debian:12",
            cpu_millicores=500,
            memory_bytes=2**26,
            gpu_count=1,
            gpu_types=("a100",),
            container=_CONTAINER,
        ),
        max_jobs=1,
    ),
    "WorkerProvisioned": WorkerProvisioned(handle={"pid": "12"}, steps={"pull": 1.5}),
    "WorkerProvisioningError": WorkerProvisioningError(reason=_REASON),
    "WorkerRegistered": WorkerRegistered(
        key_hash=b"\x00\xff" * 16, serial="0a1b", chain_pem="pem", not_after=_INSTANT
    ),
    "CertificateRenewed": CertificateRenewed(serial="0a1c", not_after=_INSTANT),
    "WorkerReady": WorkerReady(
        session_epoch=3,
        slots=4,
        labels={"zone": "a"},
        resources=_RESOURCES,
        taints=(Taint(key="dedicated", value="gpu", effect="NoSchedule"),),
        agent_version="0.1.0",
        hostname="host",
        name="name",
    ),
    "WorkerDisconnected": WorkerDisconnected(message="reset"),
    "WorkerReconnected": WorkerReconnected(session_epoch=4),
    "WorkerDrainRequested": WorkerDrainRequested(by="somebody"),
    "WorkerStopped": WorkerStopped(reason="exited", exit_code=1),
    "WorkerHealthChanged": WorkerHealthChanged(is_seen=False, message="the engine is gone"),
    "WorkerFirstOutput": WorkerFirstOutput(job_id=JobId("job-1")),
    "WorkerTerminated": WorkerTerminated(message="idle"),
    "WorkerLost": WorkerLost(reason=_REASON),
}


def write_release(release: str) -> None:
    """Keeps the samples as this version stores them, each with what it means."""
    directory = EVENTS_DIR / release
    directory.mkdir()
    for name, event in SAMPLES.items():
        stored = event_codec.encode(event)
        content = {
            "type": stored.type,
            "version": stored.version,
            "data": b64encode(stored.data).decode(),
            "means": meaning(event),
        }
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (directory / f"{name}.json").write_text(text, encoding="utf-8")


def read_stored(path: Path) -> tuple[EncodedEvent, dict[str, Any]]:
    """A stored event, and what it means."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return (
        EncodedEvent(content["type"], content["version"], b64decode(content["data"])),
        content["means"],
    )


def meaning(event: Event) -> dict[str, Any]:
    """The fields of an event as plain JSON."""
    return json.loads(msgspec.json.encode(event))


if __name__ == "__main__":
    write_release(sys.argv[1])
