"""A group of batches as the arguments of the function that writes it, and what is read before."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, LiteralString, cast

from hodei.adapters.postgres.named_sql import load
from hodei.ports.durable import Batch
from hodei.ports.durable_rows import OPEN
from hodei.wire.run_group import GroupOfRuns
from hodei.wire.run_heads import wanted
from hodei.wire.run_rows import history_columns, run_columns

_SQL: Final = load("runs.sql")

_ARGUMENTS: Final = 72
HEADS: Final = _SQL["heads"]
WRITE: Final[LiteralString] = _SQL["write"].replace(
    "{arguments}",
    ", ".join(cast("LiteralString", f"${number + 1}") for number in range(_ARGUMENTS)),
)


Argument = Collection[Any] | None
"""A column. Null where there are no rows: the function makes an object of each array that it is
given, and for seventy empty ones that took longer than to write a step."""

WRITE_STEP: Final = _SQL["write_step"]


def head_arguments(batches: Sequence[Batch]) -> list[Argument]:
    """What `HEADS` takes."""
    keys = wanted(batches)
    return [
        keys.shards,
        keys.runs,
        keys.tasks,
        *_columns(keys.timers, 2),
        *_columns(keys.delivered, 2),
        keys.inbox,
        keys.ending,
        *_columns(keys.starting, 3),
    ]


def write_arguments(group: GroupOfRuns) -> list[Argument]:
    """What `WRITE` takes."""
    facts = group.facts
    return [
        *_columns([(id_, *held) for id_, held in facts.shards.items()], 3),
        *_columns(facts.runs.items(), 2),
        list(facts.open_runs) or None,
        *_columns(facts.last_seqs.items(), 2),
        *_columns(facts.tasks.items(), 2),
        *_columns(facts.timers, 2),
        list(facts.read) or None,
        # Not null, as the last one: others are compared with each of them.
        group.read,
        *_columns([each.changing for each in group.runs.values()], 8),
        *_columns(group.new_runs.values(), 13),
        *_columns(group.history, 6),
        *_columns(group.timers_gone, 2),
        *_columns(group.timers.values(), 4),
        list(group.tasks_gone) or None,
        *_columns(group.tasks.values(), 12),
        *_columns(group.tasks_cancelled.items(), 2),
        *_columns(group.inbox, 5),
        *_columns(group.outbox, 4),
        list(group.closed),
    ]


def step_arguments(batch: Batch) -> list[Any] | None:
    """What `WRITE_STEP` takes; None when the batch is more than a run that has grown."""
    fence = batch.fence
    if fence is None or len(batch.runs) != 1 or not batch.history:
        return None
    if batch != Batch(at=batch.at, fence=fence, runs=batch.runs, history=batch.history):
        return None
    (run,) = batch.runs
    if run.status not in OPEN:
        return None
    first = batch.history[0].seq
    for number, event in enumerate(batch.history, first):
        if event.run_id != run.run_id or event.seq != number:
            return None
    _, _, commands, kinds, ats, data = _columns(map(history_columns, batch.history), 6)
    return [
        *(fence.shard_id, fence.owner, fence.epoch),
        *run_columns(run).changing,
        *(first, commands, kinds, ats, data),
    ]


def _columns(rows: Iterable[Sequence[Any]], width: int) -> list[Argument]:
    return list[Argument](zip(*rows, strict=True)) or [None] * width
