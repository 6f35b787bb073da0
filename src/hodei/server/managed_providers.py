"""The providers that come and go while a server runs: what makes them, and who keeps them."""

from collections.abc import Callable
from dataclasses import dataclass

from hodei.api.grpc.providers import ProviderManagementService
from hodei.application.keep_providers import KeepProviders, ProviderParts
from hodei.application.list_providers import ListProviders
from hodei.application.make_providers import Equipped
from hodei.application.manage_providers import ManageProviders
from hodei.domain.providers.record import ProviderRecord, ProviderType
from hodei.kernel.errors import FieldViolation, InvalidFieldsError
from hodei.ports.signals import Topic
from hodei.server.bootstrap import ControlPlane, Foundations
from hodei.server.config import DockerProviderConfig
from hodei.server.more_doors import MoreDoors
from hodei.server.provider_options import config_of, option_violations
from hodei.server.provider_set import (
    docker_rules,
    host_for_containers,
    images_ahead,
    local_rules,
    make_docker,
    make_local,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedProviders:
    """What there is to do with providers."""

    keeper: KeepProviders
    service: ProviderManagementService


class ServerProviderMaker:
    """Implements `ProviderMaker` for the types of this server."""

    def __init__(self, base: Foundations, doors: MoreDoors) -> None:
        self._base = base
        self._doors = doors

    def check(self, record: ProviderRecord) -> list[FieldViolation]:
        """See `ProviderMaker.check`."""
        return option_violations(record, self._base.config)

    def make(self, record: ProviderRecord) -> Equipped:
        """See `ProviderMaker.make`."""
        if violations := self.check(record):
            raise InvalidFieldsError(violations)
        base, config = self._base, config_of(record, self._base.config)
        if not isinstance(config, DockerProviderConfig):
            # Each provider looks after whatever is in its directory.
            workers = base.data_dir.workers_of(record.name)
            provider = make_local(config, record.name, workers, base.cluster_id)
            return Equipped(provider=provider, rules=local_rules(config), make_way=_nothing)

        async def make_way() -> None:
            host = await host_for_containers(config)
            await self._doors.lead(record.name, host, is_given=bool(config.server_host))

        is_default = not base.config.local.enabled
        return Equipped(
            provider=make_docker(config, record.name, base.cluster_id, is_default=is_default),
            rules=docker_rules(config),
            ahead=images_ahead(config),
            make_way=make_way,
        )

    def place(self, record: ProviderRecord) -> object:
        """See `ProviderMaker.place`."""
        if record.type is not ProviderType.DOCKER:
            return None
        return {name: record.options.get(name) for name in ("host", "context")}


def manage_providers(
    base: Foundations,
    plane: ControlPlane,
    doors: MoreDoors,
    on_failure: Callable[[str, BaseException], None],
) -> ManagedProviders:
    """Joins the parts. Nothing runs yet."""
    maker = ServerProviderMaker(base, doors)
    keeper = KeepProviders(
        parts=ProviderParts(
            store=base.store, journal=plane.journal, roster=plane.roster, watch=plane.watch
        ),
        maker=maker,
        builtins=[each.name for each in base.providers],
        on_failure=on_failure,
    )
    signals = base.neighbours.signals
    if signals is not None:
        signals.listen(Topic.PROVIDERS, lambda _: keeper.notify())
    manage = ManageProviders(
        store=base.store,
        roster=plane.roster,
        keeper=keeper,
        maker=maker,
        clock=base.clock,
        signals=signals,
    )
    listing = ListProviders(pool=plane.pool, keeper=keeper, clock=base.clock)
    return ManagedProviders(keeper=keeper, service=ProviderManagementService(listing, manage))


async def _nothing() -> None:
    """Local workers come to where the server listens for workers anyhow."""
