"""The container of a job, from what was typed after `hodei run`."""

from collections.abc import Sequence
from dataclasses import dataclass

from hodei.kernel.errors import InvalidFieldsError
from hodei.kernel.units import parse_size_bytes
from hodei.sdk import ContainerOptions, Mount, PullPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedContainer:
    """What was typed; empty means not given."""

    pull: str = ""
    user: str = ""
    network: str = ""
    platform: str = ""
    runtime: str = ""
    shm_size: str = ""
    pids_limit: int = 0
    read_only: bool = False
    mounts: Sequence[str] = ()
    tmpfs: Sequence[str] = ()
    extra_hosts: Sequence[str] = ()
    cap_add: Sequence[str] = ()

    def options(self) -> ContainerOptions | None:
        """What differs from the provider's other containers; None where nothing does.

        Raises:
            InvalidFieldsError: Something in it cannot be; the error names the option.
        """
        options = ContainerOptions(
            pull=_pull(self.pull),
            pids_limit=self.pids_limit,
            shm_bytes=parse_size_bytes(self.shm_size, field="--shm-size") if self.shm_size else 0,
            tmpfs=tuple(self.tmpfs),
            mounts=tuple(map(_mount, self.mounts)),
            network=self.network,
            extra_hosts=tuple(self.extra_hosts),
            user=self.user,
            cap_add=tuple(self.cap_add),
            read_only=self.read_only,
            platform=self.platform,
            runtime=self.runtime,
        )
        return options if options.asked else None


def _pull(text: str) -> PullPolicy | None:
    if not text:
        return None
    try:
        return PullPolicy(text.lower())
    except ValueError:
        raise InvalidFieldsError.of(
            "--pull", f"{text!r} is not one of {', '.join(PullPolicy)}"
        ) from None


def _mount(text: str) -> Mount:
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not (source and target) or mode not in {"", "ro"}:
        raise InvalidFieldsError.of("--mount", f"{text!r} is not SOURCE:TARGET or SOURCE:TARGET:ro")
    return Mount(source=source, target=target, read_only=mode == "ro")
