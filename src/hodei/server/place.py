"""A server's place among others, and all that depends on it."""

from hodei.application.fleet import Fleet
from hodei.application.forget_streams import ForgetStreams
from hodei.application.hold_duties import HoldDuties, PlaceHooks
from hodei.application.invite_worker import STATIC_PROVIDER
from hodei.application.journal import Journal
from hodei.application.keep_pool import PoolKeeper
from hodei.application.watch_workers import WatchWorkers
from hodei.domain.cluster.duties import CLOCK, UPKEEP, Duty, host_duty, provider_duty
from hodei.kernel.clock import IdSource
from hodei.kernel.ids import ProviderName
from hodei.ports.cluster import ClusterView, ServerEntry
from hodei.ports.signals import Topic
from hodei.server.neighbours import Neighbours
from hodei.server.workflows import WorkflowPlane


def duties_of(name: str, providers: list[ProviderName]) -> tuple[Duty, ...]:
    """What a server of this name with these providers can do."""
    kept = [provider_duty(provider) for provider in (*providers, STATIC_PROVIDER)]
    return (CLOCK, UPKEEP, host_duty(name), *kept)


def place_hooks(
    neighbours: Neighbours,
    *,
    journal: Journal,
    fleet: Fleet,
    pool: PoolKeeper,
    watch: WatchWorkers,
    workflows: WorkflowPlane,
) -> PlaceHooks:
    """What depends on the place."""
    shared = neighbours.shared
    forgetter = ForgetStreams(journal=journal, fleet=fleet)

    async def let_go() -> None:
        # Before others are told how long its workers have been silent.
        fleet.forgive_pause()
        await pool.let_go()
        await watch.close()
        await workflows.cut()
        fleet.cut_streams("this server has lost its place among the others")

    async def looked(view: ClusterView) -> None:
        if shared is not None:
            shared.clock.follow(view.at)
        await forgetter.forget()

    def joined() -> None:
        if shared is not None:
            shared.signals.send(Topic.SERVERS)

    return PlaceHooks(streams=fleet.streams, let_go=let_go, looked=looked, joined=joined)


def hold_place(
    neighbours: Neighbours, entry: ServerEntry, hooks: PlaceHooks, ids: IdSource
) -> HoldDuties | None:
    """The part that keeps the place; None where there are no others."""
    if (shared := neighbours.shared) is None:
        return None
    hold = HoldDuties(
        membership=shared.membership,
        standing=neighbours.standing,
        entry=entry,
        clock=neighbours.clock,
        ids=ids,
        hooks=hooks,
    )
    shared.signals.listen(Topic.SERVERS, lambda _: hold.look_now())
    return hold
