"""The durable state: one write port, and reads beside it.

One adapter implements all the Protocols of this module over one database.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from hodei.domain.jobs.events import JobEvent
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.states import JobState
from hodei.domain.placement.demand import Demand
from hodei.domain.providers.record import ProviderRecord
from hodei.domain.workers.events import WorkerEvent
from hodei.domain.workers.worker import Worker
from hodei.kernel.errors import UnavailableError
from hodei.kernel.ids import JobId, Position, ProviderName, WorkerId


class StoreUnavailableError(UnavailableError):
    """The store cannot take or answer just now: disk full, I/O error, connection lost.

    A commit that raised this may be tried again; where its outcome is not known the expected
    versions decide.
    """

    code = "STORE_UNAVAILABLE"


class SchemaError(Exception):
    """The store's schema is not the one that this code knows; the message names the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWrite:
    """Events of one job, and the job after them."""

    events: tuple[JobEvent, ...]
    after: Job
    """`after.version - len(events)` is the version that must be stored now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerWrite:
    """Events of one worker, and the worker after them."""

    events: tuple[WorkerEvent, ...]
    after: Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What commits together or not at all."""

    at: datetime
    """When it happened: the time of each event."""
    jobs: tuple[JobWrite, ...] = ()
    """At most one write for each job."""
    workers: tuple[WorkerWrite, ...] = ()
    """At most one write for each worker."""
    correlation_id: str = ""
    """What all that follows from one request shares; usually a job's id."""
    causation_id: str = ""
    """The position or the request that led to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event with its place in the store."""

    position: Position
    stream: str
    """`job:<id>` or `worker:<id>`."""
    version: int
    """Of its stream, 1 for the first."""
    event: JobEvent | WorkerEvent
    at: datetime
    correlation_id: str
    causation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OthersEvents:
    """What others have stored: all that there is between two positions."""

    after: Position
    until: Position
    events: tuple[StoredEvent, ...]
    """In order. Positions that none of them has were given to a commit that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The batch is durable."""

    events: tuple[StoredEvent, ...]
    others: OthersEvents | None = None
    """What others have stored between this commit and the one of this store before it; nothing where
    the store does not bring it along, or it is much. Commits of one transaction say the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A stream was not at the expected version; nothing of the batch was written.

    Load the streams again, decide again.
    """

    streams: tuple[str, ...]


