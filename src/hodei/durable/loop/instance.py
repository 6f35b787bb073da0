"""A run in memory: its coroutines, as far as its history has brought them."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, assert_never

from hodei.durable import payloads
from hodei.durable.definitions import Workflow, signature_of
from hodei.durable.events import (
    ActivityFailed,
    ActivitySucceeded,
    CancelRequested,
    Closing,
    Command,
    CompensationExhausted,
    Notification,
    OperatorDecided,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunStarted,
    SignalReceived,
    StepFailed,
    StepSucceeded,
    TimerFired,
)
from hodei.durable.failures import WorkflowMisuseError, failure_of
from hodei.durable.loop.context import Context, Parts, RunInfo
from hodei.durable.loop.event_loop import WorkflowLoop
from hodei.durable.loop.outcomes import LocalStep, Outcomes
from hodei.durable.loop.recorder import Mode, Recorder
from hodei.durable.loop.saga import Undoing
from hodei.durable.loop.signals import Signals
from hodei.kernel.errors import BrokenError, NotFoundError


class TaskFailedError(Exception):
    """The code of a run cannot go on as it is; the run itself is not at its end."""


class Instance:
    """Takes notifications one by one and answers with commands.

    Not for two threads at once. Must be given to `wind_up` in the end.

    Args:
        definition: The run's code.
        started: The first event.
        at: Its time.
        marked: The ids of the patches that the recorded history took.

    Attributes:
        closing: How the code ended, once it has.
        heard_at: The time of the last notification.
    """

    def __init__(
        self, definition: Workflow, started: RunStarted, at: datetime, *, marked: frozenset[str]
    ) -> None:
        self._definition = definition
        self._began_at = at
        self._recorder = Recorder(marked)
        self._loop = WorkflowLoop(self._recorder, started.seed)
        self._outcomes = Outcomes(self._recorder, self._loop)
        self._undoing = Undoing(self._loop)
        self._signals = Signals(self._loop, self._recorder, self._fail)
        self._queries: dict[str, Callable[..., object]] = {}
        self._context = Context(
            RunInfo(
                run_id=started.run_id,
                namespace=started.namespace,
                workflow_id=started.workflow_id,
                type=started.type,
                version=started.definition_version,
                seed=started.seed,
                began_at=at,
            ),
            Parts(
                recorder=self._recorder,
                loop=self._loop,
                outcomes=self._outcomes,
                signals=self._signals,
                queries=self._queries,
                undoing=self._undoing,
            ),
        )
        self._root: asyncio.Task[Any] | None = None
        self._cancel: CancelRequested | None = None
        self._failed: BaseException | None = None
        self.closing: Closing | None = None
        self.heard_at = at

    @property
    def steps(self) -> Mapping[int, LocalStep]:
        """Local steps that are recorded and have no outcome, by command."""
        return self._outcomes.steps

    @property
    def is_compensating(self) -> bool:
        """Whether a saga is being undone."""
        return self._undoing.is_under_way

    @property
    def exhausted(self) -> CompensationExhausted | None:
        """A compensation that waits for the word of an operator."""
        return self._undoing.exhausted

    @property
    def queries(self) -> list[str]:
        """What may be asked, sorted."""
        return sorted(self._queries)

    def poison(self, error: BaseException) -> None:
        """Makes the current `apply` fail; called by a watchdog from another thread."""
        self._loop.poison = error

    def expects(self, event: Notification) -> bool:
        """Whether the code can make something of it.

        What answers a command that nobody waits for any more is left out of the history.
        """
        if self.closing is not None:
            return False
        match event:
            case OperatorDecided():
                return self._undoing.waits_for(event.command_id)
            case StepSucceeded() | StepFailed() | ActivitySucceeded() | ActivityFailed():
                return self._recorder.awaits(event.command_id)
            case TimerFired():
                return self._recorder.awaits(event.command_id)
            case RunStarted() | SignalReceived() | CancelRequested():
                return True
            case _:
                assert_never(event)

    def apply(
        self, event: Notification, at: datetime, *, is_replaying: bool = False
    ) -> list[Command]:
        """Lets the code hear of an event and run until it waits; returns what it asked for.

        Raises:
            TaskFailedError: The code did something that it may not do, or its result cannot be
                stored. The instance is of no use any more.
        """
        self._recorder.is_replaying = is_replaying
        self.heard_at = at
        self._loop.advance_to((at - self._began_at).total_seconds())
        self._hear(event)
        if isinstance(event, RunStarted | SignalReceived) and event.is_followed:
            return []
        self._loop.run_until_idle()
        self._close()
        if (poison := self._loop.poison) is not None:
            raise TaskFailedError(str(poison)) from poison
        return self._recorder.take_commands()

    def ask(self, query: str, arguments: payloads.Payload) -> payloads.Payload:
        """Answers a query from the variables of the code, changing nothing.

        Raises:
            NotFoundError: The code answers no such query.
            UnencodableError: The arguments do not fit.
        """
        handler = self._queries.get(query)
        if handler is None:
            raise NotFoundError("query", query, f"this run answers {', '.join(self.queries)}")
        signature = signature_of(handler)
        decoded = payloads.decode(arguments, signature.input_type, what=f"query {query}")
        self._recorder.mode = Mode.READ_ONLY
        try:
            answer = handler(*decoded)
            if asyncio.iscoroutine(answer):
                answer.close()
                raise WorkflowMisuseError(f"query {query} is answered by an async function")
        finally:
            self._recorder.mode = Mode.LIVE
        return payloads.encode(answer, what=f"answer to query {query}")

    def wind_up(self) -> None:
        """Ends the coroutines; whatever they ask for in that never happened."""
        self._loop.wind_up()

    def _hear(self, event: Notification) -> None:
        match event:
            case RunStarted():
                self._start(event)
            case SignalReceived():
                self._signals.hear(event)
            case CancelRequested():
                self._cancel = event
                self._require_root().cancel()
            case OperatorDecided():
                self._undoing.hear(event)
            case (
                StepSucceeded()
                | StepFailed()
                | ActivitySucceeded()
                | ActivityFailed()
                | TimerFired()
            ):
                self._recorder.resolve(event)
            case _:
                assert_never(event)

    def _start(self, event: RunStarted) -> None:
        definition = self._definition
        try:
            arguments = payloads.decode(
                event.input, definition.signature.input_type, what=f"input of {definition.name}"
            )
        except payloads.UnencodableError as error:
            raise TaskFailedError(str(error)) from error
        # Create the coroutine through asyncio's eyes: a plain awaitable would not do for a task.
        code = definition.code(self._context, *arguments)
        self._root = self._loop.create_task(_as_coroutine(code))

    def _fail(self, error: BaseException) -> None:
        """A handler of signals raised: the run is undone, then fails with it."""
        self._failed = self._failed or error
        self._require_root().cancel()

    def _close(self) -> None:
        root = self._root
        if root is None or not root.done() or self.closing is not None:
            return
        self.closing = closing = self._closing_of(root)
        self._recorder.record(closing)

    def _closing_of(self, root: asyncio.Task[Any]) -> Closing:
        if root.cancelled():
            if self._failed is not None:
                return RunFailed(failure=failure_of(self._failed))
            if self._cancel is not None:
                return RunCancelled(reason=self._cancel.reason, by=self._cancel.by)
            return RunFailed(failure=failure_of(asyncio.CancelledError("nobody asked for it")))
        error = root.exception()
        if error is None:
            try:
                result = payloads.encode(root.result(), what=f"result of {self._definition.name}")
            except (payloads.UnencodableError, payloads.PayloadTooLargeError) as refused:
                raise TaskFailedError(str(refused)) from refused
            return RunCompleted(result=result)
        if not isinstance(error, Exception):
            raise TaskFailedError(f"the code raised {type(error).__name__}: {error}") from error
        return RunFailed(failure=failure_of(error))

    def _require_root(self) -> asyncio.Task[Any]:
        if self._root is None:
            raise BrokenError("a run hears of something before its start")
        return self._root


async def _as_coroutine(code: Any) -> Any:
    return await code
