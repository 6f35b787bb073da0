"""Sagas: what was done is undone, last first, when the rest fails."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from hodei.durable.events import (
    CompensationExhausted,
    CompensationRegistered,
    CompensationSkipped,
    CompensationStarted,
    Decision,
    OperatorDecided,
    SagaFailed,
    SagaUndone,
    StepCompensated,
)
from hodei.durable.failures import Failure, failure_of
from hodei.durable.loop.event_loop import WorkflowLoop
from hodei.durable.loop.recorder import Mode, Recorder
from hodei.durable.retry import FOR_EVER
from hodei.ports.durable_rows import RetryRule

T = TypeVar("T")

COMPENSATION_RULE: Final[ContextVar[RetryRule | None]] = ContextVar(
    "compensation_rule", default=None
)
"""Inside a compensation: how the steps and activities in it are tried again."""

Undo = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compensation:
    registration: int
    name: str
    undo: Undo
    rule: RetryRule


class Undoing:
    """What a run is undoing, and what of it waits for the word of an operator."""

    def __init__(self, loop: WorkflowLoop) -> None:
        self._loop = loop
        self._open = 0
        self._waiting: dict[int, tuple[CompensationExhausted, asyncio.Future[Decision]]] = {}

    @property
    def is_under_way(self) -> bool:
        """Whether any saga has failed and is not undone yet."""
        return self._open > 0

    @property
    def exhausted(self) -> CompensationExhausted | None:
        """The first compensation that waits for an operator."""
        return next((event for event, _ in self._waiting.values()), None)

    def begin(self) -> None:
        """A saga begins to undo its steps."""
        self._open += 1

    def end(self) -> None:
        """A saga has undone its steps."""
        self._open -= 1

    def waits_for(self, command_id: int) -> bool:
        """Whether a decision about this command is waited for."""
        return command_id in self._waiting

    def hear(self, decided: OperatorDecided) -> None:
        """Hands the decision to who waits for it."""
        _, future = self._waiting.pop(decided.command_id)
        if not future.done():
            future.set_result(decided.decision)

    async def decide(self, exhausted: CompensationExhausted) -> Decision:
        """Waits for the decision about a compensation."""
        future: asyncio.Future[Decision] = self._loop.create_future()
        self._waiting[exhausted.command_id] = (exhausted, future)
        return await future


class Saga:
    """Undoes its steps, last first, when the block is left with an error or a cancellation.

    The undoing is shielded: a cancellation, and another one, let it finish. It survives the process.
    A compensation that has used up its retries waits for an operator; the others wait behind it.

    The compensation of a step is registered before the step begins, as nobody can tell afterwards
    how far a step got whose server died. So a compensation must bear that there is nothing to undo.
    """

    def __init__(self, recorder: Recorder, loop: WorkflowLoop, undoing: Undoing) -> None:
        self._recorder = recorder
        self._loop = loop
        self._undoing = undoing
        self._done: list[_Compensation] = []

    async def step(
        self,
        do: Callable[[], Awaitable[T]],
        *,
        compensate: Undo,
        name: str = "",
        retry: RetryRule = FOR_EVER,
    ) -> T:
        """Registers `compensate`, then awaits `do()` and returns what it returns.

        Args:
            do: Steps, activities, whatever.
            compensate: Undoes it; the same kind of code.
            name: Stored and shown to operators.
            retry: Of the steps and activities in `compensate` that have no rule of their own.
        """
        self.on_failure(compensate, name=name, retry=retry)
        return await do()

    def on_failure(self, compensate: Undo, *, name: str = "", retry: RetryRule = FOR_EVER) -> None:
        """Registers a compensation alone; see `step`."""
        name = name or getattr(compensate, "__name__", "")
        registration = self._recorder.next_id()
        self._recorder.record(CompensationRegistered(command_id=registration, name=name))
        self._done.append(
            _Compensation(registration=registration, name=name, undo=compensate, rule=retry)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._recorder.mode is Mode.EVICTING or not self._done:
            return
        if isinstance(error, Exception | asyncio.CancelledError):
            cancelled = await self._undo(failure_of(error))
            if cancelled is not None and not isinstance(error, asyncio.CancelledError):
                raise cancelled from error

    async def _undo(self, failure: Failure) -> asyncio.CancelledError | None:
        command_id = self._recorder.next_id()
        self._recorder.record(
            SagaFailed(command_id=command_id, failure=failure, to_undo=len(self._done))
        )
        self._undoing.begin()
        cancelled = await _finish(self._loop.create_task(self._undo_all()), self._recorder)
        self._undoing.end()
        self._recorder.record(SagaUndone(command_id=command_id))
        return cancelled

    async def _undo_all(self) -> None:
        while self._done:
            await self._undo_one(self._done.pop())

    async def _undo_one(self, each: _Compensation) -> None:
        COMPENSATION_RULE.set(each.rule)
        attempt = 1
        while True:
            self._recorder.record(
                CompensationStarted(registration=each.registration, attempt=attempt)
            )
            failure = await self._try(each.undo)
            if failure is None:
                self._recorder.record(StepCompensated(registration=each.registration))
                return
            exhausted = CompensationExhausted(
                command_id=self._recorder.next_id(),
                registration=each.registration,
                name=each.name,
                failure=failure,
            )
            self._recorder.record(exhausted)
            if await self._undoing.decide(exhausted) is Decision.SKIP:
                self._recorder.record(CompensationSkipped(registration=each.registration))
                return
            attempt += 1

    async def _try(self, undo: Undo) -> Failure | None:
        try:
            await undo()
        except (Exception, asyncio.CancelledError) as error:
            if self._recorder.mode is Mode.EVICTING:
                raise
            return failure_of(error)
        return None


async def _finish(task: asyncio.Task[None], recorder: Recorder) -> asyncio.CancelledError | None:
    """Waits for a task however often the caller is cancelled meanwhile.

    Returns:
        The cancellation that came meanwhile: it is late, not lost.
    """
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)  # noqa: TID251 - this is the workflow's loop, not ours
        except asyncio.CancelledError as error:
            if recorder.mode is Mode.EVICTING:
                raise
            cancelled = error
    task.result()
    return cancelled
