"""The composition root: builds every part of a control plane and joins them."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hodei.adapters.logstore import SegmentLogStore
from hodei.adapters.pki import FileCertificateAuthority
from hodei.adapters.sqlite import SqliteStore
from hodei.api.grpc.jobs import JobUseCases
from hodei.api.grpc.worker_agent import WorkerUseCases
from hodei.api.grpc.workers import OperatorUseCases
from hodei.application.bootstraps import Bootstraps
from hodei.application.bus import EventBus
from hodei.application.cancel_job import CancelJob
from hodei.application.clean_up_orphans import CleanUpOrphans
from hodei.application.clean_up_steps import CleanUpSteps
from hodei.application.connect_worker import ConnectWorker, Rhythm
from hodei.application.counters import Counters
from hodei.application.dispatch import Dispatcher
from hodei.application.doors import Doors
from hodei.application.drain_worker import DrainWorker
from hodei.application.end_worker import EndWorker
from hodei.application.enroll_worker import EnrollWorker
from hodei.application.explain_job import ExplainJob
from hodei.application.explain_pending import ExplainPending
from hodei.application.fleet import Fleet
from hodei.application.follow_events import FollowEvents
from hodei.application.give_back_orphans import GiveBackOrphans
from hodei.application.hold_duties import HoldDuties
from hodei.application.invite_worker import InviteWorker
from hodei.application.journal import Journal
from hodei.application.keep_pool import PoolHands, PoolKeeper
from hodei.application.list_servers import ListServers
from hodei.application.log_hub import LogHub
from hodei.application.move_workers import MoveWorkers
from hodei.application.one_time_passwords import OneTimePasswords
from hodei.application.pool_condition import Terms
from hodei.application.provision_steps import ProvisionSteps, StepParts
from hodei.application.provision_worker import ProvisionWorker
from hodei.application.refuse_jobs import RefuseJobs
from hodei.application.retention import Retention, RetentionRules
from hodei.application.retry_job import RetryJob
from hodei.application.roster import Roster
from hodei.application.session import SessionParts
from hodei.application.stop_workers import StopWorkers
from hodei.application.submit_jobs import SubmitJobs
from hodei.application.tail_logs import TailLogs
from hodei.application.wake_due_jobs import WakeDueJobs
from hodei.application.watch_workers import Patience, WatchHands, WatchWorkers
from hodei.domain.cluster.duties import UPKEEP
from hodei.domain.placement.selection import Strategy, named
from hodei.domain.placement.worker_selection import WorkerStrategy
from hodei.kernel.clock import Clock, IdSource
from hodei.kernel.ids import ClusterId, JobId
from hodei.lifecycle.system_clock import SystemIdSource
from hodei.ports.cluster import ServerEntry
from hodei.ports.durable import DurableStore
from hodei.ports.logs import KeptLogStore
from hodei.ports.providers import Provider
from hodei.ports.signals import Topic
from hodei.ports.stores import Store
from hodei.server.config import ServerConfig
from hodei.server.data_dir import DataDir
from hodei.server.neighbours import Neighbours, meet_neighbours
from hodei.server.place import hold_place, place_hooks
from hodei.server.provider_set import address_for_containers, make_providers, rules_of
from hodei.server.reactions import Reactions
from hodei.server.sagas import built_in
from hodei.server.workflows import NOTHING, Registry, WorkflowPlane, plan_workflows
from hodei.wire.job_definition import difference

_LOOK_FOR_OUTPUT_S: Final = 1.0
"""How often those who follow a job look for output that another server may have stored, should no
word of it arrive."""
_READ_AHEAD = 64
"""Queued jobs that the dispatcher of a sole server keeps at hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundations:
    """What is there before any listener: time, chance, the stores, the CA, the providers."""

    config: ServerConfig
    data_dir: DataDir
    clock: Clock
    ids: IdSource
    cluster_id: ClusterId
    neighbours: Neighbours
    store: Store
    durable: DurableStore
    """The saga engine's, in the same database."""
    logs: KeptLogStore
    authority: FileCertificateAuthority
    providers: tuple[Provider, ...]
    container_host: str
    """By which address containers reach this server; empty where there are none."""
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """All parts that run, and the use cases that the API calls."""

    journal: Journal
    bus: EventBus
    fleet: Fleet
    roster: Roster
    dispatcher: Dispatcher
    pool: PoolKeeper
    watch: WatchWorkers
    due: WakeDueJobs
    ender: EndWorker
    orphans: GiveBackOrphans
    hold: HoldDuties | None
    """None where there is no other server."""
    mover: MoveWorkers
    stopper: StopWorkers
    retention: Retention
    tail: TailLogs
    workflows: WorkflowPlane
    jobs: JobUseCases
    workers: WorkerUseCases
    operators: OperatorUseCases


