"""Has what is left behind at providers removed, or shown."""

import structlog

from hodei.application.standing import Standing
from hodei.durable import payloads
from hodei.durable.failures import RunFailedError
from hodei.durable.runner.client import DurableClient, StartRequest
from hodei.kernel.clock import IdSource
from hodei.kernel.errors import AlreadyExistsError, NotFoundError, UnavailableError
from hodei.ports.durable_rows import RunId
from hodei.ports.providers import Provider
from hodei.sagas.clean_up_orphans import NAME, CleanedUp, CleanUp, Outcome

log = structlog.get_logger()


class CleanUpFailedError(UnavailableError):
    """The provider could not be asked for what it has; the message says why."""

    code = "CLEAN_UP_FAILED"


class CleanUpOrphans:
    """The use case of operators, and of every look that finds what no row tells of."""

    def __init__(self, *, client: DurableClient, standing: Standing, ids: IdSource) -> None:
        self._client = client
        self._standing = standing
        self._ids = ids

    def order(self, provider: Provider, *, dry_run: bool = False) -> CleanUp:
        """What is to be looked through, as far as this server sees it."""
        home = self._standing.home_of(provider)
        return CleanUp(provider=provider.name, home=home, dry_run=dry_run)

    async def begin(self, provider: Provider) -> RunId:
        """Sees to it that what is left behind is being removed; returns the run that does.

        Raises:
            StoreUnavailableError: It is not known to be.
        """
        order = self.order(provider)
        workflow_id = f"clean-up-{provider.name}"
        if order.home:
            workflow_id += f"-at-{order.home}"
        request = StartRequest(type=NAME, workflow_id=workflow_id, arguments=(order,))
        while True:
            try:
                return (await self._client.start(request)).run_id
            except AlreadyExistsError:
                log.debug("clean_up_under_way", provider=provider.name)
            try:
                return (await self._client.find(workflow_id)).run_id
            except NotFoundError:
                continue

    async def clean_up(self, provider: Provider) -> list[Outcome]:
        """Removes what is left behind, and says what became of each.

        Raises:
            CleanUpFailedError: It is not known what there is.
        """
        return await self._outcomes(provider, await self.begin(provider))

    async def look(self, provider: Provider) -> list[Outcome]:
        """What would be removed.

        Raises:
            CleanUpFailedError: It is not known what there is.
        """
        order = self.order(provider, dry_run=True)
        name = f"look-for-orphans-{self._ids.new()}"
        request = StartRequest(type=NAME, workflow_id=name, arguments=(order,))
        return await self._outcomes(provider, (await self._client.start(request)).run_id)

    async def _outcomes(self, provider: Provider, run_id: RunId) -> list[Outcome]:
        try:
            result = await self._client.result(run_id)
        except RunFailedError as error:
            cause = error.failure.cause or error.failure
            message = f"provider {provider.name} was not cleaned up: {cause.message}"
            raise CleanUpFailedError(message) from error
        what = f"result of {NAME}"
        cleaned: CleanedUp = payloads.decode(result, CleanedUp, what=what)
        return list(cleaned.outcomes)
