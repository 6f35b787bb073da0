"""Lets a worker finish what it has and end."""

import structlog

from hodei.application.fleet import Fleet
from hodei.application.journal import Journal
from hodei.application.links import DrainOrder
from hodei.domain.workers import decide
from hodei.domain.workers.worker import Worker
from hodei.kernel.ids import WorkerId

log = structlog.get_logger()


class DrainWorker:
    """The use case behind `DrainWorker`, of the pool's tidying, and of a worker that leaves."""

    def __init__(self, *, journal: Journal, fleet: Fleet) -> None:
        self._journal = journal
        self._fleet = fleet

    async def drain(self, worker_id: WorkerId, *, by: str) -> Worker:
        """Gives it no more jobs. Idempotent.

        Whichever server has its stream hears of it, and has its agent told.

        Raises:
            NotFoundError: There is no such worker.
            WrongStateError: It has ended.
        """
        worker = await self._journal.change_worker(
            worker_id, lambda worker: decide.drain(worker, by=by)
        )
        log.info("worker_draining", worker_id=worker_id, by=by)
        return worker

    def tell(self, worker_id: WorkerId) -> None:
        """Tells its agent, where this server has its stream; one that comes back is told then."""
        member = self._fleet.get(worker_id)
        if member is not None and member.link is not None:
            member.link.send(DrainOrder(terminate=True))
