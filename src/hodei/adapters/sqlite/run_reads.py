"""Reads of the saga engine. Each function takes a connection, and runs on a reader's thread."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

from hodei.ports.durable import RunFilter, RunPage
from hodei.ports.durable_rows import (
    HistoryRow,
    InboxRow,
    OutboxRow,
    RunId,
    RunRow,
    ShardId,
    TaskId,
    TaskRow,
    TimerRow,
)
from hodei.wire.cursors import decode_cursor, encode_cursor
from hodei.wire.instants import from_micros, to_micros
from hodei.wire.run_rows import (
    decode_run,
    decode_tasks,
    history_rows,
    inbox_rows,
    outbox_rows,
    timer_rows,
)

from .named_sql import load

_SQL: Final = load("runs.sql")
_KIND: Final = "runs"


def load_run(connection: sqlite3.Connection, run_id: RunId) -> RunRow | None:
    """See `RunReads.load_run`."""
    return _one_run(connection, "run_by_id", run_id=run_id)


def newest_run(connection: sqlite3.Connection, namespace: str, workflow_id: str) -> RunRow | None:
    """See `RunReads.newest_run`."""
    return _one_run(connection, "newest_run", namespace=namespace, workflow_id=workflow_id)


def list_runs(
    connection: sqlite3.Connection, run_filter: RunFilter, *, limit: int, cursor: str
) -> RunPage:
    """See `RunReads.list_runs`."""
    parameters = {
        "namespace": run_filter.namespace,
        "workflow_id": run_filter.workflow_id,
        "type": run_filter.type,
        "statuses": json.dumps(run_filter.statuses),
        "before": decode_cursor(_KIND, cursor),
        # One more than is shown says whether there is a page after it.
        "limit": limit + 1,
    }
    found = connection.execute(list_statement(run_filter), parameters).fetchall()
    return RunPage(
        runs=tuple(decode_run(data) for _, data in found[:limit]),
        next_cursor=encode_cursor(_KIND, found[limit - 1][0]) if len(found) > limit else "",
    )


def list_statement(run_filter: RunFilter) -> LiteralString:
    """The query of a page, put together from named parts."""
    kind = "runs_of_statuses" if run_filter.statuses else "runs"
    asked = (
        (run_filter.namespace, "has_namespace"),
        (run_filter.workflow_id, "has_workflow_id"),
        (run_filter.type, "has_type"),
        (run_filter.only_parked, "is_parked"),
    )
    conditions: list[LiteralString] = [_SQL[name] for is_asked, name in asked if is_asked]
    parts: list[LiteralString] = [_SQL[f"{kind}_head"], *conditions, _SQL[f"{kind}_tail"]]
    return "\n".join(parts)


def runs_due(
    connection: sqlite3.Connection, shards: Sequence[ShardId], now: datetime, limit: int
) -> list[RunId]:
    """See `RunReads.runs_due`."""
    return [RunId(run_id) for (run_id,) in _due(connection, "runs_due", shards, now, limit)]


def read_history(
    connection: sqlite3.Connection, run_id: RunId, after_seq: int, limit: int
) -> list[HistoryRow]:
    """See `RunReads.read_history`."""
    parameters = {"run_id": run_id, "after": after_seq, "limit": limit}
    return history_rows(connection.execute(_SQL["history_after"], parameters).fetchall())


def read_inbox(connection: sqlite3.Connection, run_id: RunId, limit: int) -> list[InboxRow]:
    """See `RunReads.read_inbox`."""
    parameters = {"run_id": run_id, "limit": limit}
    return inbox_rows(connection.execute(_SQL["unread_of"], parameters).fetchall())


def read_outbox(
    connection: sqlite3.Connection, after: int, limit: int
) -> list[tuple[int, OutboxRow]]:
    """See `RunReads.read_outbox`."""
    parameters = {"after": after, "limit": limit}
    return outbox_rows(connection.execute(_SQL["outbox_after"], parameters).fetchall())


def timers_due(
    connection: sqlite3.Connection, shards: Sequence[ShardId], now: datetime, limit: int
) -> list[TimerRow]:
    """See `WorkReads.timers_due`."""
    return timer_rows(_due(connection, "timers_due", shards, now, limit))


def next_timer(connection: sqlite3.Connection, shards: Sequence[ShardId]) -> datetime | None:
    """See `WorkReads.next_timer`."""
    (at,) = connection.execute(_SQL["next_timer"], {"shards": json.dumps(shards)}).fetchone()
    return None if at is None else from_micros(at)


def timers_of(connection: sqlite3.Connection, run_id: RunId) -> list[TimerRow]:
    """See `WorkReads.timers_of`."""
    return timer_rows(connection.execute(_SQL["timers_of"], {"run_id": run_id}).fetchall())


def load_task(connection: sqlite3.Connection, task_id: TaskId) -> TaskRow | None:
    """See `WorkReads.load_task`."""
    found = decode_tasks(connection.execute(_SQL["task_by_id"], {"task_id": task_id}).fetchall())
    return found[0] if found else None


def tasks_of(connection: sqlite3.Connection, run_id: RunId) -> list[TaskRow]:
    """See `WorkReads.tasks_of`."""
    return decode_tasks(connection.execute(_SQL["tasks_of"], {"run_id": run_id}).fetchall())


def claimable_tasks(
    connection: sqlite3.Connection, queues: Sequence[str], now: datetime, limit: int
) -> list[TaskRow]:
    """See `WorkReads.claimable_tasks`."""
    parameters = {
        "queues": json.dumps(list(dict.fromkeys(queues))),
        "now": to_micros(now),
        "limit": limit,
    }
    return decode_tasks(connection.execute(_SQL["claimable_tasks"], parameters).fetchall())


def overdue_tasks(
    connection: sqlite3.Connection, shards: Sequence[ShardId], now: datetime, limit: int
) -> list[TaskRow]:
    """See `WorkReads.overdue_tasks`."""
    return decode_tasks(_due(connection, "overdue_tasks", shards, now, limit))


def next_task_time(
    connection: sqlite3.Connection, shards: Sequence[ShardId], now: datetime
) -> datetime | None:
    """See `WorkReads.next_task_time`."""
    parameters = {"shards": json.dumps(shards), "now": to_micros(now)}
    (at,) = connection.execute(_SQL["next_task_time"], parameters).fetchone()
    return None if at is None else from_micros(at)


def shard_epochs(connection: sqlite3.Connection) -> dict[ShardId, int]:
    """The epoch of every shard."""
    return {ShardId(id_): epoch for id_, epoch in connection.execute(_SQL["shards"])}


def _one_run(connection: sqlite3.Connection, query: str, **parameters: str) -> RunRow | None:
    row = connection.execute(_SQL[query], parameters).fetchone()
    return None if row is None else decode_run(row[0])


def _due(
    connection: sqlite3.Connection,
    query: str,
    shards: Sequence[ShardId],
    now: datetime,
    limit: int,
) -> list[tuple[Any, ...]]:
    parameters = {"shards": json.dumps(shards), "now": to_micros(now), "limit": limit}
    return connection.execute(_SQL[query], parameters).fetchall()
