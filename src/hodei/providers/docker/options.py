"""What an operator decides about a Docker provider."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hodei.domain.jobs.container import Mount, PullPolicy
from hodei.domain.placement.admission import EVERY_JOB, Admission

SAFE_JOB_OPTIONS: Final = frozenset(
    {"pull", "pids_limit", "shm_bytes", "tmpfs", "user", "read_only", "platform"}
)
"""Of `ContainerOptions`: those that let a job reach nothing outside of its container."""

BUNDLE_DIR: Final = "/hodei"
"""Where the agent's files are inside; they were built for this very path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerOptions:
    """How containers are made, where a job does not say otherwise."""

    agent_bundle: Path | str = ""
    """The directory of the agent's files on the engine's host, or the name of a volume of the
    engine that has them; empty where images bring them along."""
    default_image: str = ""
    """For jobs that name none; empty means that they have to."""
    takes_jobs_without_image: bool = False
    """Whether jobs that name neither an image nor this provider may come here."""
    slots: int = 1
    """Jobs at once in one container."""
    jobs_per_worker: int = 1
    """A container leaves after so many jobs; 0 is no limit."""
    max_workers: int = 10
    """Containers at once."""
    cpu_millicores: int = 0
    """Of one container; 0 is no limit."""
    memory_bytes: int = 0
    """As above."""
    pids_limit: int = 1024
    """Processes and threads in one container; 0 is no limit."""
    shm_bytes: int = 0
    """Of /dev/shm; 0 is the engine's default."""
    pull: PullPolicy = PullPolicy.MISSING
    registry_auth_file: Path | None = None
    """Logins of registries, as `docker login` writes them."""
    network: str = "bridge"
    extra_hosts: tuple[str, ...] = ()
    dns_servers: tuple[str, ...] = ()
    """Addresses that containers ask for names; without any, what the engine has."""
    mounts: tuple[Mount, ...] = ()
    """For every container."""
    tmpfs: tuple[str, ...] = ()
    user: str = ""
    """Empty means the image's."""
    cap_add: tuple[str, ...] = ()
    """All capabilities are dropped but these."""
    allow_new_privileges: bool = False
    """Whether programs such as sudo may gain rights."""
    read_only: bool = False
    runtime: str = ""
    gpus: int = 0
    """How many GPUs the engine's host has for containers."""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    """Every worker and every container has these."""
    annotations: dict[str, str] = field(default_factory=dict[str, str])
    """Those of `labels` that say what the provider is."""
    region: str = "docker"
    """The label hodei.region of the workers."""
    admission: Admission = EVERY_JOB
    job_options: frozenset[str] = SAFE_JOB_OPTIONS
    """Which of `ContainerOptions` a job may decide."""
