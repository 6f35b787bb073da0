"""The application's parts joined as the composition root joins them, over fakes and a still clock.

Nothing runs by itself until a test starts it with `run`; `settle` lets everything run until it
waits.
"""

from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

import pytest

from hodei.adapters.memory import MemoryDurableStore, MemoryMembership
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
from hodei.application.explain_job import ExplainJob
from hodei.application.explain_pending import ExplainPending
from hodei.application.fleet import Fleet
from hodei.application.follow_events import FollowEvents
from hodei.application.forget_streams import ForgetStreams
from hodei.application.give_back_orphans import GiveBackOrphans
from hodei.application.hold_duties import HoldDuties, PlaceHooks
from hodei.application.invite_worker import STATIC_PROVIDER, InviteWorker
from hodei.application.journal import Journal
from hodei.application.keep_pool import PoolHands, PoolKeeper
from hodei.application.keep_providers import KeepProviders, ProviderParts
from hodei.application.links import FromWorker, HeldAttempt, Hello
from hodei.application.list_providers import ListProviders
from hodei.application.log_hub import LogHub
from hodei.application.manage_providers import ManageProviders
from hodei.application.move_workers import MoveWorkers
from hodei.application.one_time_passwords import OneTimePasswords
from hodei.application.pool import PoolRules
from hodei.application.pool_condition import Terms
from hodei.application.provision_steps import ProvisionSteps, StepParts
from hodei.application.provision_worker import ProvisionWorker
from hodei.application.refuse_jobs import RefuseJobs
from hodei.application.retry_job import RetryJob
from hodei.application.roster import Roster
from hodei.application.session import SessionParts, WorkerSession
from hodei.application.standing import Standing
from hodei.application.submit_jobs import NewJob, SubmitJobs
from hodei.application.tail_logs import TailLogs
from hodei.application.wake_due_jobs import WakeDueJobs
from hodei.application.watch_workers import Patience, WatchHands, WatchWorkers
from hodei.domain.cluster.duties import CLOCK, UPKEEP, host_duty, provider_duty
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.spec import JobSpec
from hodei.domain.placement.selection import Strategy
from hodei.domain.placement.worker_selection import WorkerStrategy
from hodei.domain.workers.events import WorkerReady, WorkerRegistered
from hodei.domain.workers.worker import Worker
from hodei.durable.runner.activation import InlineActivator
from hodei.durable.runner.engine import EngineSettings
from hodei.durable.runner.shards import LeaseTimes
from hodei.kernel.ids import ClusterId, JobId, ServerId, WorkerId
from hodei.lifecycle.service import TaskSet
from hodei.lifecycle.system_clock import SystemClock, SystemIdSource
from hodei.ports.cluster import ServerEntry
from hodei.ports.durable import DurableStore
from hodei.ports.pki import IssuedCertificate, ServerIdentity, WorkerIdentity
from hodei.ports.signals import Topic
from hodei.ports.stores import JobFilter, Store
from hodei.server.reactions import Reactions
from hodei.server.sagas import built_in
from hodei.server.workflows import plan_workflows, run_workflows
from hodei.wire.job_definition import difference
from support.builders import TRUE, ready
from support.chance import NOON, CountingIds, JumpingClock
from support.fake_maker import FakeMaker
from support.fake_provider import FakeProvider
from support.flaky import FlakyLogStore, FlakyStore
from support.links import RecordingLink
from support.settling import settle
from support.signals import Air, MembersStore

LEASE_S = 60.0
ENROLL_TIMEOUT_S = 30.0
LOOK_EVERY_S = 0.5
RULES = PoolRules(
    warm_workers=0, idle_timeout_s=300.0, max_age_s=3600.0, enroll_timeout_s=ENROLL_TIMEOUT_S
)

_FOR_EVER = LeaseTimes(ttl_s=1e9, margin_s=0)
"""However far a test jumps, the server keeps its runs."""


def _fail(part: str, error: BaseException) -> None:
    raise AssertionError(part) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """What a plane is built on where it is not the usual."""

    store: Store
    durable: DurableStore
    settings: EngineSettings


