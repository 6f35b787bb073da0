"""The container that is asked of the engine: a pure function of what operator and job want."""

from pathlib import Path
from typing import Any, Final

from hodei.domain.jobs.container import ContainerOptions, Mount
from hodei.domain.placement.kinds import WorkerKind
from hodei.kernel.ids import ClusterId, ProviderName, WorkerId
from hodei.providers.docker.options import BUNDLE_DIR, DockerOptions

CLUSTER_LABEL: Final = "hodei.cluster"
PROVIDER_LABEL: Final = "hodei.provider"
WORKER_LABEL: Final = "hodei.worker"

WORK_DIR: Final = "/hodei-work"
"""Where agent and jobs keep their files."""
_AGENT: Final = f"{BUNDLE_DIR}/hodei-agent"
_ROOT: Final = frozenset({"", "0", "root"})
_NO_OPTIONS: Final = ContainerOptions()
_KEPT_LOG: Final = {"max-size": "1m", "max-file": "1"}
"""Of what the agent says; the jobs' output goes to the server."""


def container_name(worker_id: WorkerId) -> str:
    """The name of a worker's container. One of a name there is at most, whoever asks."""
    return f"hodei-{worker_id}"


def labels_of(cluster_id: ClusterId, provider: ProviderName) -> dict[str, str]:
    """What every container of a provider has."""
    return {CLUSTER_LABEL: cluster_id, PROVIDER_LABEL: provider}


def describe_container(
    options: DockerOptions, kind: WorkerKind, *, image: str, image_user: str, labels: dict[str, str]
) -> dict[str, Any]:
    """The body of the Engine API's ContainerCreate.

    The agent is its first process, and reads its bootstrap document from stdin, which the first
    who attaches to it closes by leaving.
    """
    own = kind.container or _NO_OPTIONS
    user = own.user or options.user
    return {
        "Image": image,
        "Entrypoint": [_AGENT],
        "Cmd": ["--work-dir", WORK_DIR],
        "Labels": {**options.labels, **labels},
        "AttachStdin": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "StopSignal": "SIGTERM",
        # The image's own check knows nothing of the agent that runs in the place of its program.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(options, kind, own, user or image_user),
        **({"User": user} if user else {}),
    }


def _host_config(
    options: DockerOptions, kind: WorkerKind, own: ContainerOptions, user: str
) -> dict[str, Any]:
    memory = kind.memory_bytes or options.memory_bytes
    tmpfs = dict(_split_tmpfs(each) for each in (*options.tmpfs, *own.tmpfs))
    mounts = [_mount(each) for each in (*options.mounts, *own.mounts)]
    if options.agent_bundle:
        mounts.append(_bundle(options.agent_bundle))
    if user.partition(":")[0] in _ROOT:
        mounts.append({"Type": "volume", "Target": WORK_DIR})
    else:
        # A new volume belongs to root, and only root may change that.
        tmpfs[WORK_DIR] = "rw,exec,mode=1777"
    host: dict[str, Any] = {
        "NetworkMode": own.network or options.network,
        "ExtraHosts": [*options.extra_hosts, *own.extra_hosts],
        "Dns": [*options.dns_servers],
        "Mounts": mounts,
        "Tmpfs": tmpfs,
        "Memory": memory,
        # Without swap: past its memory a job is ended, not slowed down.
        "MemorySwap": memory,
        "NanoCpus": (kind.cpu_millicores or options.cpu_millicores) * 1_000_000,
        "PidsLimit": own.pids_limit or options.pids_limit,
        "ShmSize": own.shm_bytes or options.shm_bytes,
        "CapDrop": ["ALL"],
        "CapAdd": [*options.cap_add, *own.cap_add],
        "ReadonlyRootfs": own.read_only or options.read_only,
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "json-file", "Config": _KEPT_LOG},
    }
    if not options.allow_new_privileges:
        host["SecurityOpt"] = ["no-new-privileges"]
    if runtime := own.runtime or options.runtime:
        host["Runtime"] = runtime
    if kind.gpu_count:
        host["DeviceRequests"] = [{"Count": kind.gpu_count, "Capabilities": [["gpu"]]}]
    return host


def _bundle(place: Path | str) -> dict[str, Any]:
    is_path = isinstance(place, Path) or place.startswith("/")
    return {
        "Type": "bind" if is_path else "volume",
        "Source": str(place),
        "Target": BUNDLE_DIR,
        "ReadOnly": True,
    }


def _mount(mount: Mount) -> dict[str, Any]:
    return {
        "Type": "bind" if mount.source.startswith("/") else "volume",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }


def _split_tmpfs(text: str) -> tuple[str, str]:
    path, _, options = text.partition(":")
    return path, options
