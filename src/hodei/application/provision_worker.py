"""Has workers brought up: starts the saga of each, and hears how it ends."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

import structlog

from hodei.application.provision_steps import Blame
from hodei.durable import payloads
from hodei.durable.failures import Failure, RunFailedError
from hodei.durable.runner.client import DurableClient, StartRequest
from hodei.kernel.clock import IdSource
from hodei.kernel.errors import HodeiError, NotFoundError, WrongStateError
from hodei.kernel.ids import ProviderName, WorkerId
from hodei.ports.durable import RunFilter
from hodei.ports.durable_rows import OPEN, RunId, RunStatus
from hodei.ports.stores import StoreUnavailableError
from hodei.sagas.provision_worker import NAME, WorkerOrder

log = structlog.get_logger()

_LOOK_AGAIN_S = 1.0
"""Wait before a store that was not available is asked again."""
_DRAWS = 64
"""Of ids, until one is of a run that this server itself moves on."""
_PAGE = 500


class ProvisioningFailedError(HodeiError):
    """The worker did not come up; what there was of it is gone."""

    code = "PROVISIONING_FAILED"

    def __init__(self, message: str, *, blame: Blame = Blame.PROVIDER) -> None:
        self.blame = blame
        super().__init__(message)


class ProvisionWorker:
    """The use case of every worker that a provider makes.

    Args:
        client: Of the saga engine.
        ids: Draws the ids of workers.
        is_near: Whether this server moves the run of a workflow id. Such a run goes from step to
            step without a word between servers.
    """

    def __init__(
        self, *, client: DurableClient, ids: IdSource, is_near: Callable[[str], bool]
    ) -> None:
        self._client = client
        self._ids = ids
        self._is_near = is_near

    def new_id(self, provider: ProviderName) -> WorkerId:
        """The id of a worker that is to be."""
        left = _DRAWS
        while True:
            worker_id = WorkerId(f"{provider}-{self._ids.new()[-12:]}")
            left -= 1
            if left == 0 or self._is_near(worker_id):
                return worker_id

    async def provision(self, order: WorkerOrder, *, is_prepared: bool = False) -> None:
        """Returns once the worker takes jobs.

        One that was begun before is listened to, whatever was known of its provider then. Cancelled,
        it only stops to listen: the saga goes on, on whatever server.

        Raises:
            ProvisioningFailedError: It did not come up; the message says why.
            StoreUnavailableError: It is not known whether it was begun; it may be begun again.
        """
        started = await self._client.start(
            StartRequest(
                type=NAME,
                workflow_id=order.worker_id,
                request_id=order.worker_id,
                arguments=(order, is_prepared),
            )
        )
        await self._end_of(started.run_id)

    async def under_way(self) -> list[WorkerOrder]:
        """What was begun by anybody, and has not ended.

        Raises:
            StoreUnavailableError: Nobody can say.
        """
        orders: list[WorkerOrder] = []
        cursor = ""
        wanted = RunFilter(type=NAME, statuses=tuple(OPEN))
        while True:
            page = await self._client.list_runs(wanted, limit=_PAGE, cursor=cursor)
            for run in page.runs:
                if run.status is RunStatus.RUNNING:
                    orders += await self._order(run.run_id)
            if not (cursor := page.next_cursor):
                return orders

    async def call_off(self, worker_ids: Iterable[WorkerId], *, reason: str) -> None:
        """Undoes what is under way of these; returns once nothing of them is left."""
        async with asyncio.TaskGroup() as group:
            for worker_id in worker_ids:
                group.create_task(self._call_off(worker_id, reason))

    async def _call_off(self, worker_id: WorkerId, reason: str) -> None:
        try:
            run = await self._client.find(worker_id)
            await self._client.cancel(run.run_id, reason=reason, by="the server")
        except (NotFoundError, WrongStateError):
            return
        except StoreUnavailableError as error:
            log.warning("worker_not_called_off", worker_id=worker_id, message=str(error))
            return
        with suppress(ProvisioningFailedError):
            await self._end_of(run.run_id)

    async def _order(self, run_id: RunId) -> list[WorkerOrder]:
        """Of a run; none of one that is gone."""
        beginning = await self._client.beginning(run_id)
        if beginning is None:
            return []
        is_told = beginning.definition_version > 1
        wanted = tuple[WorkerOrder, bool] if is_told else tuple[WorkerOrder]
        order, *_ = payloads.decode(beginning.input, wanted, what=f"input of {NAME}")
        return [order]

    async def _end_of(self, run_id: RunId) -> None:
        while True:
            try:
                await self._client.result(run_id)
            except StoreUnavailableError as error:
                log.warning("durable_store_unavailable", part="provisioning", error=str(error))
                await asyncio.sleep(_LOOK_AGAIN_S)
            except RunFailedError as error:
                raise _failed(error.failure) from error
            else:
                return


def _failed(failure: Failure) -> ProvisioningFailedError:
    if failure.type in {RunStatus.CANCELLED, RunStatus.TERMINATED}:
        return ProvisioningFailedError(failure.message, blame=Blame.NOBODY)
    blamed = failure
    while blamed.type not in set(Blame) and blamed.cause is not None:
        blamed = blamed.cause
    if blamed.type in set(Blame):
        return ProvisioningFailedError(blamed.message, blame=Blame(blamed.type))
    return ProvisioningFailedError(str(failure))
