"""Writes of the saga engine: what a group of its batches comes to."""

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Final

from hodei.ports.durable import Batch, Committed, Refusal
from hodei.wire.run_group import GroupOfRuns
from hodei.wire.run_heads import Heads, read_heads, wanted

from .bulk import BulkStatement
from .named_sql import load

_SQL: Final = load("runs.sql")
_CHANGE_RUNS: Final = BulkStatement(_SQL["change_runs"])
_INSERT_RUNS: Final = BulkStatement(_SQL["insert_runs"])
_INSERT_HISTORY: Final = BulkStatement(_SQL["insert_history"])
_DELETE_TIMERS: Final = BulkStatement(_SQL["delete_timers"])
_PUT_TIMERS: Final = BulkStatement(_SQL["put_timers"])
_PUT_TASKS: Final = BulkStatement(_SQL["put_tasks"])
_INSERT_INBOX: Final = BulkStatement(_SQL["insert_inbox"])
_INSERT_OUTBOX: Final = BulkStatement(_SQL["insert_outbox"])

Ownership = tuple[str | None, int, int]
"""The owner and the epoch of a shard, and which one it is."""


def write_batches(
    connection: sqlite3.Connection, batches: Sequence[Batch]
) -> list[Committed | Refusal]:
    """Writes batches within the transaction of the caller."""
    group = GroupOfRuns(_heads(connection, batches))
    outcomes = [group.add(each) for each in batches]
    _write(connection, group)
    return outcomes


def write_owners(connection: sqlite3.Connection, owners: Sequence[Ownership]) -> None:
    """Writes who owns shards, within the transaction of the caller."""
    for each in owners:
        connection.execute(_SQL["own_shard"], each)


def size_of(batch: Batch) -> int:
    """How many writes a batch has."""
    return (
        len(batch.runs)
        + len(batch.new_runs)
        + len(batch.history)
        + len(batch.timers)
        + len(batch.timers_fired)
        + len(batch.tasks_new)
        + len(batch.tasks)
        + len(batch.deliveries)
    )


def _heads(connection: sqlite3.Connection, batches: Sequence[Batch]) -> Heads:
    keys = {name: json.dumps(each) for name, each in asdict(wanted(batches)).items()}
    return read_heads(connection.execute(_SQL["heads"], keys).fetchone()[0])


def _write(connection: sqlite3.Connection, group: GroupOfRuns) -> None:
    # Runs that end make room for others of their workflow id.
    _CHANGE_RUNS.execute(connection, [each.changing for each in group.runs.values()])
    _INSERT_RUNS.execute(connection, list(group.new_runs.values()))
    _INSERT_HISTORY.execute(connection, group.history)
    _DELETE_TIMERS.execute(connection, list(group.timers_gone))
    _PUT_TIMERS.execute(connection, list(group.timers.values()))
    _by_keys(connection, "delete_tasks", group.tasks_gone)
    _PUT_TASKS.execute(connection, list(group.tasks.values()))
    for task_id, times in group.tasks_cancelled.items():
        connection.execute(_SQL["cancel_task"], (times, task_id))
    _by_keys(connection, "mark_read", group.read)
    _INSERT_INBOX.execute(connection, group.inbox)
    _INSERT_OUTBOX.execute(connection, group.outbox)
    for statement in ("clear_timers", "clear_tasks", "clear_inbox"):
        _by_keys(connection, statement, group.closed)


def _by_keys(connection: sqlite3.Connection, statement: str, keys: Collection[str | int]) -> None:
    if keys:
        connection.execute(_SQL[statement], [json.dumps(list(keys))])
