"""The tables of the saga engine as a store hands them over to another one, row by row.

Every store that has tables has these, with the same columns. What differs is the number of shards.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from hodei.ports.durable_rows import ShardId
from hodei.wire.run_rows import RunColumns, TaskColumns, decode_run, run_columns, with_shard

Row = tuple[Any, ...]


class RunTable(NamedTuple):
    """A table and the columns in which its rows are handed over."""

    name: str
    columns: tuple[str, ...]
    """The key first."""
    start: Row
    """What comes before every key."""
    flags: frozenset[str] = frozenset()
    """Columns that are true or false, however a store keeps them."""

    def key(self, row: Sequence[Any]) -> Row:
        """The row's key: the rows are in its order."""
        return tuple(row[: len(self.start)])

    def plain(self, row: Sequence[Any]) -> Row:
        """The row in the same values for every store."""
        return tuple(
            bool(value) if name in self.flags else value
            for name, value in zip(self.columns, row, strict=True)
        )


RUNS: Final = RunTable(
    "runs",
    ("number", *RunColumns._fields),
    (0,),
    frozenset({"is_open", "local_pending", "is_parked"}),
)
HISTORY: Final = RunTable(
    "run_history", ("run_id", "seq", "command_id", "kind", "at", "data"), ("", 0)
)
INBOX: Final = RunTable(
    "run_inbox",
    ("id", "run_id", "key", "kind", "at", "data", "is_unread"),
    (0,),
    frozenset({"is_unread"}),
)
TIMERS: Final = RunTable("run_timers", ("run_id", "command_id", "shard_id", "fire_at"), ("", 0))
TASKS: Final = RunTable(
    "run_tasks",
    TaskColumns._fields,
    ("",),
    frozenset({"is_queued", "cancel_requested"}),
)
OUTBOX: Final = RunTable("run_outbox", ("position", "topic", "run_id", "at", "data"), (0,))
RUN_TABLES: Final = (RUNS, HISTORY, INBOX, TIMERS, TASKS, OUTBOX)
"""In the order in which they are handed over."""


class Resharding:
    """Rows as they must be in a store with another number of shards.

    Args:
        shard_of: The shard there of a workflow id of a namespace.
    """

    def __init__(self, shard_of: Callable[[str, str], ShardId]) -> None:
        self._shard_of = shard_of
        self._shards: dict[str, ShardId] = {}
        """Of the open runs, which alone have timers and tasks."""

    def __call__(self, table: RunTable, row: Row) -> Row:
        """The row there. Runs must come first."""
        if table is RUNS:
            return self._run(row)
        if table is TIMERS:
            run_id, command_id, _, fire_at = row
            return (run_id, command_id, self._shards[run_id], fire_at)
        if table is TASKS:
            task = TaskColumns(*row)
            shard_id = self._shards[task.run_id]
            data = with_shard(task.data, shard_id)
            return task._replace(shard_id=shard_id, data=data)
        return row

    def _run(self, row: Row) -> Row:
        number, *columns = row
        run = RunColumns(*columns)
        shard_id = self._shard_of(run.namespace, run.workflow_id)
        if run.is_open:
            self._shards[run.run_id] = shard_id
        return (number, *run_columns(replace(decode_run(run.data), shard_id=shard_id)))
