"""Fields of a definition that this server does not honour.

Each is refused by name, with what to do instead: a field that is silently ignored is a promise
broken later.
"""

from collections.abc import Iterable
from typing import Final

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from hodei.domain.jobs.violations import Violations
from hodei.wire import hodei_all_in_one_pb2 as pb

REFUSED_FIELDS: Final[dict[str, str]] = {
    "image": (
        "no enabled provider runs images: leave it out, and the job runs where its worker runs; or "
        "start the server with HODEI_DOCKER_ENABLED=1"
    ),
    "container": (
        "no enabled provider runs containers: leave it out, or start the server with "
        "HODEI_DOCKER_ENABLED=1"
    ),
    "secrets": (
        "this server keeps no secrets: leave it out, and pass by environment only what may be read "
        "in the server's database"
    ),
    "array": "arrays are not supported: send one definition for each task with QueueJobs",
    "concurrency_group": (
        "is not supported: leave it out; to limit how many run at once, require a custom resource "
        "(requirements.custom_required) that the workers have a number of"
    ),
    "namespace": "only `default` exists: leave it out, or say default",
    "scheduling.scheduler_name": "only `default` exists: leave it out, or say default",
    "scheduling.preemption_allowed": (
        "running jobs are never preempted: leave it out, and use scheduling.priority for the order"
    ),
    "timeout.heartbeat_timeout": (
        "the lease of workers is the server's setting: leave it out; disconnect_timeout says how "
        "long this job runs on without a server"
    ),
    "tolerations.toleration_seconds": (
        "taints turn jobs away before they start and never evict them: leave it out"
    ),
}
"""By path; what to do instead. docs/reference/grpc.md lists them, and a test compares the two."""

_DEFAULT_NAMES: Final = frozenset({"", "default"})


class Refusals(Violations):
    """Collects what is refused in one definition."""

    def refuse(self, field: str) -> None:
        """Refuses a field of `REFUSED_FIELDS`."""
        self.add(field, REFUSED_FIELDS[field])

    def refuse_unknown(self, message: Message, within: str = "") -> None:
        """Refuses the fields of the message that this server's contract does not have."""
        for unknown in UnknownFieldSet(message):
            self.add(
                f"{within}{unknown.field_number}",
                f"field number {unknown.field_number} is not known to this server: the client is "
                "newer; upgrade the server, or leave the field out",
            )


def refuse_unsupported(definition: pb.JobDefinition, refusals: Refusals) -> None:
    """Refuses every field of `REFUSED_FIELDS` that the definition uses."""
    refusals.refuse_unknown(definition)
    if definition.concurrency_group:
        refusals.refuse("concurrency_group")
    if definition.namespace not in _DEFAULT_NAMES:
        refusals.refuse("namespace")
    if definition.HasField("secrets"):
        refusals.refuse("secrets")
    if definition.HasField("array") and definition.array.size:
        refusals.refuse("array")
    if definition.HasField("timeout") and definition.timeout.HasField("heartbeat_timeout"):
        refusals.refuse("timeout.heartbeat_timeout")
    if definition.HasField("scheduling"):
        _refuse_scheduling(definition.scheduling, refusals)
    if definition.tolerations:
        _refuse_eviction(definition.tolerations, refusals)


def _refuse_eviction(tolerations: Iterable[pb.Toleration], refusals: Refusals) -> None:
    for index, toleration in enumerate(tolerations):
        if toleration.HasField("toleration_seconds"):
            refusals.add(
                f"tolerations[{index}].toleration_seconds",
                REFUSED_FIELDS["tolerations.toleration_seconds"],
            )


def _refuse_scheduling(scheduling: pb.SchedulingInfo, refusals: Refusals) -> None:
    refusals.refuse_unknown(scheduling, "scheduling.")
    if scheduling.scheduler_name not in _DEFAULT_NAMES:
        refusals.refuse("scheduling.scheduler_name")
    if scheduling.preemption_allowed:
        refusals.refuse("scheduling.preemption_allowed")
