"""Carries out activities in this process: the use cases of the platform, for one.

An attempt is claimed, given signs of life while it runs, and reported. Its outcome is reported until
the store takes it or says that the attempt is no longer the current one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from hodei.durable import payloads, tasks
from hodei.durable.definitions import signature_of
from hodei.durable.failures import Failure, blocked_failure, failure_of
from hodei.durable.runner.hints import Hints
from hodei.durable.runner.reports import Reports
from hodei.durable.runner.store_clock import StoreClock
from hodei.durable.runner.upkeep import POLL_S
from hodei.kernel.clock import IdSource
from hodei.kernel.errors import StaleAttemptError
from hodei.lifecycle.block_watch import BlockWatch, blocked
from hodei.lifecycle.race import until_first
from hodei.lifecycle.service import BackgroundLoop, TaskSet
from hodei.lifecycle.wake import Wake
from hodei.ports.durable import Batch, Committed, DurableStore
from hodei.ports.durable_rows import Payload, TaskId, TaskRow
from hodei.ports.stores import StoreUnavailableError

log = structlog.get_logger()

_BEATS_PER_LIMIT: Final = 3
"""Signs of life within the time after which an attempt is given up."""


class Attempt:
    """What an activity may know of the attempt that it is.

    Attributes:
        key: The same over all attempts: give it to other systems as an idempotency key.
        token: Grows with each attempt: give it to other systems as a fencing token.
        number: 1 for the first.
        last_details: What the attempt before said last with `heartbeat`; None for nothing.
    """

    def __init__(self, task: TaskRow) -> None:
        self.key = str(task.task_id)
        self.token = task.token
        self.number = task.attempt
        self.last_details = task.heartbeat_details
        self.details: Payload | None = None
        self.beat = Wake()

    def heartbeat(self, details: object = None) -> None:
        """Says how far it has got; the next attempt gets it, should there be one."""
        self.details = payloads.encode(details, what="details of a heartbeat")
        self.beat.notify()

    def details_as(self, wanted: Any) -> Any:
        """`last_details` as an instance of the type `wanted`; None for nothing."""
        if self.last_details is None:
            return None
        return payloads.decode(self.last_details, wanted, what="details of a heartbeat")


Handler = Callable[..., Awaitable[Any]]
"""Carries out an activity: takes the `Attempt`, then the arguments. It is cancelled when its run no
longer wants it, or when its attempt was given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """What a worker works with."""

    name: str
    store: DurableStore
    clock: StoreClock
    ids: IdSource
    hints: Hints
    handlers: Mapping[str, Handler]
    """By the name of the activity."""
    on_failure: Callable[[str, BaseException], None]
    watch: BlockWatch = field(default_factory=BlockWatch)
    """Cuts activities that hold up the event loop, once it was started."""


