"""What the saga engine stores, as rows of a database.

Shared by the stores that have tables. A run or a task is kept whole in `data`; beside it are the
columns by which it is looked for. Instants are microseconds since 1970 in UTC.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from hodei.ports.durable_rows import (
    OPEN,
    Delivery,
    DeliveryKind,
    HistoryRow,
    InboxRow,
    OutboxRow,
    RunId,
    RunRow,
    ShardId,
    TaskRow,
    TaskState,
    TimerKey,
    TimerRow,
)
from hodei.wire.instants import from_micros, to_micros

_encoder: Final = msgspec.msgpack.Encoder()
_run_decoder: Final = msgspec.msgpack.Decoder(RunRow)
_task_decoder: Final = msgspec.msgpack.Decoder(TaskRow)


class RunColumns(NamedTuple):
    """A row of `runs`, but for its number."""

    run_id: str
    namespace: str
    workflow_id: str
    type: str
    shard_id: int
    request_id: str
    revision: int
    status: str
    is_open: bool
    runnable_at: int | None
    local_pending: bool
    is_parked: bool
    data: bytes

    @property
    def changing(self) -> tuple[Any, ...]:
        """The id and what a later write may change, in this order."""
        return (self.run_id, *self[6:])


class TaskColumns(NamedTuple):
    """A row of `run_tasks`."""

    task_id: str
    run_id: str
    command_id: int
    shard_id: int
    queue: str
    priority: int
    revision: int
    is_queued: bool
    available_at: int
    due_at: int | None
    cancel_requested: bool
    data: bytes


def run_columns(row: RunRow) -> RunColumns:
    """A run as it is stored."""
    return RunColumns(
        run_id=row.run_id,
        namespace=row.namespace,
        workflow_id=row.workflow_id,
        type=row.type,
        shard_id=row.shard_id,
        request_id=row.request_id,
        revision=row.revision,
        status=row.status.value,
        is_open=row.status in OPEN,
        runnable_at=_micros(row.runnable_at),
        local_pending=row.local_pending,
        is_parked=row.parked is not None,
        data=_encoder.encode(row),
    )


def decode_run(data: bytes) -> RunRow:
    """The run of its `data`."""
    return _run_decoder.decode(data)


def task_columns(row: TaskRow) -> TaskColumns:
    """A task as it is stored."""
    return TaskColumns(
        task_id=row.task_id,
        run_id=row.run_id,
        command_id=row.command_id,
        shard_id=row.shard_id,
        queue=row.queue,
        priority=row.priority,
        revision=row.revision,
        is_queued=row.state is TaskState.QUEUED,
        available_at=to_micros(row.available_at),
        due_at=_micros(row.due_at),
        cancel_requested=row.cancel_requested,
        data=_encoder.encode(row),
    )


def with_shard(data: bytes, shard_id: ShardId) -> bytes:
    """The `data` of a task that is in another shard."""
    return _encoder.encode(replace(_task_decoder.decode(data), shard_id=shard_id))


def decode_tasks(rows: Iterable[Any]) -> list[TaskRow]:
    """Tasks of their `data`, `revision` and `cancel_requested`.

    A request to cancel is written beside `data`, by whoever has not read the task.
    """
    return [
        replace(_task_decoder.decode(data), revision=revision, cancel_requested=bool(is_cancelled))
        for data, revision, is_cancelled in rows
    ]


def history_columns(row: HistoryRow) -> tuple[Any, ...]:
    """A row of `run_history`."""
    return (row.run_id, row.seq, row.command_id, row.kind, to_micros(row.at), row.data)


def history_rows(rows: Iterable[Any]) -> list[HistoryRow]:
    """Rows of `run_history` as they were written."""
    return [
        HistoryRow(
            run_id=RunId(run_id),
            seq=seq,
            command_id=command_id,
            kind=kind,
            at=from_micros(at),
            data=data,
        )
        for run_id, seq, command_id, kind, at, data in rows
    ]


def inbox_rows(rows: Iterable[Any]) -> list[InboxRow]:
    """Rows of `run_inbox` as they were delivered."""
    return [
        InboxRow(
            id=id_,
            delivery=Delivery(run_id=RunId(run_id), key=key, kind=DeliveryKind(kind), data=data),
            at=from_micros(at),
        )
        for id_, run_id, key, kind, at, data in rows
    ]


def timer_columns(row: TimerRow) -> tuple[Any, ...]:
    """A row of `run_timers`."""
    return (row.key.run_id, row.key.command_id, row.shard_id, to_micros(row.fire_at))


def timer_rows(rows: Iterable[Any]) -> list[TimerRow]:
    """Rows of `run_timers` as they were written."""
    return [
        TimerRow(
            key=TimerKey(run_id=RunId(run_id), command_id=command_id),
            shard_id=ShardId(shard_id),
            fire_at=from_micros(fire_at),
        )
        for run_id, command_id, shard_id, fire_at in rows
    ]


def outbox_columns(row: OutboxRow) -> tuple[Any, ...]:
    """A row of `run_outbox`, but for its position."""
    return (row.topic, row.run_id, to_micros(row.at), row.data)


def outbox_rows(rows: Iterable[Any]) -> list[tuple[int, OutboxRow]]:
    """Rows of `run_outbox` with their positions."""
    return [
        (position, OutboxRow(topic=topic, run_id=RunId(run_id), at=from_micros(at), data=data))
        for position, topic, run_id, at, data in rows
    ]


def _micros(instant: datetime | None) -> int | None:
    return None if instant is None else to_micros(instant)