class PaperAuthority:
    """A `CertificateAuthority` whose requests are the key itself; for what is no test of TLS."""

    bundle_pem = "roots"
    fingerprint = "sha256:0"

    def __init__(self) -> None:
        self._issued = 0

    def key_hash(self, csr_der: bytes) -> bytes:
        return csr_der

    def issue_worker(self, csr_der: bytes, worker_id: WorkerId, now: datetime) -> IssuedCertificate:
        self._issued += 1
        return IssuedCertificate(
            chain_pem=f"certificate {self._issued} of {worker_id}",
            serial=f"{self._issued:x}",
            not_after=now.replace(year=now.year + 1),
            key_hash=csr_der,
        )

    def server_identity(self) -> ServerIdentity:
        raise NotImplementedError

    def renew_if_due(self, now: datetime) -> bool:
        return False

    def identify(self, certificate_pem: bytes) -> WorkerIdentity:
        raise NotImplementedError


class Plane:
    """A control plane without its doors."""

    def __init__(
        self,
        *providers: FakeProvider,
        rules: PoolRules = RULES,
        air: Air | None = None,
        name: str = "a",
        beside: "Plane | None" = None,
        read_ahead: int = 64,
        strategy: Strategy = Strategy.FIRST_AVAILABLE,
        worker_strategy: WorkerStrategy = WorkerStrategy.LEAST_LOADED,
        over: "Foundation | None" = None,
        linger_s: float = 0.0,
    ) -> None:
        """A server by itself; with `air` one of several, `beside` another on its stores.

        `over` real stores time is real, and nothing is flaky. `linger_s` is that of sessions.
        """
        self.linger_s = linger_s
        self.read_ahead = read_ahead
        self.strategy = strategy
        self.worker_strategy = worker_strategy
        self.air = air
        self.clock = air.clock if air else JumpingClock()
        if over is not None:
            self.clock = cast("JumpingClock", SystemClock())
        self.ids = beside.ids if beside else CountingIds()
        self.shared_store = beside.shared_store if beside else FlakyStore()
        if over is not None:
            self.ids = cast("CountingIds", SystemIdSource())
            self.shared_store = cast("FlakyStore", over.store)
        self.store = self.shared_store
        self.logs = beside.logs if beside else FlakyLogStore(self.clock)
        self.signals = air.signals() if air else None
        self.name = name
        self.durable: DurableStore = over.durable if over else MemoryDurableStore(self.clock)
        """Of this server alone: how servers go on with each other's runs is tried elsewhere."""
        self.engine_settings = over.settings if over else EngineSettings(leases=_FOR_EVER)
        self.providers = providers
        self.tasks = TaskSet()
        self.restart(rules)

    def restart(self, rules: PoolRules = RULES) -> None:
        """All parts anew over the same stores, as a server that starts has them."""
        self.bus = EventBus()
        self.counters = Counters()
        self.hub = LogHub()
        self.standing = Standing(home=self.name if self.air else "", is_alone=self.air is None)
        self.membership = MemoryMembership(self.air.cluster) if self.air else None
        if self.air:
            store = MembersStore(self.shared_store, self.air, lambda: self.standing.me)
            self.store = cast("FlakyStore", store)
        self.journal = Journal(
            self.store, self.bus, self.clock, signals=self.signals, on_failure=_fail
        )
        self.fleet = Fleet(self.clock, self.journal.held, self.standing)
        self.bus.listen(self.fleet.apply)
        self.roster = Roster(fleet=self.fleet, clock=self.clock)
        for provider in self.providers:
            self.roster.put(provider, rules, Terms())
        self.ender = EndWorker(
            journal=self.journal,
            workers=self.store,
            fleet=self.fleet,
            providers=self.roster.providers,
            ids=self.ids,
            lease_s=LEASE_S,
        )
        self.authority = PaperAuthority()
        self.passwords = OneTimePasswords(b"key", ttl_s=300.0)
        self.doors = Doors(
            cluster_id=ClusterId("test"),
            enroll_address="here:3",
            worker_address="here:2",
            standing=self.standing,
        )
        bootstraps = Bootstraps(
            authority=self.authority, passwords=self.passwords, doors=self.doors
        )
        self.inviter = InviteWorker(
            journal=self.journal, passwords=self.passwords, bootstraps=bootstraps
        )
        self.steps = ProvisionSteps(
            StepParts(
                journal=self.journal,
                store=self.store,
                bus=self.bus,
                passwords=self.passwords,
                bootstraps=bootstraps,
                ender=self.ender,
                providers=self.roster.providers,
            )
        )
        self.cleaning = CleanUpSteps(
            journal=self.journal, fleet=self.fleet, providers=self.roster.providers
        )
        self.workflows = plan_workflows(
            built_in(
                self.steps,
                self.cleaning,
                providers=self.roster.providers,
                standing=self.standing,
            ),
            self.durable,
            clock=self.clock,
            ids=self.ids,
            counters=self.counters,
            activator=InlineActivator(),
        )
        self.engine_stack = AsyncExitStack()
        self.provisioner = ProvisionWorker(
            client=self.workflows.client, ids=self.ids, is_near=lambda _: True
        )
        self.cleaner = CleanUpOrphans(
            client=self.workflows.client, standing=self.standing, ids=self.ids
        )
        self.drainer = DrainWorker(journal=self.journal, fleet=self.fleet)
        self.hands = PoolHands(
            provisioner=self.provisioner,
            drainer=self.drainer,
            refuser=RefuseJobs(journal=self.journal, jobs=self.store),
        )
        self.pool = PoolKeeper(
            fleet=self.fleet,
            roster=self.roster,
            strategy=self.strategy,
            hands=self.hands,
            clock=self.clock,
        )
        self.dispatcher = Dispatcher(
            journal=self.journal,
            jobs=self.store,
            fleet=self.fleet,
            ids=self.ids,
            on_waiting=self.pool.waiting,
            read_ahead=self.read_ahead,
            strategy=self.worker_strategy,
        )
        self.watch = WatchWorkers(
            journal=self.journal,
            fleet=self.fleet,
            hands=WatchHands(ender=self.ender, cleaner=self.cleaner),
            providers=self.roster.providers,
            clock=self.clock,
            patience=Patience(lease_s=LEASE_S, enroll_timeout_s=self.roster.enroll_timeout_s),
        )
        self.due = WakeDueJobs(journal=self.journal, jobs=self.store, fleet=self.fleet)
        self.fleet.on_slots(self.dispatcher.notify)
        self.fleet.on_load(self.pool.notify_of_load)
        self.fleet.on_change(self.pool.notify)
        self.pool.on_doubt(self.dispatcher.notify)
        self.watch.on_return(self.pool.there_again)
        self.fleet.on_change(self.watch.notify)
        self.canceller = CancelJob(journal=self.journal, fleet=self.fleet)
        self.bus.listen(
            Reactions(self.dispatcher, self.due, self.hub, self.drainer, self.canceller)
        )
        self.parts = SessionParts(
            journal=self.journal,
            fleet=self.fleet,
            logs=self.logs,
            hub=self.hub,
            counters=self.counters,
            clock=self.clock,
            ids=self.ids,
            linger_s=self.linger_s,
        )
        self.connector = ConnectWorker(
            self.parts, Rhythm(heartbeat_interval_s=15.0, lease_s=LEASE_S), self.doors
        )
        self.orphans = GiveBackOrphans(journal=self.journal, fleet=self.fleet, ids=self.ids)
        self.submitter = SubmitJobs(
            journal=self.journal,
            jobs=self.store,
            slots=self.dispatcher,
            ids=self.ids,
            difference=difference,
        )
        self.retrier = RetryJob(journal=self.journal)
        self.follower = FollowEvents(
            journal=self.journal, events=self.store, bus=self.bus, fleet=self.fleet
        )
        self.mover = MoveWorkers(fleet=self.fleet, ids=self.ids)
        self.forgetter = ForgetStreams(journal=self.journal, fleet=self.fleet)
        self.hold = self._hold() if self.membership else None
        self.tail = TailLogs(journal=self.journal, logs=self.logs, hub=self.hub)
        self.explain = ExplainPending(fleet=self.fleet, pool=self.pool)
        self.explain_job = ExplainJob(
            fleet=self.fleet, pool=self.pool, pending=self.explain, clock=self.clock
        )
        self.maker = FakeMaker()
        self.keeper = KeepProviders(
            parts=ProviderParts(
                store=self.shared_store,
                journal=self.journal,
                roster=self.roster,
                watch=self.watch,
            ),
            maker=self.maker,
            builtins=[provider.name for provider in self.providers],
            on_failure=_fail,
        )
        self.manage = ManageProviders(
            store=self.shared_store,
            roster=self.roster,
            keeper=self.keeper,
            maker=self.maker,
            clock=self.clock,
            signals=self.signals,
        )
        if self.signals is not None:
            self.signals.listen(Topic.PROVIDERS, lambda _: self.keeper.notify())
        self.list_providers = ListProviders(pool=self.pool, keeper=self.keeper, clock=self.clock)

    async def load(self) -> None:
        """Takes over what is stored, as a start does."""
        if self.hold is not None:
            await self.hold.start()
        await self.journal.start()
        self.fleet.load(await self.store.living_workers(), list(self.journal.held.values()))
        await run_workflows(self.workflows, self.engine_stack, _fail, settings=self.engine_settings)

    def _hold(self) -> HoldDuties:
        assert self.membership is not None
        assert self.signals is not None
        signals = self.signals
        offers = [provider_duty(provider.name) for provider in self.providers]
        entry = ServerEntry(
            id=ServerId(""),
            name=self.name,
            version="0",
            address=f"{self.name}:1",
            worker_address=f"{self.name}:2",
            enroll_address=f"{self.name}:3",
            offers=(CLOCK, UPKEEP, host_duty(self.name), provider_duty(STATIC_PROVIDER), *offers),
        )
        hold = HoldDuties(
            membership=self.membership,
            standing=self.standing,
            entry=entry,
            clock=self.clock,
            ids=self.ids,
            hooks=PlaceHooks(
                streams=lambda: sum(m.link is not None for m in self.fleet.members()),
                let_go=self._let_go,
                looked=lambda _: self.forgetter.forget(),
                joined=lambda: signals.send(Topic.SERVERS),
            ),
        )
        signals.listen(Topic.SERVERS, lambda _: hold.look_now())
        return hold

    async def _let_go(self) -> None:
        self.fleet.forgive_pause()
        await self.pool.let_go()
        await self.watch.close()
        await self.workflows.cut()
        self.fleet.cut_streams("this server has lost its place")

    async def keep(self, *, times: int = 1) -> None:
        """Lets it look at the other servers, at the usual distance in time."""
        assert self.hold is not None
        for number in range(times):
            if number:
                self.clock.jump(LOOK_EVERY_S)
            await self.hold.keep()
            await self.settle()

    def sleep(self, seconds: float) -> None:
        """It did not run for so long, as after SIGSTOP and SIGCONT; the clock is for the test."""
        looked_at = self.fleet._pauses._looked_at
        assert looked_at is not None
        self.fleet._pauses._looked_at = looked_at - seconds

    async def die(self) -> None:
        """Its process is killed: what it shared with others stays as it is."""
        assert self.membership is not None
        await self.membership.close()
        await self.close()

    def run(self, *work: Coroutine[Any, Any, None]) -> None:
        """Starts parts that run until the test ends."""
        for each in work:
            self.tasks.start(each, name="of a test")

    def run_all(self, *, leases: bool = True) -> None:
        """Starts every part that runs by itself; without `leases` silence is no death."""
        if leases:
            self.run(self.watch.run())
        self.run(
            self.dispatcher.run(),
            self.due.run(),
            self.pool.run(),
            self.keeper.run(),
            *(self.watch.watch(provider) for provider in self.providers),
        )
        self.dispatcher.notify()

    async def close(self) -> None:
        """Ends whatever runs."""
        await self.pool.close()
        await self.keeper.close()
        await self.watch.close()
        await self.tasks.close()
        await self.engine_stack.aclose()
        await self.journal.close()

    async def settle(self) -> None:
        """Returns once every task waits for something that only the test can bring."""
        await settle()

    async def pass_time(self, seconds: float) -> None:
        """Lets time pass, and whatever is due by then happen."""
        self.clock.jump(seconds)
        for wake in (self.workflows.parts.hints.timers, self.workflows.parts.hints.task_times):
            wake.notify()
        await self.settle()

    async def submit(self, *specs: JobSpec, ids: tuple[str, ...] = ()) -> list[JobId]:
        """Queues jobs."""
        named = ids or (None,) * max(1, len(specs))
        new = [
            NewJob(id=None if name is None else JobId(name), spec=spec)
            for name, spec in zip(named, specs or (TRUE,) * len(named), strict=True)
        ]
        return [each.id for each in await self.submitter.submit(new, queued_by="test")]

    async def submit_elsewhere(self, *ids: str) -> None:
        """Queues jobs as another server over the same store would, and says that it did."""
        await Plane(beside=self).submit(ids=ids)
        self.journal.feed.look()

    async def job(self, job_id: JobId) -> Job:
        """The job as it is stored."""
        return (await self.store.load_jobs([job_id]))[job_id]

    async def jobs(self) -> list[Job]:
        """All jobs, oldest first."""
        page = await self.store.list_jobs(JobFilter(), limit=10_000)
        return list(reversed(page.jobs))

    async def worker(self, worker_id: WorkerId) -> Worker:
        """The worker as it is stored."""
        found = await self.store.load_worker(worker_id)
        assert found is not None
        return found

    async def invite(self) -> WorkerId:
        """A worker that somebody starts by hand, enrolled."""
        worker_id = WorkerId(f"static-{self.ids.new()[-4:]}")
        await self.inviter.invite(name="", labels={}, worker_id=worker_id)
        await self.enrol(worker_id)
        return worker_id

    async def enrol(self, worker_id: WorkerId) -> None:
        """The worker gets its certificate."""
        registered = WorkerRegistered(
            key_hash=b"key", serial="1", chain_pem="chain", not_after=NOON.replace(year=2027)
        )
        await self.journal.change_worker(worker_id, lambda worker: [registered])

    async def connect(self, worker_id: WorkerId, **has: object) -> "Agent":
        """Opens a stream as a new agent; see `Agent.connect`."""
        agent = Agent(self, worker_id, ready(**has))
        await agent.connect()
        return agent

    async def static_agent(self, **has: object) -> "Agent":
        """Somebody's own worker, connected."""
        return await self.connect(await self.invite(), **has)

    async def agent_of(self, provider: FakeProvider, index: int = -1, **has: object) -> "Agent":
        """The worker that a provider was asked for, connected as its agent would."""
        worker_id = provider.requests[index].worker_id
        await self.enrol(worker_id)
        return await self.connect(
            worker_id, **({"slots": provider.capabilities().slots_per_worker} | has)
        )


