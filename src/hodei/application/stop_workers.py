"""Drains and stops the workers of this host at a clean stop of its server."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from hodei.application.bus import EventBus
from hodei.application.end_worker import EndWorker
from hodei.application.fleet import Fleet, Member
from hodei.application.keep_pool import PoolHands, PoolKeeper
from hodei.domain.workers.states import WorkerState
from hodei.kernel.errors import HodeiError
from hodei.kernel.ids import ProviderName, WorkerId
from hodei.ports.providers import Provider

log = structlog.get_logger()

_UNDO_WITHIN_S = 30.0
"""What the undoing of workers gets that are still on their way; the next start goes on with it."""
_COMING = frozenset({WorkerState.REQUESTED, WorkerState.STARTING})
_LEAVE_WITHIN_S = 5.0
"""What an agent without jobs gets to end by itself before it is taken down."""


class StopWorkers:
    """The use case of a stop after which nothing of this server is to be left."""

    def __init__(
        self,
        *,
        bus: EventBus,
        fleet: Fleet,
        pool: PoolKeeper,
        hands: PoolHands,
        ender: EndWorker,
        providers: Mapping[ProviderName, Provider],
    ) -> None:
        self._standing = fleet.standing
        self._bus = bus
        self._fleet = fleet
        self._pool = pool
        self._provisioner = hands.provisioner
        self._drainer = hands.drainer
        self._ender = ender
        self._providers = providers

    async def stop(self, *, grace_s: float) -> None:
        """Lets local workers finish within the grace, then takes down what is left.

        A job that does not end within the grace is lost to its attempt: the queue has it again
        when its retries allow, and its reason says so when they do not.
        """
        local = [name for name in self._providers if self._is_local(name)]
        begun = self._pool.begun(local)
        await self._pool.close()
        members = [
            each
            for each in self._fleet.members()
            if self._is_local(each.worker.provider) and self._standing.reaches(each.worker)
        ]
        # One that is still on its way has nothing to finish.
        begun += [each.worker.id for each in members if each.worker.state in _COMING]
        draining = [each for each in members if each.link is not None or each.jobs]
        busy = any(member.jobs for member in draining)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._call_off(begun))
            await self._drain(draining)
            await self._wait_for(draining, grace_s=grace_s if busy else _LEAVE_WITHIN_S)
        async with asyncio.TaskGroup() as group:
            for member in members:
                group.create_task(
                    self._ender.end(
                        member.worker.id,
                        why=None,
                        message="the server was stopped, and the grace was over",
                    )
                )

    def _is_local(self, name: ProviderName) -> bool:
        provider = self._providers.get(name)
        return provider is not None and provider.capabilities().is_on_this_host

    async def _call_off(self, begun: Sequence[WorkerId]) -> None:
        try:
            async with asyncio.timeout(_UNDO_WITHIN_S):
                await self._provisioner.call_off(set(begun), reason="the server was stopped")
        except TimeoutError:
            log.warning("workers_not_called_off", waited_s=_UNDO_WITHIN_S)

    async def _drain(self, members: Sequence[Member]) -> None:
        for member in members:
            try:
                await self._drainer.drain(member.worker.id, by="the server: it stops")
            except HodeiError as error:
                log.info("drain_skipped", worker_id=member.worker.id, message=str(error))

    async def _wait_for(self, members: Sequence[Member], *, grace_s: float) -> None:
        subscription = self._bus.follow(f"worker:{member.worker.id}" for member in members)
        try:
            async with asyncio.timeout(grace_s):
                while any(self._fleet.get(member.worker.id) for member in members):
                    await subscription.take()
        except TimeoutError:
            log.warning("grace_over", grace_s=grace_s)
        finally:
            self._bus.unfollow(subscription)