class ActivityWorker:
    """Claims tasks of some queues and carries them out, a service.

    Args:
        parts: What it works with.
        queues: Says from which it takes just now.
        slots: How many at once.
    """

    def __init__(
        self, parts: WorkerParts, queues: Callable[[], Sequence[str]], *, slots: int = 64
    ) -> None:
        self._parts = parts
        self._store = parts.store
        self._clock = parts.clock
        self._queues = queues
        self._slots = slots
        self._running = TaskSet()
        self._loop = BackgroundLoop("activities", self._claim_for_ever, on_failure=parts.on_failure)

    async def start(self) -> None:
        """Begins to claim."""
        await self._loop.start()

    async def stop(self) -> None:
        """Cuts what runs: it is tried again, when its signs of life stay away. Idempotent."""
        await self._loop.stop()
        await self._running.close()

    async def cut(self) -> None:
        """Cuts what runs, as `stop` does, and goes on to claim."""
        await self._running.close()

    async def _claim_for_ever(self) -> None:
        while True:
            try:
                await self._claim()
            except StoreUnavailableError as error:
                log.warning("durable_store_unavailable", part="activities", error=str(error))
            await self._parts.hints.tasks.wait_up_to(POLL_S)

    async def _claim(self) -> None:
        free = self._slots - len(self._running)
        if free <= 0:
            return
        claimable = await self._store.claimable_tasks(self._queues(), limit=free)
        # Side by side, so that a store which commits in groups commits them together.
        async with asyncio.TaskGroup() as group:
            for task in claimable:
                if task.activity in self._parts.handlers:
                    group.create_task(self._claim_one(task))

    async def _claim_one(self, task: TaskRow) -> None:
        now = self._clock.now()
        token_bits = self._parts.ids.token_bits()
        write = tasks.claim(task, worker=self._parts.name, token_bits=token_bits, now=now)
        try:
            outcome = await self._store.commit(Batch(at=now, tasks=(write,)))
        except StoreUnavailableError as error:
            # If it was written all the same, the attempt ends for want of signs of life.
            log.warning("task_not_claimed", task_id=task.task_id, error=str(error))
            return
        if isinstance(outcome, Committed) and write.after is not None:
            self._parts.hints.task_times.notify()
            self._running.start(self._carry_out(write.after), name=f"task {task.task_id}")

    async def _carry_out(self, task: TaskRow) -> None:
        attempt = Attempt(task)
        outcome: list[Payload | Failure] = []
        try:
            await until_first(
                self._perform(task, attempt, outcome), self._stay_alive(task, attempt)
            )
        finally:
            # A slot is free.
            self._parts.hints.tasks.notify()
        if not outcome:
            outcome.append(Failure(type="Cancelled", message="its run no longer wants it"))
        await self._report(task, outcome[0])

    async def _perform(
        self, task: TaskRow, attempt: Attempt, outcome: list[Payload | Failure]
    ) -> None:
        handler = self._parts.handlers[task.activity]
        what = f"activity {task.activity}"
        types = signature_of(handler)
        wanted = tuple[types.parameters[1:]] if not types.takes_any_number else tuple[Any, ...]
        try:
            with self._parts.watch.watching():
                arguments = payloads.decode(task.input, wanted, what=f"input of {what}")
                result = await handler(attempt, *arguments)
                payload = payloads.encode(result, what=f"result of {what}")
            outcome.append(payload)
        except Exception as error:  # noqa: BLE001 - whatever an activity raises is its outcome
            outcome.append(failure_of(error))
        except BaseException as error:
            if (cut := blocked(error)) is None:
                raise
            log.error(  # noqa: TRY400 - its place is all there is to know
                "activity_blocked_the_loop", activity=task.activity, where=cut.where
            )
            outcome.append(blocked_failure(cut))

    async def _stay_alive(self, task: TaskRow, attempt: Attempt) -> None:
        """Gives signs of life; returns when the attempt is not wanted any more."""
        limit_s = task.limits.heartbeat_s
        beat_s = POLL_S if limit_s is None else limit_s / _BEATS_PER_LIMIT
        while True:
            await attempt.beat.wait_up_to(beat_s)
            try:
                if not await self._beat(task.task_id, task.token, attempt.details):
                    return
            except StaleAttemptError:
                return
            except StoreUnavailableError as error:
                log.warning("durable_store_unavailable", part="activities", error=str(error))

    async def _beat(self, task_id: TaskId, token: int, details: Payload | None) -> bool:
        while True:
            task = tasks.require_current(await self._store.load_task(task_id), token)
            if task.cancel_requested:
                return False
            now = self._clock.now()
            write = tasks.heartbeat(task, token=token, details=details, now=now)
            if isinstance(await self._store.commit(Batch(at=now, tasks=(write,))), Committed):
                return True

    async def _report(self, task: TaskRow, outcome: Payload | Failure) -> None:
        report = Reports(self._store, self._clock, self._parts.hints)
        while True:
            try:
                if isinstance(outcome, Payload):
                    await report.succeeded(task.task_id, token=task.token, result=outcome)
                else:
                    await report.failed(task.task_id, token=task.token, failure=outcome)
            except StaleAttemptError:
                log.info("attempt_discarded", task_id=task.task_id, attempt=task.attempt)
            except StoreUnavailableError as error:
                log.warning("durable_store_unavailable", part="activities", error=str(error))
                await asyncio.sleep(POLL_S)
                continue
            return