class Agent:
    """An agent in the hands of a test: it says what it is told to say, when it is told to."""

    def __init__(self, plane: Plane, worker_id: WorkerId, has: WorkerReady) -> None:
        self._plane = plane
        self.id = worker_id
        self.has = has
        self.link = RecordingLink()
        self.session: WorkerSession

    @property
    def identity(self) -> WorkerIdentity:
        """What its certificate says."""
        return WorkerIdentity(worker_id=self.id, serial="1", not_after=NOON.replace(year=2027))

    async def connect(self, *held: HeldAttempt) -> None:
        """Opens a stream and says what it holds; an older stream goes on as the server lets it."""
        link = RecordingLink()
        hello = Hello(ready=replace(self.has), held=held)
        self.session = await self._plane.connector.open(self.identity, hello, link)
        self.link = link
        self._task = self._plane.tasks.start(self.session.run(), name=f"session of {self.id}")
        link.on_close = self._task.cancel

    def drop(self) -> None:
        """The stream breaks, and nobody waits for what the server makes of it."""
        self._task.cancel()

    async def disconnect(self) -> None:
        """The stream breaks."""
        self.drop()
        await self._plane.settle()
        await self._plane.connector.close(self.session, message="the stream broke")

    async def say(self, *messages: FromWorker) -> None:
        """Sends messages and lets the server do what it can with them."""
        for message in messages:
            await self.session.receive(message)
        await self._plane.settle()

    def holds(self, job: Job, *, started: bool = True) -> HeldAttempt:
        """What hello says of an attempt."""
        assert job.current is not None
        return HeldAttempt(
            job_id=job.id, attempt=job.current.number, token=job.current.token, started=started
        )


def _fail(part: str, error: BaseException) -> None:
    raise AssertionError(f"{part} failed") from error


@asynccontextmanager
async def running(plane: Plane, *, leases: bool = True) -> AsyncIterator[Plane]:
    """The plane with all its parts running, none of them pausing; ended afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hodei.application.keep_pool._PAUSE_S", 0)
        patch.setattr("hodei.application.watch_workers._PAUSE_S", 0)
        await plane.load()
        plane.run_all(leases=leases)
        await plane.settle()
        try:
            yield plane
        finally:
            await plane.close()
