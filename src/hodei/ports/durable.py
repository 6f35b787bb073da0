"""The store of the saga engine: runs, their histories, and what is on its way to them.

There is one write, `commit(Batch)`: the engine decides in memory, hands over everything that belongs
together, and the store writes all of it or nothing. What a payload or an event means is the
engine's business (`hodei.durable`): a store keeps bytes, orders, keys and counts.

Time is the store's own (`Leases.renew` tells it), so that a server with a wrong clock fires no
timer early and takes no lease that is still held.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from hodei.kernel.ids import ServerId
from hodei.ports.durable_rows import (
    Delivery,
    HistoryRow,
    InboxRow,
    OutboxRow,
    RunId,
    RunRow,
    RunStatus,
    ShardId,
    TaskId,
    TaskRow,
    TimerKey,
    TimerRow,
)

MAX_HISTORY_PAGE: Final = 10_000
"""As many rows of a history as are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """Who must own a shard for a batch to be written."""

    shard_id: ShardId
    owner: ServerId
    epoch: int
    """Of the ownership; grows by one whenever the shard changes hands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWrite:
    """A task's next state."""

    before: TaskRow
    """As it was read; its revision must still be the stored one."""
    after: TaskRow | None
    """With the revision after `before`'s. None removes it: it is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFiring:
    """A timer that is due, and what its run is told of it."""

    timer: TimerKey
    delivery: Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What commits together or not at all, in the order of its fields."""

    at: datetime
    """When it happened."""
    fence: Fence | None = None
    """Required by every batch that writes history, except those of an operator."""
    runs: tuple[RunRow, ...] = ()
    """Runs after it. `revision - 1` must be the stored revision. One that is closed by it loses its
    timers, its tasks and what its inbox still holds."""
    require_read: tuple[RunId, ...] = ()
    """Runs whose inbox must hold nothing beyond `consumed`: a run that ends has heard everything
    that was accepted for it."""
    consumed: tuple[int, ...] = ()
    """Ids of inbox rows. Their keys stay known."""
    new_runs: tuple[RunRow, ...] = ()
    """Runs that begin, with revision 1. A batch may end a run and begin another of the same id."""
    history: tuple[HistoryRow, ...] = ()
    """A row whose `(run_id, seq)` is taken refuses the batch, whatever else was checked."""
    timers: tuple[TimerRow, ...] = ()
    timers_gone: tuple[TimerKey, ...] = ()
    """Those that are there no longer are passed over."""
    timers_fired: tuple[TimerFiring, ...] = ()
    """Each is removed and delivered if it is still there, else passed over."""
    tasks_new: tuple[TaskRow, ...] = ()
    """With revision 1."""
    tasks: tuple[TaskWrite, ...] = ()
    tasks_cancelled: tuple[TaskId, ...] = ()
    """Tasks whose `cancel_requested` is set; those that are there no longer are passed over."""
    deliveries: tuple[Delivery, ...] = ()
    """Rows for inboxes, numbered in this order. One whose key its run has ever had is passed over,
    whether the run is open or not. One with a new key for a run that is not open refuses the batch."""
    outbox: tuple[OutboxRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The batch is durable."""

    repeated: tuple[str, ...] = ()
    """The keys of deliveries that had been made before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fenced:
    """The shard is not owned by the writer at that epoch. Nothing was written; step down."""

    shard_id: ShardId


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A run, a task or a place in a history is not as it was read. Nothing was written; read again."""

    key: str
    """The run's or the task's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A run that was to end has unread rows in its inbox. Nothing was written; let it read them."""

    run_id: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class NotOpen:
    """A delivery is for a run that has ended or never was. Nothing was written."""

    run_id: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A new run's workflow id has an open run, or its request was answered before.

    Nothing was written.
    """

    by: RunId
    """The run of the same request id where there is one, else the open one."""


Refusal = Fenced | Moved | Unread | NotOpen | Taken


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs to list; every part that is set must hold."""

    namespace: str = ""
    workflow_id: str = ""
    type: str = ""
    statuses: tuple[RunStatus, ...] = ()
    only_parked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """Some runs, newest first (by start, then id)."""

    runs: tuple[RunRow, ...]
    next_cursor: str
    """Opaque; empty on the last page."""


class DurableWriter(Protocol):
    """The one way in which anything of the engine changes."""

    async def commit(self, batch: Batch) -> Committed | Refusal:
        """Makes the batch durable, all of it in one transaction, or says why it wrote nothing.

        Checks in this order: the fence, the revisions of runs and tasks, the keys of history, what
        must have been read, new runs, deliveries. Returns only when a crash cannot undo it. Batches
        of concurrent callers may share one transaction; a refusal of one concerns that one alone.
        When the caller is cancelled meanwhile, the batch is either wholly written or not at all.

        Raises:
            StoreUnavailableError: It could not be written, or is not known to be. Read before you
                go on: the revisions tell.
        """
        ...


class RunReads(Protocol):
    """Runs as they are now. Each method sees everything that a returned commit wrote."""

    async def load_run(self, run_id: RunId) -> RunRow | None:
        """The run, ended ones included."""
        ...

    async def newest_run(self, namespace: str, workflow_id: str) -> RunRow | None:
        """The open run of a workflow id; else the one that was started last."""
        ...

    async def list_runs(self, run_filter: RunFilter, *, limit: int, cursor: str = "") -> RunPage:
        """A page of the matching runs.

        Raises:
            InvalidFieldsError: The cursor is not one of this store's; it names `page_token`.
        """
        ...

    async def runs_due(self, shards: Sequence[ShardId], *, limit: int) -> list[RunId]:
        """Open runs that have something to do, the longest due first.

        These are the runs whose `runnable_at` has come and that have unread rows in their inbox or
        `local_pending` set.
        """
        ...

    async def read_history(
        self, run_id: RunId, *, after_seq: int, limit: int = MAX_HISTORY_PAGE
    ) -> list[HistoryRow]:
        """Rows of a history whose `seq` is greater, in order; `after_seq=0` begins at the first."""
        ...

    async def read_inbox(self, run_id: RunId, *, limit: int) -> list[InboxRow]:
        """Unread rows of a run, in the order in which they were delivered."""
        ...

    async def read_outbox(self, *, after: int, limit: int) -> list[tuple[int, OutboxRow]]:
        """Outbox rows with their positions, in order, skipping none that commits later."""
        ...


class WorkReads(Protocol):
    """What waits for a time or a worker."""

    async def timers_due(self, shards: Sequence[ShardId], *, limit: int) -> list[TimerRow]:
        """Timers whose time has come by the store's clock, the longest due first."""
        ...

    async def next_timer(self, shards: Sequence[ShardId]) -> datetime | None:
        """When the earliest timer is due; None where there is none."""
        ...

    async def timers_of(self, run_id: RunId) -> list[TimerRow]:
        """The timers of a run, the earliest first."""
        ...

    async def load_task(self, task_id: TaskId) -> TaskRow | None:
        """The task; None once it is done."""
        ...

    async def tasks_of(self, run_id: RunId) -> list[TaskRow]:
        """The tasks of a run that are not done, by command."""
        ...

    async def claimable_tasks(self, queues: Sequence[str], *, limit: int) -> list[TaskRow]:
        """Queued tasks whose `available_at` has come: highest priority, then longest available.

        Tasks with `cancel_requested` are not among them. On a store that several servers share, no
        other caller gets the same ones for some seconds; the revision decides who has them.
        """
        ...

    async def overdue_tasks(self, shards: Sequence[ShardId], *, limit: int) -> list[TaskRow]:
        """Tasks whose `due_at` has come, and queued ones with `cancel_requested`."""
        ...

    async def next_task_time(self, shards: Sequence[ShardId]) -> datetime | None:
        """When the earliest `due_at` is, or `available_at` still ahead of a queued task.

        None for never. A task that may be had already is nothing to wait for.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a server holds, by the store's clock."""

    now: datetime
    """The store's time, taken between the call and its answer."""
    epochs: dict[ShardId, int]
    """The shards that the server owns, each with the epoch of its ownership."""


class Leases(Protocol):
    """Who owns which shard, and which servers live. One server id is one life of one process."""

    async def shard_count(self) -> int:
        """How many shards there are: fixed when the store was made, the same for all servers."""
        ...

    async def heartbeat(self, server: ServerId, *, ttl_s: float) -> list[ServerId]:
        """Says that a server lives for `ttl_s` more seconds; returns all that live, sorted."""
        ...

    async def renew(self, server: ServerId, *, ttl_s: float) -> Held:
        """Prolongs the leases of what the server owns to `ttl_s` from now, by the store's clock.

        A lease that ran out and that nobody took meanwhile is prolonged too: the epoch shows that
        there was no other owner.
        """
        ...

    async def take(
        self, server: ServerId, shards: Sequence[ShardId], *, ttl_s: float
    ) -> dict[ShardId, int]:
        """Takes those of `shards` that nobody owns or whose lease ran out; returns their epochs.

        The epoch of each is greater than any before it. Of several callers one gets a shard. Where
        the store can tell that the process of an owner is dead, its leases count as run out.
        """
        ...

    async def release(self, server: ServerId, shards: Sequence[ShardId]) -> None:
        """Gives up those of `shards` that the server owns, for others to take at once."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsLetGo:
    """What is no longer there, and where to look on."""

    runs: int
    next: int | None
    """None when there is nothing left to look at."""


class RunKeeping(Protocol):
    """Lets go of runs that are over for long. One that is open is never touched."""

    async def let_runs_go(self, *, closed_before: datetime, after: int, at_most: int) -> RunsLetGo:
        """Removes runs that ended before, with their histories and all that was delivered to them.

        So too the outbox rows that are older, as many as ten for each run that is looked at. It may
        be undone by a crash of the machine.

        Args:
            closed_before: A run that ended then or later stays.
            after: 0, or the `next` of the call before.
            at_most: So many ended runs are looked at, those that began first.
        """
        ...


class DurableStore(DurableWriter, RunReads, WorkReads, RunKeeping, Leases, Protocol):
    """All of it, as one adapter gives it."""

    async def close(self) -> None:
        """Finishes what was handed over and lets go of the database. Idempotent."""
        ...
