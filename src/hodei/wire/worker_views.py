"""Workers as clients see them."""

from collections.abc import Collection
from datetime import datetime

from hodei.domain.jobs.spec import Resources
from hodei.domain.workers.states import shown_state
from hodei.domain.workers.worker import Worker
from hodei.kernel.ids import JobId
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.job_views import reason_view
from hodei.wire.timestamps import optional_timestamp, to_timestamp


def worker_resource(
    worker: Worker,
    *,
    held_jobs: Collection[JobId],
    connected: bool,
    last_heartbeat_at: datetime | None = None,
    usage: pb.ResourceUsageMessage | None = None,
) -> pb.WorkerResource:
    """A worker.

    Args:
        worker: As it is stored.
        held_jobs: The jobs that are assigned to it or run on it.
        connected: Whether its stream is up just now.
        last_heartbeat_at: When it last said something; None when that is not known.
        usage: What it said last of its use of the machine.
    """
    return pb.WorkerResource(
        id=worker.id,
        name=worker.name,
        provider=worker.provider,
        state=shown_state(worker.state, held_jobs=len(held_jobs)).value,
        slots=worker.slots,
        slots_used=len(held_jobs),
        pid=_pid(worker),
        labels=worker.labels,
        capacity=_capacity(worker.resources),
        created_at=to_timestamp(worker.created_at),
        last_heartbeat_at=optional_timestamp(last_heartbeat_at),
        job_ids=sorted(held_jobs),
        agent_version=worker.agent_version,
        reason=reason_view(worker.reason),
        usage=usage,
        connected=connected,
    )


def _pid(worker: Worker) -> int | None:
    """Of a worker that lives; the number of one that is gone may be another process's by now."""
    pid = "" if worker.has_ended or worker.handle is None else worker.handle.get("pid", "")
    return int(pid) if pid.isdecimal() else None


def _capacity(resources: Resources) -> pb.ResourceCapacity:
    return pb.ResourceCapacity(
        cpu_cores=resources.cpu_millicores / 1000,
        memory_bytes=resources.memory_bytes,
        disk_bytes=resources.disk_bytes,
        gpu_count=resources.gpu_count,
        custom_resources=resources.custom,
    )
