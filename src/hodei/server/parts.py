"""Starts the parts of a control plane that run by themselves, and stops them in reverse."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

import structlog

from hodei.application.hold_duties import HoldDuties
from hodei.application.keep_providers import KeepProviders
from hodei.application.prepare_kinds import PrepareKinds
from hodei.kernel.errors import UnavailableError
from hodei.lifecycle.service import BackgroundLoop
from hodei.server.bootstrap import ControlPlane, Foundations
from hodei.server.provider_set import kinds_ahead
from hodei.server.upkeep import Upkeep
from hodei.server.workflows import run_workflows

log = structlog.get_logger()


async def run_parts(
    base: Foundations,
    plane: ControlPlane,
    keeper: KeepProviders,
    stack: AsyncExitStack,
    on_failure: Callable[[str, BaseException], None],
) -> None:
    """Loads what is stored and starts every loop; the stack stops them.

    Raises:
        ProviderUnavailableError: A provider that is enabled cannot be used.
    """
    if plane.hold is not None:
        await _join(base, plane.hold, stack, on_failure)
    await plane.journal.start()
    stack.push_async_callback(plane.journal.close)
    plane.fleet.load(await base.store.living_workers(), list(plane.journal.held.values()))
    await plane.orphans.give_back()
    for provider in base.providers:
        await provider.start()
        stack.push_async_callback(provider.stop)
    stack.push_async_callback(plane.watch.close)
    # Before any job is placed: some may be for workers of these.
    stack.push_async_callback(keeper.close)
    await keeper.look()
    # Before whoever starts runs: they ask which of them this server moves.
    await run_workflows(plane.workflows, stack, on_failure)
    upkeep = Upkeep(authority=base.authority, clock=base.clock)
    runs = [
        ("dispatcher", plane.dispatcher.run),
        ("due jobs", plane.due.run),
        ("leases", plane.watch.run),
        ("pool", plane.pool.run),
        ("upkeep", upkeep.run),
        ("retention", plane.retention.run),
        ("providers", keeper.run),
    ]
    if ahead := kinds_ahead(base.config):
        prepare = PrepareKinds(providers=base.providers, kinds=ahead)
        runs.append(("images", prepare.run))
    if base.neighbours.shared is not None:
        runs.append(("events of others", partial(plane.journal.feed.run, base.ids.fraction)))
    runs += [(f"watch of {p.name}", partial(plane.watch.watch, p)) for p in base.providers]
    for name, run in runs:
        loop = BackgroundLoop(name, run, on_failure=on_failure)
        await loop.start()
        stack.push_async_callback(loop.stop)
    stack.push_async_callback(plane.pool.close)
    plane.dispatcher.notify()


async def _join(
    base: Foundations,
    hold: HoldDuties,
    stack: AsyncExitStack,
    on_failure: Callable[[str, BaseException], None],
) -> None:
    """Takes a place among the others: the first that is had and the last that is left."""
    shared = base.neighbours.shared
    assert shared is not None
    stack.push_async_callback(shared.membership.close)
    await hold.start()
    stack.push_async_callback(_leave, hold)
    for name, run in (("place", hold.run), ("signals", shared.carry_signals)):
        loop = BackgroundLoop(name, run, on_failure=on_failure)
        await loop.start()
        stack.push_async_callback(loop.stop)


async def _leave(hold: HoldDuties) -> None:
    try:
        await hold.leave()
    except UnavailableError as error:
        # They find out by themselves.
        log.warning("place_not_left", message=str(error))
