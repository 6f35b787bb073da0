"""A provider as messages have it."""

from datetime import datetime
from typing import Final

from hodei.application.list_providers import ListedProvider
from hodei.domain.placement.fit import REGION_LABEL
from hodei.domain.placement.health import ProviderState
from hodei.domain.providers.record import ProviderType
from hodei.ports.providers import Capabilities
from hodei.wire import provider_management_pb2 as pb
from hodei.wire.provider_config import encode_options
from hodei.wire.timestamps import optional_timestamp

_STATUSES: Final[dict[ProviderState, pb.ProviderStatus]] = {
    ProviderState.HEALTHY: pb.PROVIDER_STATUS_ACTIVE,
    ProviderState.DEGRADED: pb.PROVIDER_STATUS_DEGRADED,
    ProviderState.UNAVAILABLE: pb.PROVIDER_STATUS_UNHEALTHY,
    ProviderState.DISABLED: pb.PROVIDER_STATUS_DISABLED,
    ProviderState.LEAVING: pb.PROVIDER_STATUS_MAINTENANCE,
}


def provider_config(provider: ListedProvider) -> pb.ProviderConfig:
    """All that is known of a provider."""
    record, is_docker = provider.record, provider.type is ProviderType.DOCKER
    known = provider.capabilities
    labels = known.labels if known is not None else {}
    return pb.ProviderConfig(
        id=provider.name,
        name=provider.name,
        provider_type=f"PROVIDER_TYPE_{provider.type}",
        status=_STATUSES[provider.state],
        priority=provider.terms.priority,
        max_workers=provider.max_workers,
        active_workers=provider.active_workers,
        capabilities=_capabilities(provider.capabilities),
        type_config=encode_options(record.options if record else {}, is_docker=is_docker),
        tags=record.tags if record else (),
        metadata=record.metadata if record else {},
        created_at=_rfc3339(record.created_at) if record else "",
        updated_at=_rfc3339(record.updated_at) if record else "",
        preferred_region=labels.get(REGION_LABEL),
        allowed_regions=known.admission.allowed_regions if known else (),
        required_labels=known.admission.required_labels if known else {},
        annotations=known.annotations if known else {},
        problem=provider.problem,
        breaker=pb.CircuitBreaker(
            state=f"CIRCUIT_STATE_{provider.breaker}",
            open_until=optional_timestamp(provider.open_until),
            failures=provider.failures,
        ),
        workers={str(state): count for state, count in provider.workers.items()},
        troubled_kinds=[
            pb.TroubledKind(
                kind=each.kind,
                message=each.message,
                next_try_at=optional_timestamp(each.next_try_at),
            )
            for each in provider.troubled_kinds
        ],
        is_kept_here=provider.is_kept_here,
        is_builtin=provider.is_builtin,
        cost_per_hour=provider.terms.cost_per_hour,
        version=record.version if record else 0,
    )


def _capabilities(known: Capabilities | None) -> pb.ProviderCapabilities | None:
    if known is None:
        return None
    resources = known.resources
    own_region = [known.labels[REGION_LABEL]] if REGION_LABEL in known.labels else []
    return pb.ProviderCapabilities(
        max_resources=pb.ResourceLimits(
            max_cpu_cores=resources.cpu_millicores / 1000,
            max_memory_bytes=resources.memory_bytes,
            max_disk_bytes=resources.disk_bytes,
            max_gpu_count=resources.gpu_count,
        ),
        gpu_support=resources.gpu_count > 0,
        gpu_types=resources.gpu_types,
        regions=list(dict.fromkeys([*own_region, *known.admission.allowed_regions])),
        labels=known.labels,
        runs_images=known.containers is not None,
    )


def _rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
