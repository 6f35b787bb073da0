"""The providers of a server, made from its configuration, and how their workers are kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hodei.application.pool import PoolRules
from hodei.domain.placement.kinds import WorkerKind
from hodei.kernel.ids import ClusterId, ProviderName
from hodei.ports.providers import Provider, ProviderUnavailableError
from hodei.providers.local import LocalProvider
from hodei.server.config import DockerProviderConfig, LocalProviderConfig, ServerConfig
from hodei.server.data_dir import DataDir
from hodei.server.label_limits import admission_of, worker_labels

if TYPE_CHECKING:
    from hodei.providers.docker import EngineAddress

DOCKER: Final = ProviderName("docker")
LOCAL: Final = ProviderName("local")
_BUILT_BUNDLES: Final = Path(__file__).resolve().parents[3] / "build" / "agent-bundle"
"""Where `make agent-bundle` puts them in a checkout."""


def make_providers(
    config: ServerConfig, data_dir: DataDir, cluster_id: ClusterId
) -> tuple[Provider, ...]:
    """Those that are enabled, in the order in which they are asked."""
    providers: list[Provider] = []
    if config.local.enabled:
        providers.append(make_local(config.local, LOCAL, data_dir.workers, cluster_id))
    if config.docker.enabled:
        is_alone = not config.local.enabled
        providers.append(make_docker(config.docker, DOCKER, cluster_id, is_default=is_alone))
    return tuple(providers)


def rules_of(config: ServerConfig) -> Mapping[ProviderName, PoolRules]:
    """How each provider's workers are kept."""
    return {LOCAL: local_rules(config.local), DOCKER: docker_rules(config.docker)}


def local_rules(local: LocalProviderConfig) -> PoolRules:
    """How the workers of a local provider are kept."""
    return PoolRules(
        warm_workers=min(local.warm_workers, local.max_workers),
        idle_timeout_s=local.idle_timeout_s,
        max_age_s=local.max_age_s,
        enroll_timeout_s=local.enroll_timeout_s,
    )


def docker_rules(docker: DockerProviderConfig) -> PoolRules:
    """How the workers of a Docker provider are kept."""
    return PoolRules(
        warm_workers=0,
        idle_timeout_s=docker.idle_timeout_s,
        max_age_s=docker.max_age_s,
        enroll_timeout_s=docker.enroll_timeout_s,
        warm_kinds={WorkerKind(image=image): count for image, count in docker.warm.items()},
    )


def kinds_ahead(config: ServerConfig) -> Mapping[ProviderName, tuple[WorkerKind, ...]]:
    """What each provider is to get ready before any job asks for it."""
    if not (config.docker.enabled and config.docker.prepull):
        return {}
    return {DOCKER: images_ahead(config.docker)}


def images_ahead(docker: DockerProviderConfig) -> tuple[WorkerKind, ...]:
    """As above, of one provider."""
    return tuple(WorkerKind(image=image) for image in docker.prepull)


async def address_for_containers(config: ServerConfig) -> str:
    """By which address containers reach this server; empty where there are none.

    Raises:
        ProviderUnavailableError: The engine is not usable, or its network does not tell.
    """
    if not config.docker.enabled:
        return ""
    try:
        return await host_for_containers(config.docker)
    except ProviderUnavailableError as error:
        raise ProviderUnavailableError(
            f"the Docker provider (HODEI_DOCKER_ENABLED) cannot be used: {error}"
        ) from error


async def host_for_containers(docker: DockerProviderConfig) -> str:
    """By which address containers of a provider reach this server.

    Raises:
        ProviderUnavailableError: The engine is not usable, or its network does not tell.
    """
    if docker.server_host:
        return docker.server_host
    from hodei.providers.docker.gateway import gateway_of  # noqa: PLC0415 - as below

    return await gateway_of(_engine(docker), docker.network)


def make_local(
    local: LocalProviderConfig, name: ProviderName, workers: Path, cluster_id: ClusterId
) -> Provider:
    """A local provider, whose workers have directories in `workers`, which is its own."""
    return LocalProvider(
        cluster_id=cluster_id,
        name=name,
        workers=workers,
        agent_command=local.agent_command,
        slots=local.slots,
        max_workers=local.max_workers,
        labels=worker_labels(local),
        annotations=local.annotations,
        admission=admission_of(local),
        region=local.region,
        custom_resources=local.custom_resources,
    )


def make_docker(
    docker: DockerProviderConfig, name: ProviderName, cluster_id: ClusterId, *, is_default: bool
) -> Provider:
    """A Docker provider; one that `is_default` takes jobs that name neither image nor provider."""
    # Its client takes 60 ms and 10 MB, which a server without it does not spend.
    from hodei.domain.jobs.container import PullPolicy  # noqa: PLC0415
    from hodei.providers.docker import DockerOptions, DockerProvider  # noqa: PLC0415
    from hodei.server.docker_limits import mount_of, size_of  # noqa: PLC0415

    return DockerProvider(
        cluster_id=cluster_id,
        address=_engine(docker),
        name=name,
        options=DockerOptions(
            agent_bundle=_bundle(docker.agent_bundle),
            default_image=docker.image,
            takes_jobs_without_image=is_default,
            slots=docker.slots,
            jobs_per_worker=docker.jobs_per_worker,
            max_workers=docker.max_workers,
            cpu_millicores=docker.cpu_millicores,
            memory_bytes=size_of(docker.memory, key="docker.memory"),
            pids_limit=docker.pids_limit,
            shm_bytes=size_of(docker.shm_size, key="docker.shm_size"),
            pull=PullPolicy(docker.pull),
            registry_auth_file=docker.registry_auth_file,
            network=docker.network,
            extra_hosts=docker.extra_hosts,
            dns_servers=docker.dns_servers,
            mounts=tuple(map(mount_of, docker.mounts)),
            tmpfs=docker.tmpfs,
            user=docker.user,
            cap_add=docker.cap_add,
            allow_new_privileges=docker.allow_new_privileges,
            read_only=docker.read_only,
            runtime=docker.runtime,
            gpus=docker.gpus,
            labels=worker_labels(docker),
            annotations=docker.annotations,
            admission=admission_of(docker),
            region=docker.region,
            job_options=frozenset(docker.job_options),
        ),
    )


def _engine(docker: DockerProviderConfig) -> "EngineAddress":
    from hodei.providers.docker import EngineAddress  # noqa: PLC0415 - as above

    return EngineAddress(host=docker.host, context=docker.context, cert_path=docker.cert_path)


def _bundle(text: str) -> Path | str:
    """Where the agent's files are: a path, the name of a volume, or nowhere."""
    if text == "none":
        return ""
    if not text:
        return _BUILT_BUNDLES
    return Path(text).expanduser().absolute() if text.startswith(("/", "~", ".")) else text
