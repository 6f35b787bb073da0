"""What is decided about a provider, as requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hodei.kernel.errors import InvalidFieldsError
from hodei.wire import provider_management_pb2 as pb
from hodei.wire.provider_config import plain_options


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """What is decided about a provider besides its options."""

    priority: int = 0
    """Those with more are asked for workers first; -1000 to 1000."""
    cost_per_hour: float | None = None
    """Of a worker, in whatever currency is used for all of them."""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


def new_provider(
    name: str,
    type_: str,
    options: Mapping[str, str],
    settings: ProviderSettings,
    *,
    is_enabled: bool,
) -> pb.RegisterProviderRequest:
    """The request that adds a provider.

    Raises:
        InvalidFieldsError: There is no such type.
    """
    word = f"PROVIDER_TYPE_{type_.upper()}"
    if word not in pb.ProviderType.keys():  # noqa: SIM118 - no mapping
        raise InvalidFieldsError.of("type", f"{type_!r} is none: docker or local can be added")
    return pb.RegisterProviderRequest(
        name=name,
        provider_type=word,
        type_config=pb.ProviderTypeConfig(options=dict(options)),
        priority=settings.priority,
        cost_per_hour=settings.cost_per_hour,
        tags=settings.tags,
        metadata=dict(settings.metadata),
        disabled=not is_enabled,
    )


def changed_provider(
    config: pb.ProviderConfig,
    options: Mapping[str, str | None],
    settings: ProviderSettings | None,
) -> pb.UpdateProviderRequest:
    """The request that changes a provider, which was read as `config`."""
    merged: dict[str, str | None] = {**plain_options(config.type_config), **options}
    kept = {name: value for name, value in merged.items() if value is not None}
    changed = pb.ProviderConfig(
        id=config.id,
        priority=config.priority if settings is None else settings.priority,
        cost_per_hour=_cost(config) if settings is None else settings.cost_per_hour,
        tags=config.tags if settings is None else settings.tags,
        metadata=dict(config.metadata if settings is None else settings.metadata),
        type_config=pb.ProviderTypeConfig(options=kept),
        version=config.version,
        # As they are, so that the options of these names decide.
        allowed_regions=config.allowed_regions,
        required_labels=config.required_labels,
        annotations=config.annotations,
    )
    return pb.UpdateProviderRequest(provider=changed)


def _cost(config: pb.ProviderConfig) -> float | None:
    return config.cost_per_hour if config.HasField("cost_per_hour") else None
