"""The part of a definition that says in what container a job runs."""

from collections.abc import Collection
from typing import Final

from hodei.domain.jobs.container import ContainerOptions, Mount, PullPolicy
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.provider_names import resolve
from hodei.wire.refused_fields import Refusals

_DEFAULTS: Final = ContainerOptions()
_PULL_POLICIES: Final = {each.value: each for each in PullPolicy}


def decode_container(options: pb.ContainerOptions, refusals: Refusals) -> ContainerOptions | None:
    """The options of a job's container; None where none is set."""
    refusals.refuse_unknown(options, "container.")
    decoded = ContainerOptions(
        pull=_decode_pull(options.pull, refusals),
        pids_limit=options.pids_limit,
        shm_bytes=options.shm_bytes,
        tmpfs=tuple(options.tmpfs),
        mounts=tuple(
            Mount(source=each.source, target=each.target, read_only=each.read_only)
            for each in options.mounts
        ),
        network=options.network,
        extra_hosts=tuple(options.extra_hosts),
        user=options.user,
        cap_add=tuple(options.cap_add),
        read_only=options.read_only,
        platform=options.platform,
        runtime=options.runtime,
    )
    return None if decoded == _DEFAULTS else decoded


def encode_container(options: ContainerOptions) -> pb.ContainerOptions:
    """The options of a job's container."""
    return pb.ContainerOptions(
        pull="" if options.pull is None else options.pull.value,
        pids_limit=options.pids_limit,
        shm_bytes=options.shm_bytes,
        tmpfs=options.tmpfs,
        mounts=[
            pb.ContainerMount(source=each.source, target=each.target, read_only=each.read_only)
            for each in options.mounts
        ],
        network=options.network,
        extra_hosts=options.extra_hosts,
        user=options.user,
        cap_add=options.cap_add,
        read_only=options.read_only,
        platform=options.platform,
        runtime=options.runtime,
    )


def refuse_where_nothing_runs_images(
    definition: pb.JobDefinition, image_providers: Collection[str], refusals: Refusals
) -> None:
    """Refuses an image, or options of a container, where no provider could honour them."""
    asked = [
        name
        for name, is_asked in (
            ("image", bool(definition.image)),
            ("container", definition.HasField("container")),
        )
        if is_asked
    ]
    provider = definition.scheduling.preferred_provider
    for name in asked:
        if not image_providers:
            refusals.refuse(name)
        elif provider and resolve(provider, image_providers) is None:
            refusals.add(
                name,
                f"goes with a provider that runs images ({', '.join(sorted(image_providers))}), "
                f"not with scheduling.preferred_provider {provider[:40]!r}: leave one out",
            )


def _decode_pull(word: str, refusals: Refusals) -> PullPolicy | None:
    if not word:
        return None
    policy = _PULL_POLICIES.get(word.lower())
    if policy is None:
        allowed = ", ".join(_PULL_POLICIES)
        refusals.add("container.pull", f"is {word[:40]!r}: one of {allowed}")
    return policy
