"""What this server knows of the living workers: the stored state, and what is not worth storing.

A projection of the bus: `apply` is called with every committed event. Streams, heartbeats and
idle times are added by the parts that see them.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from hodei.application.links import SUPERSEDED, Link, Usage
from hodei.application.standing import Standing
from hodei.domain.jobs.events import JobAssigned
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.spec import Resources
from hodei.domain.placement.admission import EVERY_JOB, Admission
from hodei.domain.placement.fit import Offer
from hodei.domain.workers.events import (
    WorkerDisconnected,
    WorkerProvisioningRequested,
    WorkerReady,
    WorkerReconnected,
)
from hodei.domain.workers.evolve import evolve
from hodei.domain.workers.states import WorkerState
from hodei.domain.workers.worker import Worker
from hodei.kernel.clock import Clock
from hodei.kernel.ids import JobId, ProviderName, WorkerId
from hodei.lifecycle.in_progress import InProgress
from hodei.lifecycle.pauses import Pauses
from hodei.ports.providers import Capabilities
from hodei.ports.stores import StoredEvent

log = structlog.get_logger()

_PAUSED_S = 10.0
"""Leases are judged at least twice as often; a server that has not looked for so long did not run."""
_NAMES_KEPT = 32
"""Of a worker's last jobs: what it still has of older ones has made room for these."""


@dataclass(slots=True, kw_only=True)
class Member:
    """A living worker."""

    worker: Worker
    """As it is stored."""
    last_seen: float
    """By the monotonic clock: when it last said something, or when this server began to look."""
    idle_since: float
    """By the monotonic clock: since when it has no job."""
    capabilities: Mapping[ProviderName, Capabilities] = field(
        default_factory=dict[ProviderName, Capabilities]
    )
    """Of all providers that this server has: see `Fleet`."""
    draining_since: float | None = None
    """By the monotonic clock: when it was told to drain, or when this server began to look."""
    link: Link | None = None
    """Its open stream, where this server has it."""
    opening: int = 0
    """Streams that are being opened here."""
    recording: InProgress = field(default_factory=InProgress)
    """Its streams here that may have brought what is not stored yet, also those that have ended."""
    is_elsewhere: bool = False
    """Whether another server has its stream, which sees to it that the worker is not silent."""
    jobs: dict[JobId, Resources] = field(default_factory=dict[JobId, Resources])
    """What it holds."""
    ended: set[JobId] = field(default_factory=set[JobId])
    """Those of them whose processes are gone, and whose results are being recorded."""
    promised: dict[JobId, Resources] = field(default_factory=dict[JobId, Resources])
    """What it is about to get: the commit that says so is on its way."""
    usage: Usage = Usage()
    jobs_taken: int = 0
    """Jobs that it got since this server began to look, those that it holds included."""
    turn: int = 0
    """Counts up over all workers: when it was given its last job."""
    names: deque[str] = field(default_factory=lambda: deque(maxlen=_NAMES_KEPT))
    """Of the named jobs that it was given of late."""
    is_ending: bool = False
    """Whether this server is taking it down; it gets no job and no stream any more."""

    @property
    def offer(self) -> Offer:
        """What it has, for placement."""
        worker = self.worker
        known = self.capabilities.get(worker.provider)
        return Offer(
            provider=worker.provider,
            provider_type="" if known is None else known.type,
            labels=worker.labels,
            resources=worker.resources,
            taints=worker.taints,
            kind=worker.kind,
            admission=self.admission,
        )

    @property
    def admission(self) -> Admission:
        """Which jobs its provider takes now; those of a provider that is not here take all."""
        known = self.capabilities.get(self.worker.provider)
        return EVERY_JOB if known is None else known.admission

    @property
    def takes_jobs(self) -> bool:
        """Whether it may be given a job, where it has room."""
        is_ready = self.worker.state is WorkerState.READY and not self.is_ending
        return is_ready and self.link is not None

    @property
    def is_connected(self) -> bool:
        """Whether its stream is up, here or elsewhere."""
        return self.link is not None or self.is_elsewhere

    @property
    def open_slots(self) -> int:
        """How many more jobs it takes now, from whoever has its stream."""
        is_ready = self.worker.state is WorkerState.READY and not self.is_ending
        if not is_ready or not self.is_connected:
            return 0
        promised = len(self.promised.keys() - self.jobs.keys())
        free = self.worker.slots - (len(self.jobs) - len(self.ended)) - promised
        if self.worker.max_jobs:
            free = min(free, self.worker.max_jobs - self.jobs_taken - promised)
        return max(0, free)

    @property
    def free_slots(self) -> int:
        """How many more jobs it takes now from this server."""
        return self.open_slots if self.link is not None else 0

    def taken(self) -> list[Resources]:
        """What its running jobs have of it, and those that it is about to get."""
        held = self.jobs | self.promised
        return [each for job_id, each in held.items() if job_id not in self.ended]

    @property
    def is_coming(self) -> bool:
        """Whether it will take jobs soon: it is on its way, or its stream is down for now."""
        if self.is_ending:
            return False
        starting = {WorkerState.REQUESTED, WorkerState.STARTING}
        return self.worker.state in starting or (
            self.worker.state is WorkerState.READY and not self.is_connected
        )