async def lay_foundations(config: ServerConfig, data_dir: DataDir) -> Foundations:
    """Opens what is on disk, and makes it at the first start.

    Raises:
        SchemaError: The store is of another release.
        HodeiError: Something on disk cannot be used; the message says what to do.
    """
    ids = SystemIdSource()
    neighbours = await meet_neighbours(config, data_dir, ids)
    clock = neighbours.clock
    cluster_id = data_dir.cluster_id(ids)
    advertised = config.advertise_host or config.worker_listen_host
    container_host = await address_for_containers(config)
    also = [container_host] if container_host else []
    authority = FileCertificateAuthority.open(
        data_dir.pki,
        cluster_id=cluster_id,
        server_names=[],
        server_addresses=[config.listen_host, config.worker_listen_host, advertised, *also],
        clock=clock,
    )
    async with AsyncExitStack() as opened:
        store, durable = await _open_stores(config, data_dir, neighbours, opened)
        logs = await _open_logs(config, data_dir, neighbours)
        opened.pop_all()
    return Foundations(
        config=config,
        data_dir=data_dir,
        clock=clock,
        ids=ids,
        cluster_id=cluster_id,
        neighbours=neighbours,
        store=store,
        durable=durable,
        logs=logs,
        authority=authority,
        providers=make_providers(config, data_dir, cluster_id),
        container_host=container_host,
        started_at=clock.now(),
    )


async def _open_stores(
    config: ServerConfig, data_dir: DataDir, neighbours: Neighbours, opened: AsyncExitStack
) -> tuple[Store, DurableStore]:
    """Of the jobs and of the saga engine; the stack closes what was opened."""
    if not config.database_url:
        data_dir.require_not_moved()
        embedded = await SqliteStore.open(data_dir.path)
        opened.push_async_callback(embedded.close)
        return embedded, embedded.durable(neighbours.clock)
    # The client of PostgreSQL takes 8 MB, which a server on SQLite does not carry.
    from hodei.adapters.postgres import PostgresStore  # noqa: PLC0415
    from hodei.adapters.postgres.runs import PostgresDurableStore  # noqa: PLC0415

    url, name, standing = config.database_url, neighbours.name, neighbours.standing
    store = await PostgresStore.open(url, server=name, member=lambda: standing.me)
    opened.push_async_callback(store.close)
    durable = await PostgresDurableStore.open(url, server=name)
    opened.push_async_callback(durable.close)
    return store, durable


async def _open_logs(
    config: ServerConfig, data_dir: DataDir, neighbours: Neighbours
) -> KeptLogStore:
    """Output lies where the jobs do: what one server has acknowledged, another can read."""
    if (shared := neighbours.shared) is None:
        return await SegmentLogStore.open(data_dir.logs, neighbours.clock)
    from hodei.adapters.postgres.logs import PostgresLogStore  # noqa: PLC0415 - as above

    return await PostgresLogStore.open(
        config.database_url,
        neighbours.clock,
        server=neighbours.name,
        on_appended=lambda job_ids: shared.signals.send(Topic.LOGS, list(job_ids), can_wait=True),
    )


