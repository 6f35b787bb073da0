"""From the events that a run grew by to the batch that makes them true."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from hodei.durable import codec, tasks
from hodei.durable.events import (
    CLOSING,
    ActivityCancelAsked,
    ActivityScheduled,
    CompensationExhausted,
    Event,
    RunCancelled,
    RunCompleted,
    RunFailed,
    TimerCancelled,
    TimerStarted,
)
from hodei.durable.recorded import Recorded
from hodei.ports.durable import Batch, Fence
from hodei.ports.durable_rows import (
    HistoryRow,
    OutboxRow,
    Parked,
    ParkReason,
    RunRow,
    RunStatus,
    TaskRow,
    TimerKey,
    TimerRow,
)

_CLOSED: Final[dict[type[Event], RunStatus]] = {
    RunCompleted: RunStatus.COMPLETED,
    RunFailed: RunStatus.FAILED,
    RunCancelled: RunStatus.CANCELLED,
}

FIRST_BACKOFF_S: Final = 1.0
LONGEST_BACKOFF_S: Final = 600.0
MAX_CRASHES: Final = 3
"""Deaths of a server in a row while it worked on a run, after which the run is suspended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What one round made of a run."""

    events: Sequence[Recorded]
    consumed: tuple[int, ...]
    """Inbox rows that are accounted for, those included that leave no trace."""
    local_pending: bool
    is_compensating: bool
    exhausted: CompensationExhausted | None


def plan(row: RunRow, growth: Growth, *, fence: Fence, now: datetime) -> Batch:
    """The one batch of a round. Its `runs[0]` is the run after it."""
    history = tuple(history_row(row, each) for each in growth.events)
    after = replace(
        row,
        revision=row.revision + 1,
        next_seq=row.next_seq + len(history),
        history_bytes=row.history_bytes + sum(len(each.data) for each in history),
        local_pending=growth.local_pending,
        # Counted for the next round in the commit of this one: the steps that it leaves pending are
        # carried out before that begins.
        crashes=1 if growth.local_pending else 0,
        failures=0,
        status=RunStatus.COMPENSATING if growth.is_compensating else RunStatus.RUNNING,
        parked=_parked(row, growth, now),
    )
    last = growth.events[-1] if growth.events else None
    is_closing = last is not None and type(last.event) in CLOSING
    if last is not None and is_closing:
        after = _closed(after, last)
    timers, gone = ((), ()) if is_closing else _timers(row, growth.events)
    tasks_new, cancelled = ((), ()) if is_closing else _tasks(row, growth.events)
    return Batch(
        at=now,
        fence=fence,
        runs=(after,),
        require_read=(row.run_id,) if is_closing else (),
        consumed=growth.consumed,
        history=history,
        timers=timers,
        timers_gone=gone,
        tasks_new=tasks_new,
        tasks_cancelled=cancelled,
        outbox=tuple(_notices(row, after, now)),
    )


def begin(row: RunRow, *, fence: Fence, now: datetime) -> Batch:
    """Says, before anything of a round is done, that it begins."""
    after = replace(row, revision=row.revision + 1, crashes=row.crashes + 1)
    return Batch(at=now, fence=fence, runs=(after,))


def park(row: RunRow, reason: ParkReason, message: str, *, fence: Fence, now: datetime) -> Batch:
    """Sets a run aside, for a while or until an operator lets it go on."""
    wait_s = min(FIRST_BACKOFF_S * 2 ** min(row.failures, 30), LONGEST_BACKOFF_S)
    until = None if reason is ParkReason.CRASHED else now + timedelta(seconds=wait_s)
    since = row.parked.since if row.parked and row.parked.reason is reason else now
    after = replace(
        row,
        revision=row.revision + 1,
        crashes=0,
        failures=row.failures + 1,
        runnable_at=until,
        parked=Parked(reason=reason, message=message, since=since),
    )
    return Batch(at=now, fence=fence, runs=(after,), outbox=tuple(_notices(row, after, now)))


def unpark(row: RunRow, *, now: datetime) -> Batch:
    """Lets a run go on at once, because an operator says so."""
    after = replace(
        row,
        revision=row.revision + 1,
        crashes=0,
        failures=0,
        runnable_at=min(now, row.runnable_at or now),
        parked=None,
    )
    return Batch(at=now, runs=(after,), outbox=tuple(_notices(row, after, now)))


def end_from_outside(row: RunRow, event: Event, *, now: datetime) -> Batch:
    """Ends a run without asking its code."""
    closing = Recorded(seq=row.next_seq, at=now, event=event)
    history = history_row(row, closing)
    after = replace(
        row,
        revision=row.revision + 1,
        next_seq=row.next_seq + 1,
        status=RunStatus.TERMINATED,
        parked=None,
        local_pending=False,
        closed_at=now,
        outcome=codec.encode_delivery(event),
    )
    outbox = tuple(_notices(row, after, now))
    return Batch(at=now, runs=(after,), history=(history,), outbox=outbox)


def history_row(row: RunRow, each: Recorded) -> HistoryRow:
    """An event as it is stored."""
    return HistoryRow(
        run_id=row.run_id,
        seq=each.seq,
        command_id=getattr(each.event, "command_id", None),
        kind=type(each.event).__name__,
        at=each.at,
        data=codec.encode(each.event),
    )


def _closed(after: RunRow, last: Recorded) -> RunRow:
    return replace(
        after,
        status=_CLOSED[type(last.event)],
        parked=None,
        local_pending=False,
        crashes=0,
        closed_at=last.at,
        outcome=codec.encode_delivery(last.event),
    )


def _parked(row: RunRow, growth: Growth, now: datetime) -> Parked | None:
    waiting = growth.exhausted
    if waiting is None:
        return None
    was = row.parked
    since = was.since if was and was.reason is ParkReason.COMPENSATION_FAILED else now
    return Parked(
        reason=ParkReason.COMPENSATION_FAILED,
        message=(
            f"compensation {waiting.name!r} (command {waiting.command_id}) failed: "
            f"{waiting.failure}. Mend the cause and have it tried again, or skip it if there is "
            "nothing left to undo."
        ),
        since=since,
    )


def _timers(
    row: RunRow, events: Sequence[Recorded]
) -> tuple[tuple[TimerRow, ...], tuple[TimerKey, ...]]:
    started: dict[int, TimerRow] = {}
    gone: list[TimerKey] = []
    for each in events:
        match each.event:
            case TimerStarted(command_id=command_id, delay_s=delay_s):
                key = TimerKey(run_id=row.run_id, command_id=command_id)
                fire_at = each.at + timedelta(seconds=delay_s)
                started[command_id] = TimerRow(key=key, shard_id=row.shard_id, fire_at=fire_at)
            case TimerCancelled(command_id=command_id):
                if started.pop(command_id, None) is None:
                    gone.append(TimerKey(run_id=row.run_id, command_id=command_id))
            case _:
                pass
    return tuple(started.values()), tuple(gone)


def _tasks(
    row: RunRow, events: Sequence[Recorded]
) -> tuple[tuple[TaskRow, ...], tuple[tasks.TaskId, ...]]:
    scheduled: dict[int, TaskRow] = {}
    cancelled: list[tasks.TaskId] = []
    for each in events:
        match each.event:
            case ActivityScheduled() as event:
                scheduled[event.command_id] = tasks.schedule(event, row, each.at)
            case ActivityCancelAsked(command_id=command_id):
                if (task := scheduled.get(command_id)) is not None:
                    scheduled[command_id] = replace(task, cancel_requested=True)
                else:
                    cancelled.append(tasks.task_id(row.run_id, command_id))
            case _:
                pass
    return tuple(scheduled.values()), tuple(cancelled)


def _notices(before: RunRow, after: RunRow, now: datetime) -> list[OutboxRow]:
    topics: list[str] = []
    was = before.parked.reason if before.parked else None
    is_now = after.parked.reason if after.parked else None
    if after.closed_at is not None:
        topics.append("run.closed")
    elif is_now is not None and is_now != was:
        topics.append("run.parked")
    elif is_now is None and was is not None:
        topics.append("run.unparked")
    data = (is_now or after.status).encode()
    return [OutboxRow(topic=each, run_id=after.run_id, at=now, data=data) for each in topics]
