"""What must be known of the stored state to decide about batches of the saga engine."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hodei.ports.durable import Batch
from hodei.ports.durable_rows import Delivery

TimerHead = tuple[str, int]
"""The run and the command of a timer."""
Delivered = tuple[str, str]
"""A run and the key of something that was delivered to it."""


@dataclass(slots=True, kw_only=True)
class RunHead:
    """What is stored of a run, or will be by the batches of the group so far."""

    revision: int
    is_open: bool
    last_seq: int
    """Of its history; 0 for none."""


@dataclass(slots=True)
class Heads:
    """The stored state as far as some batches touch it. `GroupOfRuns` keeps it up to date."""

    shards: dict[int, tuple[str | None, int]] = field(
        default_factory=dict[int, tuple[str | None, int]]
    )
    """Owner and epoch."""
    runs: dict[str, RunHead] = field(default_factory=dict[str, RunHead])
    tasks: dict[str, int] = field(default_factory=dict[str, int])
    """Revisions."""
    timers: set[TimerHead] = field(default_factory=set[TimerHead])
    delivered: set[Delivered] = field(default_factory=set[Delivered])
    unread: dict[int, str] = field(default_factory=dict[int, str])
    """Inbox rows, by id, with their run: those that are to be read, and all of a run that ends."""
    open_runs: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    """By namespace and workflow id."""
    requests: dict[tuple[str, str, str], str] = field(
        default_factory=dict[tuple[str, str, str], str]
    )
    """The run of a request, by namespace, workflow id and request id."""


@dataclass(slots=True)
class Wanted:
    """The keys of which heads are to be read."""

    shards: list[int]
    runs: list[str]
    tasks: list[str]
    timers: list[TimerHead]
    delivered: list[Delivered]
    inbox: list[int]
    ending: list[str]
    starting: list[tuple[str, str, str]]
    """Namespace, workflow id and request id."""


def wanted(batches: Sequence[Batch]) -> Wanted:
    """What must be known to decide about the batches."""
    return Wanted(
        shards=_each(batch.fence.shard_id for batch in batches if batch.fence is not None),
        runs=_each(run_id for batch in batches for run_id in _runs_of(batch)),
        tasks=_each(
            task_id
            for batch in batches
            for task_id in (*(each.before.task_id for each in batch.tasks), *batch.tasks_cancelled)
        ),
        timers=_each(
            (each.timer.run_id, each.timer.command_id)
            for batch in batches
            for each in batch.timers_fired
        ),
        delivered=_each(
            (each.run_id, each.key) for batch in batches for each in deliveries_of(batch)
        ),
        inbox=_each(id_ for batch in batches for id_ in batch.consumed),
        ending=_each(run_id for batch in batches for run_id in batch.require_read),
        starting=_each(
            (row.namespace, row.workflow_id, row.request_id)
            for batch in batches
            for row in batch.new_runs
        ),
    )


def assumed(batches: Sequence[Batch]) -> Heads:
    """Heads as they are where nothing stands against any of the batches.

    The first batch that has an expectation of something decides what is assumed.
    """
    heads = Heads()
    for batch in batches:
        if (fence := batch.fence) is not None:
            heads.shards.setdefault(fence.shard_id, (fence.owner, fence.epoch))
        _assume_runs(heads, batch)
        for write in batch.tasks:
            heads.tasks.setdefault(write.before.task_id, write.before.revision)
        heads.timers |= {(each.timer.run_id, each.timer.command_id) for each in batch.timers_fired}
        heads.unread |= dict.fromkeys(batch.consumed, "")
    for row in (row for batch in batches for row in batch.new_runs):
        heads.runs.pop(row.run_id, None)
    return heads


def read_heads(stored: str | bytes) -> Heads:
    """The heads that a store has put together as one JSON object.

    Its members are arrays of rows: `shards` (id, owner, epoch), `runs` (id, revision, whether it is
    open, last seq), `tasks` (id, revision), `timers` (run, command), `delivered` (run, key),
    `unread` (id, run), `open_runs` (namespace, workflow id, run), and `requests` (namespace,
    workflow id, request id, run).
    """
    members: dict[str, list[Any]] = msgspec.json.decode(stored)
    return Heads(
        shards={id_: (owner, epoch) for id_, owner, epoch in members["shards"]},
        runs={
            id_: RunHead(revision=revision, is_open=bool(is_open), last_seq=last_seq)
            for id_, revision, is_open, last_seq in members["runs"]
        },
        tasks=dict(members["tasks"]),
        timers={(run_id, command_id) for run_id, command_id in members["timers"]},
        delivered={(run_id, key) for run_id, key in members["delivered"]},
        unread=dict(members["unread"]),
        open_runs={(ns, workflow_id): run for ns, workflow_id, run in members["open_runs"]},
        requests={
            (ns, workflow_id, request_id): run
            for ns, workflow_id, request_id, run in members["requests"]
        },
    )


def deliveries_of(batch: Batch) -> Iterable[Delivery]:
    """Everything that the batch would deliver, in its order."""
    yield from (each.delivery for each in batch.timers_fired)
    yield from batch.deliveries


def _runs_of(batch: Batch) -> Iterable[str]:
    yield from (row.run_id for row in batch.runs)
    yield from (row.run_id for row in batch.new_runs)
    yield from (row.run_id for row in batch.history)
    yield from (each.run_id for each in deliveries_of(batch))


def _assume_runs(heads: Heads, batch: Batch) -> None:
    for row in batch.runs:
        head = _assumed_run(heads, row.run_id)
        if head.revision < 0:
            head.revision = row.revision - 1
    for event in batch.history:
        head = _assumed_run(heads, event.run_id)
        if head.last_seq < 0:
            head.last_seq = event.seq - 1
    for delivery in deliveries_of(batch):
        _assumed_run(heads, delivery.run_id)


def _assumed_run(heads: Heads, run_id: str) -> RunHead:
    """Less than nothing stands for what nobody has an expectation of."""
    return heads.runs.setdefault(run_id, RunHead(revision=-1, is_open=True, last_seq=-1))


def _each(keys: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(keys))
