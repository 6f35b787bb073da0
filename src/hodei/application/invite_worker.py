"""Gives somebody what is needed to start a worker by hand."""

from typing import Final

import structlog

from hodei.application.bootstraps import Bootstraps, Shape
from hodei.application.journal import Journal, worker_write
from hodei.application.one_time_passwords import OneTimePasswords
from hodei.domain.workers.events import WorkerProvisioningRequested
from hodei.kernel.ids import ProviderName, WorkerId
from hodei.ports.providers import Bootstrap

log = structlog.get_logger()

STATIC_PROVIDER: Final = ProviderName("static")
"""Of workers that somebody starts by hand."""


class InviteWorker:
    """The use case of a worker that no provider makes: there is nothing to wait for or to undo."""

    def __init__(
        self, *, journal: Journal, passwords: OneTimePasswords, bootstraps: Bootstraps
    ) -> None:
        self._journal = journal
        self._passwords = passwords
        self._bootstraps = bootstraps

    async def invite(self, *, name: str, labels: dict[str, str], worker_id: WorkerId) -> Bootstrap:
        """What the agent is to be given, within the password's life.

        Raises:
            StoreUnavailableError: It is not known whether the worker is expected.
        """
        at = self._journal.now()
        event = WorkerProvisioningRequested(
            worker_id=worker_id,
            provider=STATIC_PROVIDER,
            slots=1,
            labels=labels,
            offer=self._passwords.offer(worker_id, at),
        )
        await self._journal.commit(
            at=at, workers=[worker_write(None, [event], at)], correlation_id=worker_id
        )
        log.info("worker_requested", worker_id=worker_id, provider=STATIC_PROVIDER)
        shape = Shape(name=name, labels=labels)
        return self._bootstraps.write(worker_id, self._bootstraps.doors, shape)
