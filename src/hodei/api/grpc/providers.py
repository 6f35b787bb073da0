"""`hodei.providers.ProviderManagementService`, for operators."""

# The decorators' Callable types have no parameter names; gRPC passes both by position.
# pyright: reportIncompatibleMethodOverride=false

from typing import Any

import grpc.aio

from hodei.api.grpc.refusals import unary
from hodei.application.list_providers import ListedProvider, ListProviders
from hodei.application.manage_providers import ManageProviders
from hodei.domain.placement.health import ProviderState
from hodei.kernel.errors import NotFoundError, UnavailableError
from hodei.kernel.ids import ProviderName
from hodei.ports.stores import StoreUnavailableError
from hodei.wire import provider_management_pb2 as pb
from hodei.wire import provider_management_pb2_grpc as pb_grpc
from hodei.wire.provider_changes import decode_new, decode_update
from hodei.wire.provider_names import resolve

from .provider_views import provider_config

Context = grpc.aio.ServicerContext[Any, Any]

_OFF = {ProviderState.DISABLED, ProviderState.LEAVING}


class ProviderManagementService(pb_grpc.ProviderManagementServiceServicer):
    """Providers, for operators."""

    def __init__(self, providers: ListProviders, manage: ManageProviders) -> None:
        self._providers = providers
        self._manage = manage

    @unary
    async def ListProviders(
        self, request: pb.ListProvidersRequest, context: Context
    ) -> pb.ListProvidersResponse:
        """All that match every filter that is set."""
        listed = [(each, provider_config(each)) for each in await self._providers.list()]
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
        return pb.GetProviderResponse(provider=await self._config(request.provider_id))

    @unary
    async def GetProviderByName(
        self, request: pb.GetProviderByNameRequest, context: Context
    ) -> pb.GetProviderResponse:
        """The same: the name is the id."""
        return pb.GetProviderResponse(provider=await self._config(request.name))

    @unary
    async def RegisterProvider(
        self, request: pb.RegisterProviderRequest, context: Context
    ) -> pb.RegisterProviderResponse:
        """One more."""
        kind, change = decode_new(request)
        await self._manage.add(request.name, kind, change, is_enabled=not request.disabled)
        return pb.RegisterProviderResponse(provider=await self._config(request.name))

    @unary
    async def UpdateProvider(
        self, request: pb.UpdateProviderRequest, context: Context
    ) -> pb.UpdateProviderResponse:
        """One of them, as it is to be from now on."""
        before = await self._listed(request.provider.id or request.provider.name)
        change = decode_update(request.provider, provider_config(before))
        await self._manage.update(before.name, change, version=request.provider.version)
        return pb.UpdateProviderResponse(provider=await self._config(before.name))

    @unary
    async def DeleteProvider(
        self, request: pb.DeleteProviderRequest, context: Context
    ) -> pb.DeleteProviderResponse:
        """At once, or once its last worker has ended."""
        name = (await self._listed(request.provider_id)).name
        left = await self._manage.remove(name, force=request.force)
        return pb.DeleteProviderResponse(success=True, workers_left=left)

    @unary
    async def EnableProvider(
        self, request: pb.EnableProviderRequest, context: Context
    ) -> pb.EnableProviderResponse:
        """It makes workers again."""
        name = (await self._listed(request.provider_id)).name
        await self._manage.enable(name)
        return pb.EnableProviderResponse(provider=await self._config(name))

    @unary
    async def DisableProvider(
        self, request: pb.DisableProviderRequest, context: Context
    ) -> pb.DisableProviderResponse:
        """It makes no more of them."""
        name = (await self._listed(request.provider_id)).name
        await self._manage.disable(name)
        return pb.DisableProviderResponse(provider=await self._config(name))

    @unary
    async def GetProviderStats(
        self, request: pb.GetProviderStatsRequest, context: Context
    ) -> pb.GetProviderStatsResponse:
        """All of them in figures."""
        listed = await self._providers.list()
        enabled = [each for each in listed if each.state not in _OFF]
        most = sum(each.max_workers for each in enabled)
        active = sum(each.active_workers for each in listed)
        return pb.GetProviderStatsResponse(
            total_providers=len(listed),
            enabled_providers=len(enabled),
            providers_with_capacity=sum(each.has_capacity for each in listed),
            total_max_workers=most,
            total_active_workers=active,
            utilization_percent=100 * active / most if most else 0.0,
        )

    @unary
    async def TestProvider(
        self, request: pb.TestProviderRequest, context: Context
    ) -> pb.TestProviderResponse:
        """Whether it is usable, and what it is."""
        name = (await self._listed(request.provider_id)).name
        try:
            facts = await self._manage.test(name)
        except StoreUnavailableError:
            raise
        except UnavailableError as error:
            return pb.TestProviderResponse(problem=str(error))
        return pb.TestProviderResponse(
            facts=[pb.ProviderFact(name=name, value=value) for name, value in facts.items()]
        )

    async def _listed(self, asked: str) -> ListedProvider:
        by_name = {str(each.name): each for each in await self._providers.list()}
        name = resolve(asked, by_name.keys())
        if name is None:
            raise NotFoundError("provider", asked, "see `hodei providers list`")
        return by_name[name]

    async def _config(self, asked: str | ProviderName) -> pb.ProviderConfig:
        return provider_config(await self._listed(asked))