class EventStore(Protocol):
    """The events of all streams, in one order."""

    async def commit(self, batch: Batch) -> Committed | Conflict:
        """Makes the batch durable, events and current-state rows in one transaction.

        Returns only when a crash of the process or of the machine cannot undo it. Batches of
        concurrent callers may share one transaction; a conflict of one fails that one alone.
        When the caller is cancelled meanwhile, the batch is either wholly written or not at all.

        Raises:
            StoreUnavailableError: It could not be written, or is not known to be.
        """
        ...

    async def read_events(
        self, *, after: Position, limit: int, streams: Sequence[str] = ()
    ) -> list[StoredEvent]:
        """Events after a position, in order; only of `streams` where any are named.

        Never skips an event that commits later than one it returned.
        """
        ...

    async def last_position(self) -> Position:
        """The position of the newest event; `BEFORE_THE_FIRST` when there is none."""
        ...

    async def close(self) -> None:
        """Finishes what was handed over and lets go of the database. Idempotent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedDemand:
    """The part of the queue that shares one demand."""

    demand_id: str
    demand: Demand
    count: int
    first_job: JobId
    """The one that goes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs to list; every part that is set must hold."""

    states: tuple[JobState, ...] = ()
    name: str = ""
    """Exactly."""
    search: str = ""
    """Part of the id or the name, whatever the case of letters."""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    tags: tuple[str, ...] = ()
    created_after: datetime | None = None
    """At or after it."""
    created_before: datetime | None = None
    """Before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Some jobs, newest first (by creation, then id)."""

    jobs: tuple[Job, ...]
    next_cursor: str
    """Opaque; empty on the last page."""
    total: int
    """How many match in all."""


class JobStore(Protocol):
    """Jobs as they are now."""

    async def load_jobs(self, ids: Sequence[JobId]) -> dict[JobId, Job]:
        """The jobs that exist among `ids`, at most 10,000 of them."""
        ...

    async def list_jobs(
        self, job_filter: JobFilter, *, limit: int, cursor: str = "", offset: int = 0
    ) -> JobPage:
        """A page of the matching jobs.

        A cursor stays valid while jobs come and go: no job that was there throughout is shown
        twice or left out.

        Raises:
            InvalidFieldsError: The cursor is not one of this store's; it names `page_token`.
        """
        ...

    async def queued_demands(self) -> list[QueuedDemand]:
        """What is queued, by demand; that whose first job goes first comes first."""
        ...

    async def claimable(self, demand_ids: Sequence[str], *, limit: int) -> list[Job]:
        """The queued jobs of these demands that go first: highest priority, then oldest.

        On a store that several servers share, no other caller gets them for some seconds.
        """
        ...

    async def held_jobs(self, worker_id: WorkerId | None = None) -> list[Job]:
        """Jobs that are ASSIGNED or RUNNING, of one worker or of all."""
        ...

    async def due_jobs(self, now: datetime, *, limit: int) -> list[Job]:
        """Jobs whose `not_before` or `deadline` has come and that have not ended."""
        ...

    async def next_due(self) -> datetime | None:
        """When `due_jobs` will next have something; None for never."""
        ...


class WorkerStore(Protocol):
    """Workers as they are now."""

    async def load_worker(self, worker_id: WorkerId) -> Worker | None:
        """The worker, ended ones included."""
        ...

    async def list_workers(
        self, *, include_ended: bool, limit: int, cursor: str = ""
    ) -> tuple[list[Worker], str]:
        """A page of workers, newest first, and the cursor of the next ('' on the last)."""
        ...

    async def living_workers(self) -> list[Worker]:
        """All that have not ended."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedPage:
    """Some jobs and workers that have ended."""

    streams: tuple[str, ...]
    """Their names, oldest first by when they began."""
    next: Position | None
    """Where to look on; None when there is nothing left that began before the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What is no longer there."""

    jobs: int = 0
    workers: int = 0
    events: int = 0

    def __add__(self, other: "Removed") -> "Removed":
        return Removed(
            jobs=self.jobs + other.jobs,
            workers=self.workers + other.workers,
            events=self.events + other.events,
        )


class HistoryStore(Protocol):
    """Lets go of what is over.

    A job or a worker goes as a whole, with all its events, so that whoever reads events from an old
    position finds each stream from its beginning or not at all. Positions are never given twice.
    """

    async def ended_before(self, limit: datetime, *, after: Position, at_most: int) -> EndedPage:
        """Jobs and workers whose last event was before `limit` and that have ended.

        Args:
            limit: Nothing may have happened to them from then on.
            after: `BEFORE_THE_FIRST`, or the `next` of the page before.
            at_most: So many are looked at; the page may have less.
        """
        ...

    async def remove(self, streams: Sequence[str], *, ended_before: datetime) -> Removed:
        """Removes those that still are as `ended_before` says; others are left alone.

        Commits wait meanwhile, about 0.1 ms for each stream: name a hundred at most. Each is removed
        wholly or not at all. It may be undone by a crash of the machine.

        Raises:
            StoreUnavailableError: Nothing was removed, or it is not known to be.
        """
        ...


class ProviderStore(Protocol):
    """What operators decided about providers (docs/adr/0013). Changes are as durable as commits."""

    async def provider_records(self) -> list[ProviderRecord]:
        """All of them, by name."""
        ...

    async def put_provider(self, record: ProviderRecord) -> bool:
        """Stores a record in the place of the version before it, or as a new one if it is the first.

        Returns whether it did: somebody else may have changed, added or removed it meanwhile.

        Raises:
            StoreUnavailableError: It was not stored, or is not known to be.
        """
        ...

    async def remove_provider(self, name: ProviderName, *, version: int) -> bool:
        """Forgets a record if it still has this version; returns whether it did.

        Raises:
            StoreUnavailableError: It was not removed, or is not known to be.
        """
        ...


class Store(EventStore, JobStore, WorkerStore, HistoryStore, ProviderStore, Protocol):
    """All of it, as one adapter gives it."""