class Fleet:
    """The living workers by id."""

    def __init__(self, clock: Clock, held: Mapping[JobId, Job], standing: Standing) -> None:
        self._clock = clock
        self._held = held
        self.standing = standing
        """Among other servers: which of the workers are this one's to look after."""
        standing.on_others(self._look_for_streams_elsewhere)
        self.capabilities: dict[ProviderName, Capabilities] = {}
        """What each provider is, and which jobs it takes; kept by whoever knows them."""
        self._members: dict[WorkerId, Member] = {}
        self._pauses = Pauses(_PAUSED_S)
        self._turns = 0
        self._holders: dict[JobId, Member] = {}
        self._on_change: list[Callable[[], None]] = []
        self._on_load: list[Callable[[], None]] = []
        self._on_slots: list[Callable[[], None]] = []

    def load(self, workers: Sequence[Worker], held: Sequence[Job]) -> None:
        """Takes over what is stored.

        Every lease begins now: a server that starts renews each once before it judges any.
        """
        now = self._clock.monotonic()
        for worker in workers:
            is_draining = worker.state is WorkerState.DRAINING
            self._members[worker.id] = Member(
                worker=worker,
                last_seen=now,
                idle_since=now,
                draining_since=now if is_draining else None,
                capabilities=self.capabilities,
            )
        for job in held:
            self._hold(job.id)
        self._look_for_streams_elsewhere()

    def forgive_pause(self) -> None:
        """Begins every lease that it judges or tells of anew if this server has just not run.

        What its workers said meanwhile it has not read, and those that went elsewhere, or tried,
        could not tell it: their silence is its own.
        """
        if not (away_s := self._pauses.look()):
            return
        log.warning("server_was_paused", for_s=round(away_s, 1))
        now = self._clock.monotonic()
        for member in self._members.values():
            if not member.is_elsewhere:
                member.last_seen = now

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls `listener` when workers may have come or gone, or one that drains has become idle."""
        self._on_change.append(listener)

    def on_load(self, listener: Callable[[], None]) -> None:
        """Calls `listener` when a worker has become idle or full, whoever has its stream.

        With few slots that is after each job, so it must cost little.
        """
        self._on_load.append(listener)

    def on_slots(self, listener: Callable[[], None]) -> None:
        """Calls `listener` when slots may have come that this server gives away.

        After each job, so it must cost little.
        """
        self._on_slots.append(listener)

    def get(self, worker_id: WorkerId) -> Member | None:
        """The worker, if it lives."""
        return self._members.get(worker_id)

    def members(self) -> list[Member]:
        """All living workers, in the order of their ids."""
        return [self._members[worker_id] for worker_id in sorted(self._members)]

    def silence_s(self, member: Member) -> float:
        """How long ago it last said something; nothing for one that another server hears.

        A stream that ended while this server was stopped is noticed before anybody judges.
        """
        self.forgive_pause()
        return 0.0 if member.is_elsewhere else self._clock.monotonic() - member.last_seen

    def outlives_server_s(self, member: Member) -> float:
        """How long its agent lets jobs run that have no server: then none of them is left."""
        timeouts = (
            job.spec.disconnect_timeout_s
            for job_id in member.jobs
            if (job := self._held.get(job_id)) is not None
        )
        return max(timeouts, default=0.0)

    def streams(self) -> int:
        """How many workers are connected to this server."""
        return sum(member.link is not None for member in self._members.values())

    def cut_streams(self, why: str) -> None:
        """Ends every stream that this server has."""
        for member in self._members.values():
            if member.link is not None:
                member.link.close(why)

    def changed(self) -> None:
        """Says that workers, and with them slots, may have come or gone."""
        _call(self._on_change)
        _call(self._on_slots)

    def job_ended(self, member: Member, job_id: JobId) -> None:
        """Says that nothing of the job runs any more: its slot is free before that is recorded."""
        if job_id in member.jobs and job_id not in member.ended:
            member.ended.add(job_id)
            _call(self._on_slots)

    def apply(self, events: Sequence[StoredEvent]) -> None:
        """Follows what was committed."""
        has_changed = has_load = has_slots = False
        for stored in events:
            kind, _, name = stored.stream.partition(":")
            if kind == "worker":
                has_changed |= self._apply_to_worker(WorkerId(name), stored)
            elif isinstance(stored.event, JobAssigned):
                member = self._hold(JobId(name))
                has_load |= member is not None and len(member.jobs) >= member.worker.slots
            elif (member := self._holders.get(JobId(name))) is not None:
                has_slots |= self._release(JobId(name), member) and member.link is not None
                has_load |= not member.jobs
                has_changed |= not member.jobs and member.draining_since is not None
        if has_load:
            _call(self._on_load)
        if has_changed:
            self.changed()
        elif has_slots:
            _call(self._on_slots)

    def _apply_to_worker(self, worker_id: WorkerId, stored: StoredEvent) -> bool:
        member = self._members.get(worker_id)
        now = self._clock.monotonic()
        if member is None:
            if not isinstance(stored.event, WorkerProvisioningRequested):
                return False
            worker = evolve(None, stored.event, stored.at)
            self._members[worker_id] = Member(
                worker=worker,
                last_seen=now,
                idle_since=now,
                capabilities=self.capabilities,
            )
            return True
        if stored.version <= member.worker.version:
            return False
        # Only events of workers come on streams of workers; the union is wider.
        member.worker = evolve(member.worker, stored.event, stored.at)  # pyright: ignore[reportArgumentType]
        self._note_stream(member, stored.event)
        if member.worker.has_ended:
            del self._members[worker_id]
        elif member.worker.state is WorkerState.DRAINING and member.draining_since is None:
            member.draining_since = now
        return True

    def _note_stream(self, member: Member, event: object) -> None:
        if isinstance(event, WorkerReady | WorkerReconnected):
            if event.server != self.standing.me and member.link is not None:
                member.link.close(SUPERSEDED)
                member.link = None
            self._note_whereabouts(member)
        elif isinstance(event, WorkerDisconnected) and member.is_elsewhere:
            self._note_whereabouts(member)
            member.last_seen -= event.silent_s

    def _look_for_streams_elsewhere(self) -> None:
        for member in self._members.values():
            self._note_whereabouts(member)
        self.changed()

    def _note_whereabouts(self, member: Member) -> None:
        was_elsewhere = member.is_elsewhere
        member.is_elsewhere = (
            member.worker.connected and member.worker.server in self.standing.others
        )
        if was_elsewhere and not member.is_elsewhere:
            # Until now another has listened.
            member.last_seen = self._clock.monotonic()

    def _hold(self, job_id: JobId) -> Member | None:
        job = self._held.get(job_id)
        if job is None or job.current is None:
            return None
        member = self._members.get(job.current.worker_id)
        before = self._holders.pop(job_id, None)
        if before is not None:
            # Of several events told together, the job at hand is what it is after the last.
            before.jobs.pop(job_id, None)
        if member is not None:
            if job_id not in member.jobs:
                self._turns += 1
                member.turn = self._turns
                member.jobs_taken += 1
                if job.spec.name:
                    member.names.append(job.spec.name)
            member.jobs[job_id] = job.spec.resources
            member.ended.discard(job_id)
            self._holders[job_id] = member
        return member

    def _release(self, job_id: JobId, member: Member) -> bool:
        """Takes the job off its worker, unless it is still held; returns whether a slot came."""
        if job_id in self._held:
            return False
        del self._holders[job_id], member.jobs[job_id]
        if not member.jobs:
            member.idle_since = self._clock.monotonic()
        if job_id in member.ended:
            member.ended.discard(job_id)
            return False
        return True


def _call(listeners: Sequence[Callable[[], None]]) -> None:
    for listener in listeners:
        listener()
