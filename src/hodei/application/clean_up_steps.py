"""The steps of cleaning up, as `hodei.sagas.clean_up_orphans` asks for them."""

from collections.abc import Mapping

import structlog

from hodei.application.fleet import Fleet
from hodei.application.journal import Journal
from hodei.durable.failures import ApplicationError
from hodei.durable.runner.worker import Attempt, Handler
from hodei.kernel.ids import ProviderName
from hodei.ports.providers import Handle, Provider
from hodei.sagas.clean_up_orphans import LOOK, REMOVE, CleanUp, Found, Orphan

log = structlog.get_logger()


class CleanUpSteps:
    """Carries out the activities of the saga."""

    def __init__(
        self, *, journal: Journal, fleet: Fleet, providers: Mapping[ProviderName, Provider]
    ) -> None:
        self._journal = journal
        self._fleet = fleet
        self._providers = providers

    def handlers(self) -> dict[str, Handler]:
        """By the names of the activities."""
        return {LOOK.name: self.look, REMOVE.name: self.remove}

    async def look(self, _: Attempt, order: CleanUp) -> Found:
        """The instances of a provider that no living worker has.

        Raises:
            ProviderUnavailableError: It cannot be asked; so with the store.
        """
        owned = await self._provider(order.provider).list_owned()
        # Another server may have asked for one of them this very moment.
        await self._journal.feed.refresh()
        orphans = [
            Orphan(provider=order.provider, worker_id=each.worker_id, data=each.data)
            for each in owned
            if self._fleet.get(each.worker_id) is None
        ]
        return Found(orphans=tuple(orphans))

    async def remove(self, _: Attempt, orphan: Orphan) -> bool:
        """Destroys an instance, unless a worker has it by now.

        Raises:
            ProviderUnavailableError: It is not known to be gone.
        """
        await self._journal.feed.refresh()
        if self._fleet.get(orphan.worker_id) is not None:
            return False
        provider = self._provider(orphan.provider)
        handle = Handle(provider=orphan.provider, worker_id=orphan.worker_id, data=orphan.data)
        await provider.destroy(handle)
        log.warning("orphan_removed", provider=orphan.provider, worker_id=orphan.worker_id)
        return True

    def _provider(self, name: ProviderName) -> Provider:
        provider = self._providers.get(name)
        if provider is None:
            raise ApplicationError(f"there is no provider {name} here any more", is_final=True)
        return provider
