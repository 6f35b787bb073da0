"""`hodei.providers.ProviderManagementService`, for operators."""

# The decorators' Callable types have no parameter names; gRPC passes both by position.
# pyright: reportIncompatibleMethodOverride=false

from typing import Any, Final

import grpc.aio

from hodei.api.grpc.refusals import unary
from hodei.application.list_providers import ListedProvider, ListProviders
from hodei.domain.placement.health import ProviderState
from hodei.kernel.errors import NotFoundError
from hodei.wire import provider_management_pb2 as pb
from hodei.wire import provider_management_pb2_grpc as pb_grpc
from hodei.wire.provider_names import resolve
from hodei.wire.timestamps import optional_timestamp

Context = grpc.aio.ServicerContext[Any, Any]

_STATUSES: Final[dict[ProviderState, pb.ProviderStatus]] = {
    ProviderState.HEALTHY: pb.PROVIDER_STATUS_ACTIVE,
    ProviderState.DEGRADED: pb.PROVIDER_STATUS_DEGRADED,
    ProviderState.UNAVAILABLE: pb.PROVIDER_STATUS_UNHEALTHY,
}


class ProviderManagementService(pb_grpc.ProviderManagementServiceServicer):
    """Providers, for operators."""

    def __init__(self, providers: ListProviders) -> None:
        self._providers = providers

    @unary
    async def ListProviders(
        self, request: pb.ListProvidersRequest, context: Context
    ) -> pb.ListProvidersResponse:
        """All that match every filter that is set."""
        listed = [(each, _config(each)) for each in await self._providers.list()]
        return pb.ListProvidersResponse(
            providers=[
                config
                for provider, config in listed
                if request.provider_type in {pb.PROVIDER_TYPE_UNSPECIFIED, config.provider_type}
                and request.status in {pb.PROVIDER_STATUS_UNSPECIFIED, config.status}
                and (provider.has_capacity or not request.only_with_capacity)
            ]
        )

    @unary
    async def GetProvider(
        self, request: pb.GetProviderRequest, context: Context
    ) -> pb.GetProviderResponse:
        """One of them."""
        by_name = {str(each.name): each for each in await self._providers.list()}
        name = resolve(request.provider_id, by_name.keys())
        if name is None:
            raise NotFoundError("provider", request.provider_id, "see `hodei providers list`")
        return pb.GetProviderResponse(provider=_config(by_name[name]))


def _config(provider: ListedProvider) -> pb.ProviderConfig:
    return pb.ProviderConfig(
        id=provider.name,
        name=provider.name,
        provider_type=f"PROVIDER_TYPE_{provider.type}",
        status=_STATUSES[provider.state],
        max_workers=provider.max_workers,
        active_workers=provider.active_workers,
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
    )
