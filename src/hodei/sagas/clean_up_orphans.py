"""Removes the instances of a provider that no row tells of.

Nothing is undone when it fails: what is removed was nobody's. It is a run so that it goes on, and an
operator sees what was removed and what could not be.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from hodei.durable.definitions import Activity, limits, workflow
from hodei.durable.failures import ActivityFailedError
from hodei.durable.loop.context import Context
from hodei.durable.retry import retry
from hodei.kernel.ids import ProviderName, WorkerId
from hodei.sagas.queues import near

NAME: Final = "clean-up-orphans"
"""Of the workflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanUp:
    """What is to be looked through."""

    provider: ProviderName
    home: str = ""
    """The name of the server whose host it is about; empty where every server can see it."""
    dry_run: bool = False
    """Only look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """An instance without a row."""

    provider: ProviderName
    worker_id: WorkerId
    """That it was made for."""
    data: dict[str, str]
    """What the provider needs to find it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a look has found."""

    orphans: tuple[Orphan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one."""

    orphan: Orphan
    is_removed: bool
    message: str = ""
    """Why it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanedUp:
    """What became of all."""

    outcomes: tuple[Outcome, ...] = field(default_factory=tuple)


_AGAIN: Final = retry(6, max_s=15.0)
"""Half a minute; what is left then is found by the next look."""
_LIMITS: Final = limits(heartbeat_s=6.0)

LOOK: Final = Activity(name="look-for-orphans", returns=Found, retry=_AGAIN, limits=_LIMITS)
REMOVE: Final = Activity(name="remove-orphan", returns=bool, retry=_AGAIN, limits=_LIMITS)
"""False: somebody has a row for it by now, so it was left alone."""


@workflow(name=NAME, version=1)
async def clean_up_orphans(ctx: Context, order: CleanUp) -> CleanedUp:
    """See the module."""
    found = await ctx.activity(near(LOOK, order.provider, order.home), order)
    if order.dry_run:
        looked = "it is an orphan, and was only looked at"
        outcomes = [Outcome(orphan=e, is_removed=False, message=looked) for e in found.orphans]
        return CleanedUp(outcomes=tuple(outcomes))
    async with asyncio.TaskGroup() as group:
        removals = [group.create_task(_remove(ctx, order, each)) for each in found.orphans]
    return CleanedUp(outcomes=tuple(each.result() for each in removals))


async def _remove(ctx: Context, order: CleanUp, orphan: Orphan) -> Outcome:
    try:
        is_removed = await ctx.activity(near(REMOVE, order.provider, order.home), orphan)
    except ActivityFailedError as error:
        return Outcome(orphan=orphan, is_removed=False, message=error.failure.message)
    message = "" if is_removed else "it is a worker's by now"
    return Outcome(orphan=orphan, is_removed=is_removed, message=message)
