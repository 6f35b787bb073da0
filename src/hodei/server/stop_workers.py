"""Drains and stops the workers of this host at a clean stop of its server."""

import asyncio

import structlog

from hodei.kernel.errors import HodeiError
from hodei.server.bootstrap import ControlPlane, Foundations

log = structlog.get_logger()

_LEAVE_WITHIN_S = 5.0
"""What an agent without jobs gets to end by itself before it is taken down."""


async def stop_local_workers(base: Foundations, plane: ControlPlane) -> None:
    """Lets local workers finish within the grace, then takes down what is left.

    A job that does not end within the grace is lost to its attempt: the queue has it again when
    its retries allow, and its reason says so when they do not.
    """
    await plane.pool.close()
    local = {p.name for p in base.providers if p.capabilities().is_on_this_host}
    members = [each for each in plane.fleet.members() if each.worker.provider in local]
    # One that is still on its way has nothing to finish.
    draining = [each for each in members if each.link is not None or each.jobs]
    for member in draining:
        try:
            await plane.operators.drain.drain(member.worker.id, by="the server: it stops")
        except HodeiError as error:
            log.info("drain_skipped", worker_id=member.worker.id, message=str(error))
    subscription = plane.bus.follow(None)
    busy = any(member.jobs for member in draining)
    grace_s = base.config.stop_grace_s if busy else _LEAVE_WITHIN_S
    try:
        async with asyncio.timeout(grace_s):
            while any(plane.fleet.get(member.worker.id) for member in draining):
                await subscription.take()
    except TimeoutError:
        log.warning("grace_over", grace_s=grace_s)
    finally:
        plane.bus.unfollow(subscription)
    async with asyncio.TaskGroup() as group:
        for member in members:
            message = "the server was stopped, and the grace was over"
            group.create_task(
                plane.ender.end(
                    member.worker.id,
                    why=None,
                    message=message,
                )
            )
