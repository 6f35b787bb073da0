"""What the conformance suite of the saga engine's stores needs to know of each, and material.

A new store gets an entry in `OPENERS`; the suite asks for nothing else. Time is the store's own, so
the suite never jumps it: what must be due lies in the past, what must not lies an hour ahead, and a
lease that must have run out was taken for no time at all.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hodei.adapters.memory import MemoryDurableStore
from hodei.adapters.postgres.runs import PostgresDurableStore
from hodei.adapters.sqlite import SqliteStore
from hodei.kernel.ids import ServerId
from hodei.lifecycle.system_clock import SystemClock
from hodei.ports.durable import Batch, Committed, DurableStore, Refusal
from hodei.ports.durable_rows import (
    Delivery,
    DeliveryKind,
    HistoryRow,
    Payload,
    RetryRule,
    RunId,
    RunRow,
    RunStatus,
    ShardId,
    TaskId,
    TaskLimits,
    TaskRow,
    TaskState,
    TimerKey,
    TimerRow,
)

Opener = Callable[[Path, str], AbstractAsyncContextManager[DurableStore]]
"""Takes an empty directory and the URL of an empty PostgreSQL database, of which it needs one."""


@asynccontextmanager
async def _open_memory(_: Path, __: str) -> AsyncIterator[DurableStore]:
    yield MemoryDurableStore(SystemClock())


@asynccontextmanager
async def _open_sqlite(data_dir: Path, _: str) -> AsyncIterator[DurableStore]:
    store = await SqliteStore.open(data_dir)
    yield store.durable(SystemClock())
    await store.close()


@asynccontextmanager
async def _open_postgres(_: Path, url: str) -> AsyncIterator[DurableStore]:
    store = await PostgresDurableStore.open(url)
    yield store
    await store.close()


OPENERS: dict[str, Opener] = {
    "memory": _open_memory,
    "sqlite": _open_sqlite,
    "postgres": _open_postgres,
}

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
PAST = NOON
FUTURE = datetime(2100, 1, 1, tzinfo=UTC)
R1 = RunId("00000000-0000-7000-8000-000000000001")
R2 = RunId("00000000-0000-7000-8000-000000000002")
SHARD = ShardId(0)
A = ServerId("server-a")
B = ServerId("server-b")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def run_row(run_id: RunId = R1, **changes: object) -> RunRow:
    row = RunRow(
        run_id=run_id,
        revision=1,
        namespace="default",
        workflow_id=f"wf-{run_id[-1]}",
        type="greet",
        definition_version=1,
        engine_version=1,
        shard_id=SHARD,
        request_id="",
        status=RunStatus.RUNNING,
        next_seq=1,
        history_bytes=0,
        runnable_at=NOON,
        local_pending=False,
        crashes=0,
        failures=0,
        parked=None,
        first_run_id=run_id,
        parent=None,
        started_at=NOON,
        closed_at=None,
        outcome=b"",
    )
    return replace(row, **changes)


def evolved(row: RunRow, **changes: object) -> RunRow:
    return replace(row, revision=row.revision + 1, **changes)


def event(seq: int, run_id: RunId = R1, **changes: object) -> HistoryRow:
    row = HistoryRow(
        run_id=run_id, seq=seq, command_id=None, kind="Tested", at=at(seq), data=b"\x00\xff"
    )
    return replace(row, **changes)


def delivery(
    key: str, run_id: RunId = R1, kind: DeliveryKind = DeliveryKind.SIGNAL, data: bytes = b"\x00"
) -> Delivery:
    return Delivery(run_id=run_id, key=key, kind=kind, data=data)


def timer(command_id: int, fire_at: datetime, run_id: RunId = R1) -> TimerRow:
    return TimerRow(
        key=TimerKey(run_id=run_id, command_id=command_id), shard_id=SHARD, fire_at=fire_at
    )


def task(command_id: int, run_id: RunId = R1, **changes: object) -> TaskRow:
    row = TaskRow(
        task_id=TaskId(f"{run_id}/{command_id}"),
        revision=1,
        run_id=run_id,
        command_id=command_id,
        shard_id=SHARD,
        queue="platform",
        priority=0,
        activity="send",
        input=Payload(codec="json", data=b"[1]"),
        retry=RetryRule(max_attempts=3, initial_s=1.5, factor=2, max_s=60, never_on=("Bad",)),
        limits=TaskLimits(
            schedule_to_close_s=60, schedule_to_start_s=None, start_to_close_s=1.25, heartbeat_s=5
        ),
        state=TaskState.QUEUED,
        attempt=0,
        token=0,
        worker="",
        scheduled_at=NOON,
        available_at=PAST,
        started_at=None,
        heartbeat_at=None,
        heartbeat_details=None,
        due_at=None,
        cancel_requested=False,
        last_failure=b"",
    )
    return replace(row, **changes)


async def write(store: DurableStore, **parts: object) -> Committed:
    """Commits a batch that must be taken."""
    committed = await attempt(store, **parts)
    assert isinstance(committed, Committed), committed
    return committed


async def attempt(store: DurableStore, **parts: object) -> Committed | Refusal:
    return await store.commit(replace(Batch(at=NOON), **parts))
