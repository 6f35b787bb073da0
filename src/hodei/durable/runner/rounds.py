"""One round of a run: what has come goes in, what the code makes of it is committed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, auto
from typing import Final

import structlog

from hodei.durable import codec, planning
from hodei.durable.codec import UnreadableEventError
from hodei.durable.definitions import Workflow, Workflows
from hodei.durable.events import Notification, RunStarted, turn
from hodei.durable.loop.instance import Instance, TaskFailedError
from hodei.durable.payloads import UnreadablePayloadError
from hodei.durable.recorded import Recorded, recorded
from hodei.durable.replay import NonDeterminismError, extend, rebuild
from hodei.durable.runner.activation import Activator, StuckError
from hodei.durable.runner.desk import Desk, Desks
from hodei.durable.runner.hints import Hints
from hodei.durable.runner.shards import Shards
from hodei.durable.runner.steps import StepResult
from hodei.durable.runner.store_clock import StoreClock
from hodei.kernel.errors import BrokenError
from hodei.ports.durable import (
    MAX_HISTORY_PAGE,
    Batch,
    Committed,
    DurableStore,
    Fence,
    Fenced,
)
from hodei.ports.durable_rows import OPEN, InboxRow, ParkReason, RunId, RunRow

log = structlog.get_logger()

MAX_HISTORY_EVENTS: Final = 51_200
MAX_HISTORY_BYTES: Final = 50 * 2**20
"""A run that grows past either is parked: it should have been split into several."""

_WHOLE_INBOX: Final = 100_000
"""A run that ends must have read all of it."""


class RoundEnd(Enum):
    """How a round ended."""

    IDLE = auto()
    """Everything that was there is done, or nothing may be done now."""
    TRY_AGAIN = auto()
    """What was stored was not what was in memory; the next round reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What a round begins with."""

    events: list[tuple[Notification, datetime]]
    consumed: tuple[int, ...]
    results: list[StepResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundParts:
    """What rounds work with."""

    store: DurableStore
    workflows: Workflows
    clock: StoreClock
    shards: Shards
    activator: Activator
    hints: Hints
    desks: Desks


class Rounds:
    """Carries out rounds. At most one for each run at a time.

    Raises in all of its methods:
        StoreUnavailableError: It is not known what was committed; the live instance is gone.
    """

    def __init__(self, parts: RoundParts) -> None:
        self._store = parts.store
        self._workflows = parts.workflows
        self._clock = parts.clock
        self._shards = parts.shards
        self._activator = parts.activator
        self._hints = parts.hints
        self._desks = parts.desks

    async def round(self, desk: Desk) -> RoundEnd:
        """Lets a run hear of what has come and commits what its code makes of it."""
        try:
            return await self._round(desk)
        except Exception:
            # The cache is never ahead of the store.
            self._desks.drop_instance(desk)
            raise

    async def give_back(self, desk: Desk) -> None:
        """Takes back the count of a round that did not come to its end, as nothing has crashed."""
        row = await self._store.load_run(desk.run_id)
        fence = self._shards.fence(desk.shard_id)
        if row is not None and row.status in OPEN and row.crashes and fence is not None:
            after = replace(row, revision=row.revision + 1, crashes=0)
            await self._store.commit(Batch(at=self._clock.now(), fence=fence, runs=(after,)))

    async def _round(self, desk: Desk) -> RoundEnd:
        fence = self._shards.fence(desk.shard_id)
        if fence is None:
            return RoundEnd.IDLE
        row = desk.row if desk.instance is not None else await self._load(desk)
        inbox = await self._read_inbox(desk)
        if row is None or not self._has_work(desk, row, inbox):
            return RoundEnd.IDLE
        if not desk.is_counted or not row.crashes:
            if row.crashes >= planning.MAX_CRASHES:
                return await self._park(desk, row, ParkReason.CRASHED, _crashed(row))
            row = await self._begin(desk, row, fence)
        return RoundEnd.TRY_AGAIN if row is None else await self._try(desk, row, inbox, fence)

    async def _read_inbox(self, desk: Desk) -> list[InboxRow]:
        if not desk.has_mail:
            # A read for each local step would double its cost. What came meanwhile is hinted at or
            # found by the next look; and a run cannot end without having read it.
            return []
        desk.has_mail = False
        return await self._store.read_inbox(desk.run_id, limit=_WHOLE_INBOX)

    def _has_work(self, desk: Desk, row: RunRow, inbox: list[InboxRow]) -> bool:
        if row.runnable_at is None or row.runnable_at > self._clock.now():
            return False
        is_taken_over = desk.instance is None and row.local_pending
        return bool(inbox or desk.steps.results() or is_taken_over)

    async def _try(self, desk: Desk, row: RunRow, inbox: list[InboxRow], fence: Fence) -> RoundEnd:
        try:
            return await self._grow(desk, row, inbox, fence)
        except NonDeterminismError as error:
            reason, message = ParkReason.NON_DETERMINISM, str(error)
        except StuckError as error:
            # Its thread still runs it: nobody else may touch it.
            desk.instance = None
            reason, message = ParkReason.TASK_FAILED, str(error)
        except TaskFailedError as error:
            reason, message = ParkReason.TASK_FAILED, str(error)
        except _DefinitionMissingError as error:
            reason, message = ParkReason.DEFINITION_MISSING, str(error)
        except (UnreadableEventError, UnreadablePayloadError) as error:
            reason, message = ParkReason.UNREADABLE, str(error)
        return await self._park(desk, row, reason, message)

    async def _load(self, desk: Desk) -> RunRow | None:
        row = await self._store.load_run(desk.run_id)
        return row if row is not None and row.status in OPEN else None

    async def _begin(self, desk: Desk, row: RunRow, fence: Fence) -> RunRow | None:
        batch = planning.begin(row, fence=fence, now=self._clock.now())
        # Before it is known to be written: should its outcome stay unknown, this process lives, and
        # must not be counted as one that died.
        desk.is_counted = True
        if not await self._commit(desk, batch):
            return None
        (desk.row,) = batch.runs
        return desk.row

    async def _grow(self, desk: Desk, row: RunRow, inbox: list[InboxRow], fence: Fence) -> RoundEnd:
        given = _input(inbox, desk.steps.results(), self._clock.now())
        instance = desk.instance
        if instance is None and row.next_seq > 1:
            instance = await self._rebuild(row)
        if instance is None:
            instance = self._start(row, given)
        desk.instance, desk.row = instance, row
        grown = await self._activator.run(
            lambda: extend(instance, given.events, next_seq=row.next_seq)
        )
        growth = planning.Growth(
            events=grown,
            consumed=given.consumed,
            local_pending=bool(instance.steps),
            is_compensating=instance.is_compensating,
            exhausted=instance.exhausted,
        )
        if not grown and not given.consumed:
            # A run whose owner died: its steps are carried out again.
            desk.steps.committed(given.results)
            desk.steps.bring_in_line(instance.steps)
            return RoundEnd.IDLE
        batch = planning.plan(row, growth, fence=fence, now=self._clock.now())
        (after,) = batch.runs
        _require_short(after)
        if not await self._commit(desk, batch):
            return RoundEnd.TRY_AGAIN
        desk.row = after
        desk.is_counted = after.crashes > 0
        desk.steps.committed(given.results)
        if after.status not in OPEN:
            self._desks.remove(desk)
        elif not desk.is_leaving:
            desk.steps.bring_in_line(instance.steps)
        return RoundEnd.IDLE

    async def _rebuild(self, row: RunRow) -> Instance:
        definition = self._definition(row)
        history = await read_history(self._store, row.run_id)
        if len(history) != row.next_seq - 1:
            raise BrokenError(
                f"run {row.run_id}: {len(history)} events, {row.next_seq - 1} counted"
            )
        return await self._activator.run(lambda: rebuild(definition, history))

    def _start(self, row: RunRow, given: Input) -> Instance:
        started, at = given.events[0]
        if not isinstance(started, RunStarted):
            raise BrokenError(f"run {row.run_id} hears of something before its start")
        return Instance(self._definition(row), started, at, marked=frozenset())

    def _definition(self, row: RunRow) -> Workflow:
        definition = self._workflows.find(row.type, row.definition_version)
        if definition is None:
            raise _DefinitionMissingError(
                f"workflow {row.type} version {row.definition_version} is not loaded here; load it "
                "for as long as runs of it are open"
            )
        return definition

    async def _park(self, desk: Desk, row: RunRow, reason: ParkReason, message: str) -> RoundEnd:
        fence = self._shards.fence(desk.shard_id)
        self._desks.drop_instance(desk)
        if fence is None:
            return RoundEnd.IDLE
        log.warning("run_parked", run_id=desk.run_id, reason=reason, message=message)
        batch = planning.park(row, reason, message, fence=fence, now=self._clock.now())
        if not await self._commit(desk, batch):
            return RoundEnd.TRY_AGAIN
        desk.is_counted = False
        return RoundEnd.IDLE

    async def _commit(self, desk: Desk, batch: Batch) -> bool:
        outcome = await self._store.commit(batch)
        if isinstance(outcome, Committed):
            self._hints.committed(batch)
            return True
        log.info("round_refused", run_id=desk.run_id, refusal=type(outcome).__name__)
        self._desks.drop_instance(desk)
        if isinstance(outcome, Fenced):
            self._shards.lost(outcome.shard_id)
        return False


def _crashed(row: RunRow) -> str:
    return (
        f"its server died {row.crashes} times in a row while it worked on this run; mend the step "
        "that does it, then let the run go on"
    )


class _DefinitionMissingError(Exception):
    """The code of a run is not loaded here."""


async def read_history(store: DurableStore, run_id: RunId) -> list[Recorded]:
    """The whole history of a run.

    Raises:
        UnreadableEventError: A newer Hodei has written it, or it is damaged.
    """
    history: list[Recorded] = []
    while True:
        rows = await store.read_history(run_id, after_seq=len(history))
        history += [recorded(each) for each in rows]
        if len(rows) < MAX_HISTORY_PAGE:
            return history


def _input(inbox: Sequence[InboxRow], results: list[StepResult], now: datetime) -> Input:
    """What came, in the order in which the run hears of it."""
    arrived: list[tuple[Notification, datetime]] = [
        (_notification(each), each.at) for each in inbox
    ]
    arrived += [(each, now) for each in results]
    return Input(
        events=sorted(arrived, key=lambda each: turn(each[0])),
        consumed=tuple(each.id for each in inbox),
        results=results,
    )


def _notification(row: InboxRow) -> Notification:
    return codec.decode_delivery(row.delivery.data)  # type: ignore[return-value] - only those are sent


def _require_short(row: RunRow) -> None:
    if row.next_seq > MAX_HISTORY_EVENTS or row.history_bytes > MAX_HISTORY_BYTES:
        raise TaskFailedError(
            f"its history would have {row.next_seq - 1} events and {row.history_bytes} bytes; "
            f"{MAX_HISTORY_EVENTS} and {MAX_HISTORY_BYTES} are allowed: split it into several runs"
        )
