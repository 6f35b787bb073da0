"""A group of batches as the arguments of the function that writes it, and what is read before."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, LiteralString, cast

from hodei.adapters.postgres.named_sql import load
from hodei.ports.durable import Batch
from hodei.wire.run_group import GroupOfRuns
from hodei.wire.run_heads import wanted

_SQL: Final = load("runs.sql")

_ARGUMENTS: Final = 72
HEADS: Final = _SQL["heads"]
WRITE: Final[LiteralString] = _SQL["write"].replace(
    "{arguments}",
    ", ".join(cast("LiteralString", f"${number + 1}") for number in range(_ARGUMENTS)),
)


def head_arguments(batches: Sequence[Batch]) -> list[Collection[Any]]:
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


def write_arguments(group: GroupOfRuns) -> list[Collection[Any]]:
    """What `WRITE` takes."""
    facts = group.facts
    return [
        *_columns([(id_, *held) for id_, held in facts.shards.items()], 3),
        *_columns(facts.runs.items(), 2),
        list(facts.open_runs),
        *_columns(facts.last_seqs.items(), 2),
        *_columns(facts.tasks.items(), 2),
        *_columns(facts.timers, 2),
        list(facts.read),
        group.read,
        *_columns([each.changing for each in group.runs.values()], 8),
        *_columns(group.new_runs.values(), 13),
        *_columns(group.history, 6),
        *_columns(group.timers_gone, 2),
        *_columns(group.timers.values(), 4),
        list(group.tasks_gone),
        *_columns(group.tasks.values(), 12),
        *_columns(group.tasks_cancelled.items(), 2),
        *_columns(group.inbox, 5),
        *_columns(group.outbox, 4),
        list(group.closed),
    ]


def _columns(rows: Iterable[Sequence[Any]], width: int) -> list[Collection[Any]]:
    return list(zip(*rows, strict=True)) or [()] * width
