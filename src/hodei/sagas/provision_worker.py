"""Brings one worker up, or leaves nothing of it behind.

Reserve the capacity and offer a one-time password, make the instance, wait until it has enrolled and
its stream is up; undone in reverse.
"""

from dataclasses import dataclass
from types import NoneType
from typing import Final

from hodei.domain.placement.kinds import WorkerKind
from hodei.durable.definitions import Activity, OnCancel, limits, workflow
from hodei.durable.failures import SCHEDULE_TO_START, ActivityFailedError, Ended
from hodei.durable.loop.context import Context
from hodei.durable.retry import retry
from hodei.kernel.ids import JobId, ProviderName, WorkerId
from hodei.sagas.queues import near

NAME: Final = "provision-worker"
"""Of the workflow. The workflow id of a run is the id of its worker."""

CALLED_OFF: Final = "NOBODY"
"""The type of the failure of a step whose worker somebody wanted no more."""

HEARTBEAT_S: Final = 6.0
"""A server that dies in a step is noticed after so long, and another goes on."""

_AGAIN: Final = retry(10, initial_s=0.5, max_s=5.0)
"""Of a step whose server died, or whose store was away. What the provider refuses is final at once:
whether another worker is worth a try is for the pool to say, which sees all of them."""

_UNDO_AGAIN: Final = retry(20, max_s=60.0)
"""A quarter of an hour; then an operator has to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOrder:
    """A worker that is wanted."""

    worker_id: WorkerId
    provider: ProviderName
    home: str = ""
    """The name of the server on whose host it is to live; empty where every server can see it."""
    for_job: JobId | None = None
    """The job whose waiting asked for it; None for the warm pool."""
    kind: WorkerKind | None = None
    """What it is made for; None where all workers of the provider are alike."""
    enroll_timeout_s: float
    """It is given up when it takes no jobs after so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyUndone:
    """Why a worker is undone that was to come up."""

    message: str
    has_failed: bool
    """False: somebody wanted it no more."""


_LIMITS: Final = limits(heartbeat_s=HEARTBEAT_S)

PREPARE: Final = Activity(name="prepare-worker", returns=float, retry=_AGAIN, limits=_LIMITS)
"""Gets what takes long, such as an image; returns how many seconds it took."""
RESERVE: Final = Activity(name="reserve-worker", returns=NoneType, retry=_AGAIN, limits=_LIMITS)
"""Writes down that the worker is wanted, and the offer of a one-time password."""
MAKE: Final = Activity(name="make-instance", returns=NoneType, retry=_AGAIN, limits=_LIMITS)
AWAIT: Final = Activity(
    name="await-enrolment",
    returns=NoneType,
    retry=_AGAIN,
    limits=_LIMITS,
    # It only looks: nothing of it can meet what undoes the rest.
    on_cancel=OnCancel.TRY,
)
"""By any server: the worker may have gone to another than the one that made it."""
DESTROY: Final = Activity(name="destroy-instance", returns=NoneType, limits=_LIMITS)
"""Returns once nothing of the instance can run any more."""
GIVE_BACK: Final = Activity(name="give-worker-back", returns=NoneType, limits=_LIMITS)
"""Ends the worker's row: its capacity is free again, its password opens no door."""


@workflow(name=NAME, version=2)
async def provision_worker(ctx: Context, order: WorkerOrder, is_prepared: bool) -> None:  # noqa: FBT001 - stored as a list of arguments
    """See the module. Returns once the worker takes jobs.

    Args:
        ctx: Of the run.
        order: The worker.
        is_prepared: Whether its provider has all that it needs, as far as it knows.
    """
    await _bring_up(ctx, order, is_prepared=is_prepared)


@workflow(name=NAME, version=1)
async def provision_unprepared_worker(ctx: Context, order: WorkerOrder) -> None:
    """For runs that began before a provider was asked whether there is anything to prepare."""
    await _bring_up(ctx, order, is_prepared=False)


PROVISION_WORKER: Final = (provision_worker, provision_unprepared_worker)
"""Every version of which there may be runs."""


async def _bring_up(ctx: Context, order: WorkerOrder, *, is_prepared: bool) -> None:
    why = WhyUndone(message="nobody wants it any more", has_failed=False)
    # Before there is a row, so that no time runs against it and there is nothing to undo.
    prepared_s = 0.0
    if order.kind is not None and not is_prepared:
        prepared_s = await ctx.activity(near(PREPARE, order.provider, order.home), order)
    async with ctx.saga() as saga:
        try:
            await saga.step(
                lambda: ctx.activity(near(RESERVE, order.provider, order.home), order),
                compensate=lambda: ctx.activity(GIVE_BACK, order, why),
                name="reservation",
                retry=_UNDO_AGAIN,
            )
            await saga.step(
                lambda: _make(ctx, order, prepared_s),
                compensate=lambda: _destroy(ctx, order, why),
                name="instance",
                retry=_UNDO_AGAIN,
            )
            await ctx.activity(AWAIT, order)
        except ActivityFailedError as error:
            has_failed = error.failure.type != CALLED_OFF
            why = WhyUndone(message=error.failure.message, has_failed=has_failed)
            raise


async def _make(ctx: Context, order: WorkerOrder, prepared_s: float) -> None:
    try:
        await ctx.activity(near(MAKE, order.provider, order.home), order, prepared_s)
    except ActivityFailedError as error:
        if error.ended is not Ended.TIMED_OUT:
            raise
        # Its host is silent; but the instance may have been made, and go to another server.


async def _destroy(ctx: Context, order: WorkerOrder, why: WhyUndone) -> None:
    try:
        await ctx.activity(near(DESTROY, order.provider, order.home), order, why)
    except ActivityFailedError as error:
        if error.failure.type != SCHEDULE_TO_START:
            raise
        # Its host is gone. No server lets the worker in once its row has ended; should the host
        # come back, what is left there is an orphan.