def build(
    base: Foundations,
    doors: Doors,
    entry: ServerEntry,
    registry: Registry = NOTHING,
    *,
    on_failure: Callable[[str, BaseException], None],
) -> ControlPlane:
    """Joins the parts. Nothing runs yet; `on_failure` is told of a part that has failed."""
    config = base.config
    bus = EventBus()
    counters = Counters()
    hub = LogHub()
    journal = Journal(
        base.store, bus, base.clock, signals=base.neighbours.signals, on_failure=on_failure
    )
    fleet = Fleet(base.clock, journal.held, base.neighbours.standing)
    bus.listen(fleet.apply)
    passwords = OneTimePasswords(base.data_dir.otp_key(), ttl_s=config.otp_ttl_s)
    roster = Roster(fleet=fleet, clock=base.clock)
    rules = rules_of(config)
    for provider in base.providers:
        roster.put(provider, rules[provider.name], Terms())
    ender = EndWorker(
        journal=journal,
        workers=base.store,
        fleet=fleet,
        providers=roster.providers,
        ids=base.ids,
        lease_s=config.lease_s,
    )
    bootstraps = Bootstraps(authority=base.authority, passwords=passwords, doors=doors)
    steps = ProvisionSteps(
        StepParts(
            journal=journal,
            store=base.store,
            bus=bus,
            passwords=passwords,
            bootstraps=bootstraps,
            ender=ender,
            providers=roster.providers,
        )
    )
    cleaning = CleanUpSteps(journal=journal, fleet=fleet, providers=roster.providers)
    sagas = built_in(steps, cleaning, providers=roster.providers, standing=base.neighbours.standing)
    workflows = plan_workflows(
        sagas.beside(registry), base.durable, clock=base.clock, ids=base.ids, counters=counters
    )
    provisioner = ProvisionWorker(client=workflows.client, ids=base.ids, is_near=workflows.moves)
    cleaner = CleanUpOrphans(
        client=workflows.client, standing=base.neighbours.standing, ids=base.ids
    )
    drainer = DrainWorker(journal=journal, fleet=fleet)
    hands = PoolHands(
        provisioner=provisioner,
        drainer=drainer,
        refuser=RefuseJobs(journal=journal, jobs=base.store),
    )
    canceller = CancelJob(journal=journal, fleet=fleet)
    pool = PoolKeeper(
        fleet=fleet,
        roster=roster,
        strategy=named(Strategy, config.provider_strategy) or Strategy.FIRST_AVAILABLE,
        hands=hands,
        clock=base.clock,
    )
    dispatcher = Dispatcher(
        journal=journal,
        jobs=base.store,
        fleet=fleet,
        ids=base.ids,
        on_waiting=pool.waiting,
        read_ahead=0 if config.database_url else _READ_AHEAD,
        strategy=named(WorkerStrategy, config.worker_strategy) or WorkerStrategy.LEAST_LOADED,
    )
    watch = WatchWorkers(
        journal=journal,
        fleet=fleet,
        hands=WatchHands(ender=ender, cleaner=cleaner),
        providers=roster.providers,
        clock=base.clock,
        patience=Patience(
            lease_s=config.lease_s,
            enroll_timeout_s=roster.enroll_timeout_s,
        ),
    )
    due = WakeDueJobs(journal=journal, jobs=base.store, fleet=fleet)
    fleet.on_slots(dispatcher.notify)
    fleet.on_load(pool.notify_of_load)
    fleet.on_change(pool.notify)
    fleet.on_change(watch.notify)
    pool.on_doubt(dispatcher.notify)
    watch.on_return(pool.there_again)
    bus.listen(Reactions(dispatcher, due, hub, drainer, canceller))
    if base.neighbours.signals is not None:
        base.neighbours.signals.listen(
            Topic.LOGS, lambda names: hub.notify(map(JobId, names)) if names else hub.notify_all()
        )
    hooks = place_hooks(
        base.neighbours, journal=journal, fleet=fleet, pool=pool, watch=watch, workflows=workflows
    )
    hold = hold_place(base.neighbours, entry, hooks, base.ids)
    parts = SessionParts(
        journal=journal,
        fleet=fleet,
        logs=base.logs,
        hub=hub,
        counters=counters,
        clock=base.clock,
        ids=base.ids,
    )
    rhythm = Rhythm(heartbeat_interval_s=config.heartbeat_interval_s, lease_s=config.lease_s)
    pending = ExplainPending(fleet=fleet, pool=pool)
    return ControlPlane(
        journal=journal,
        bus=bus,
        fleet=fleet,
        roster=roster,
        dispatcher=dispatcher,
        pool=pool,
        watch=watch,
        due=due,
        ender=ender,
        orphans=GiveBackOrphans(journal=journal, fleet=fleet, ids=base.ids),
        hold=hold,
        mover=MoveWorkers(fleet=fleet, ids=base.ids),
        stopper=StopWorkers(
            bus=bus,
            fleet=fleet,
            pool=pool,
            hands=hands,
            ender=ender,
            providers=roster.providers,
        ),
        retention=Retention(
            history=base.store,
            jobs=base.store,
            logs=base.logs,
            runs=base.durable,
            counters=counters,
            clock=base.clock,
            rules=_retention_rules(config),
            is_on_duty=lambda: base.neighbours.standing.has(UPKEEP),
        ),
        tail=TailLogs(
            journal=journal,
            logs=base.logs,
            hub=hub,
            look_again_s=_LOOK_FOR_OUTPUT_S if config.database_url else None,
        ),
        workflows=workflows,
        jobs=JobUseCases(
            journal=journal,
            store=base.store,
            submit=SubmitJobs(
                journal=journal,
                jobs=base.store,
                slots=dispatcher,
                ids=base.ids,
                difference=difference,
            ),
            cancel=canceller,
            retry=RetryJob(journal=journal),
            follow=FollowEvents(journal=journal, events=base.store, bus=bus, fleet=fleet),
            pending=pending,
            explain=ExplainJob(fleet=fleet, pool=pool, pending=pending, clock=base.clock),
            clock=base.clock,
            roster=roster,
        ),
        workers=WorkerUseCases(
            enroll=EnrollWorker(
                journal=journal,
                workers=base.store,
                authority=base.authority,
                passwords=passwords,
                counters=counters,
            ),
            connect=ConnectWorker(parts, rhythm, doors),
            drain=drainer,
            authority=base.authority,
            counters=counters,
            clock=base.clock,
        ),
        operators=OperatorUseCases(
            workers=base.store,
            events=base.store,
            fleet=fleet,
            drain=drainer,
            invite=InviteWorker(journal=journal, passwords=passwords, bootstraps=bootstraps),
            clean_up=cleaner,
            counters=counters,
            clock=base.clock,
            ids=base.ids,
            cluster_id=base.cluster_id,
            started_at=base.started_at,
            roster=roster,
            servers=ListServers(
                entry=entry, standing=base.neighbours.standing, fleet=fleet, clock=base.clock
            ),
        ),
    )


def _retention_rules(config: ServerConfig) -> RetentionRules:
    return RetentionRules(
        jobs_s=config.job_retention_s,
        logs_s=min(config.log_retention_s, config.job_retention_s),
        logs_bytes=config.log_max_size,
        runs_s=config.workflow_retention_s,
    )
