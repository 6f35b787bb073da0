"""Sends this server's workers to the others before it stops."""

import asyncio

import structlog

from hodei.application.fleet import Fleet
from hodei.application.links import DrainOrder
from hodei.kernel.clock import IdSource
from hodei.lifecycle.wake import Wake

log = structlog.get_logger()

_SPREAD_S = 1.0
"""Within which they leave, so that the others do not get all of them at once."""


class MoveWorkers:
    """The use case of a server that stops and is not the last one."""

    def __init__(self, *, fleet: Fleet, ids: IdSource) -> None:
        self._fleet = fleet
        self._ids = ids
        self._wake = Wake()
        fleet.on_change(self._wake.notify)

    async def move(self, *, within_s: float) -> None:
        """Tells every worker to go; returns once they have, or the time is up.

        What they hold they take with them: their jobs run on.
        """
        for member in self._fleet.members():
            if member.link is not None:
                after_s = _SPREAD_S * self._ids.fraction()
                member.link.send(DrainOrder(terminate=False, reconnect_after_s=after_s))
        try:
            async with asyncio.timeout(within_s):
                while self._fleet.streams():
                    await self._wake.wait()
        except TimeoutError:
            log.warning("workers_not_moved", workers=self._fleet.streams())
