"""What a job asks of the container that it runs in, beside its image and its size.

What is left out is the provider's affair: its configuration says what containers get by default,
and which of these options a job may decide at all.
"""

from dataclasses import dataclass
from enum import StrEnum


class PullPolicy(StrEnum):
    """When an image is fetched from its registry."""

    ALWAYS = "always"
    """Before each worker, so that a tag that has moved is followed."""
    MISSING = "missing"
    """When the engine does not have it."""
    NEVER = "never"
    """An image that the engine does not have is an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A directory or a file from outside the container."""

    source: str
    """An absolute path on the engine's host, or else the name of a volume."""
    target: str
    """The absolute path inside."""
    read_only: bool = False

    def __str__(self) -> str:
        return f"{self.source}:{self.target}" + (":ro" if self.read_only else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOptions:
    """Options of one container. Hashable, for workers are told apart by them."""

    pull: PullPolicy | None = None
    pids_limit: int = 0
    """Processes and threads at once."""
    shm_bytes: int = 0
    """The size of /dev/shm."""
    tmpfs: tuple[str, ...] = ()
    """File systems in memory, each as PATH or PATH:OPTIONS."""
    mounts: tuple[Mount, ...] = ()
    network: str = ""
    extra_hosts: tuple[str, ...] = ()
    """Lines of /etc/hosts, each as NAME:ADDRESS."""
    user: str = ""
    """USER or UID, with :GROUP or :GID after it."""
    cap_add: tuple[str, ...] = ()
    """Capabilities of Linux that are given back; all are dropped."""
    read_only: bool = False
    """Whether the image's files cannot be changed. The job's workspace always can."""
    platform: str = ""
    """OS/ARCHITECTURE of the image, such as linux/amd64."""
    runtime: str = ""
    """An OCI runtime that the engine knows, such as runc or runsc."""

    @property
    def asked(self) -> tuple[str, ...]:
        """The names of the options that are set."""
        return tuple(name for name in self.__slots__ if getattr(self, name))
