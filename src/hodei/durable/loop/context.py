"""What workflow code may call."""

import asyncio
import hashlib
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar, overload
from uuid import UUID

from hodei.durable import payloads
from hodei.durable.definitions import Activity, OnCancel, signature_of
from hodei.durable.events import (
    ActivityCancelAsked,
    ActivityFailed,
    ActivityScheduled,
    ActivitySucceeded,
    PatchMarked,
    Result,
    StepFailed,
    StepScheduled,
    StepSucceeded,
)
from hodei.durable.failures import ActivityFailedError, StepFailedError, WorkflowMisuseError
from hodei.durable.loop.event_loop import WorkflowLoop
from hodei.durable.loop.outcomes import LocalStep, Outcomes
from hodei.durable.loop.recorder import Recorder
from hodei.durable.loop.saga import COMPENSATION_RULE, Saga, Undoing
from hodei.durable.loop.signals import Handler, Signals
from hodei.durable.retry import ONCE, attempts_used, backoff_s, is_final
from hodei.kernel.errors import BrokenError
from hodei.ports.durable_rows import RetryRule

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """Which run it is; never changes."""

    run_id: str
    namespace: str
    workflow_id: str
    type: str
    version: int
    seed: int
    began_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the context passes its calls on to."""

    recorder: Recorder
    loop: WorkflowLoop
    outcomes: Outcomes
    signals: Signals
    queries: dict[str, Callable[..., object]]
    undoing: Undoing


class Context:
    """The one door from workflow code to everything else.

    Everything that it answers comes from the history or is recorded there. What is awaited may raise
    `asyncio.CancelledError` when the run, the enclosing TaskGroup or asyncio.timeout is cancelled.
    """

    def __init__(self, info: RunInfo, parts: Parts) -> None:
        self.info = info
        self._recorder = parts.recorder
        self._loop = parts.loop
        self._outcomes = parts.outcomes
        self._signals = parts.signals
        self._queries = parts.queries
        self._undoing = parts.undoing
        self._random: random.Random | None = None
        self._patches: dict[str, bool] = {}

    @overload
    async def run(
        self,
        work: Callable[..., Coroutine[Any, Any, T]],
        *arguments: object,
        name: str = "",
        retry: RetryRule | None = None,
        timeout_s: float | None = None,
    ) -> T: ...

    @overload
    async def run(
        self,
        work: Callable[..., T],
        *arguments: object,
        name: str = "",
        retry: RetryRule | None = None,
        timeout_s: float | None = None,
    ) -> T: ...

    async def run(
        self,
        work: Callable[..., Any],
        *arguments: object,
        name: str = "",
        retry: RetryRule | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Runs a local step and returns its result, once and for all: a replay gets the stored one.

        The step runs in the server that owns the run. It may have run before when the process died
        before its result was stored: make it idempotent.

        Args:
            work: An async function; a plain one runs in a thread.
            *arguments: Its arguments; their digest must be the same in a replay.
            name: Stored with it; by default the function's own.
            retry: By default it is not tried again.
            timeout_s: Of one attempt.

        Raises:
            StepFailedError: It raised, and is not tried again.
        """
        rule = retry or COMPENSATION_RULE.get() or ONCE
        name = name or _name_of(work)
        digest = _digest(arguments, name)
        attempt = 1
        while True:
            command_id = self._recorder.next_id()
            self._recorder.record(
                StepScheduled(command_id=command_id, name=name, arguments=digest, attempt=attempt)
            )
            step = LocalStep(
                command_id=command_id,
                name=name,
                work=work,
                arguments=arguments,
                timeout_s=timeout_s,
            )
            match await self._outcomes.of_step(step):
                case StepSucceeded(result=result):
                    returns = signature_of(work).returns
                    return payloads.decode(result, returns, what=f"result of step {name}")
                case StepFailed(failure=failure):
                    pass
                case other:
                    raise BrokenError(f"step {name} was answered by {type(other).__name__}")
            if is_final(rule, failure) or attempts_used(rule, attempt):
                raise StepFailedError(f"step {name}", failure)
            await self.sleep(backoff_s(rule, failure, attempt))
            attempt += 1

    async def activity(self, activity: Activity[T], *arguments: object) -> T:
        """Has an activity carried out by whoever claims it, and returns its result.

        It is carried out at least once; its outcome counts once. On cancellation see
        `Activity.on_cancel`.

        Raises:
            ActivityFailedError: It failed, or its time was up, and it is not tried again.
        """
        command_id = self._recorder.next_id()
        what = f"activity {activity.name}"
        self._recorder.record(
            ActivityScheduled(
                command_id=command_id,
                activity=activity.name,
                input=payloads.encode(arguments, what=f"input of {what}"),
                queue=activity.queue,
                priority=activity.priority,
                retry=activity.rule(COMPENSATION_RULE.get()),
                limits=activity.limits,
            )
        )
        match await self._result_of_activity(command_id, activity.on_cancel):
            case ActivitySucceeded(result=result):
                return payloads.decode(result, activity.returns, what=f"result of {what}")
            case ActivityFailed(failure=failure, ended=ended):
                raise ActivityFailedError(what, failure, ended)
            case other:
                raise BrokenError(f"{what} was answered by {type(other).__name__}")

    async def sleep(self, seconds: float) -> None:
        """Waits, however often the process dies meanwhile. Never shorter than that."""
        await asyncio.sleep(seconds)

    async def wait_until(self, is_met: Callable[[], bool]) -> None:
        """Waits for something that other code of this run brings about.

        Put it into `asyncio.timeout` where it must not wait for ever.

        Args:
            is_met: Looks at the run's own variables. Called whenever all of its code waits.
        """
        self._recorder.require_live()
        if not is_met():
            await self._loop.add_condition(is_met)

    async def receive(self, signal: str, wanted: type[T]) -> T:
        """The next signal of that name, as an instance of the type `wanted`."""
        return await self._signals.next(signal, wanted)

    def on_signal(self, signal: str, handler: Handler) -> None:
        """Has `handler` called, plain or async, with each signal of that name, in order.

        A handler that raises cancels the run, which then fails with that error.
        """
        self._signals.handle_with(signal, handler)

    def on_query(self, query: str, handler: Callable[..., object]) -> None:
        """Has queries of that name answered by `handler`, which only looks."""
        self._queries[query] = handler

    def saga(self) -> Saga:
        """A block whose steps are undone when it fails: `async with ctx.saga() as saga`."""
        return Saga(self._recorder, self._loop, self._undoing)

    def now(self) -> datetime:
        """The time of the notification that the code works on; stands still in between."""
        return self.info.began_at + timedelta(seconds=self._loop.time())

    def random(self) -> random.Random:
        """A source of chance that draws the same in each replay. Not for secrets."""
        if self._random is None:
            self._random = random.Random(self.info.seed)  # noqa: S311 - said above
        return self._random

    def uuid(self) -> UUID:
        """An id that is the same in each replay (version 4)."""
        return UUID(int=self.random().getrandbits(128), version=4)

    def patched(self, patch_id: str) -> bool:
        """Whether to take the new branch of a change.

        True in runs that reach this place for the first time, False in those whose history took the
        old branch. The answer is the same all over a run.
        """
        return self._patch(patch_id, is_deprecated=False)

    def deprecate_patch(self, patch_id: str) -> None:
        """Says that the old branch is gone, once no open run is on it any more.

        Remove the call when no open run has the patch in its history.
        """
        self._patch(patch_id, is_deprecated=True)

    def _patch(self, patch_id: str, *, is_deprecated: bool) -> bool:
        if patch_id not in self._patches:
            recorder = self._recorder
            is_new = patch_id in recorder.marked or not recorder.is_replaying
            if is_new:
                recorder.record(PatchMarked(patch_id=patch_id, is_deprecated=is_deprecated))
            self._patches[patch_id] = is_new
        return self._patches[patch_id]

    async def _result_of_activity(self, command_id: int, on_cancel: OnCancel) -> Result:
        is_asked = False

        def unwanted() -> bool:
            nonlocal is_asked
            if on_cancel is not OnCancel.ABANDON and not is_asked:
                self._recorder.record(ActivityCancelAsked(command_id=command_id))
                is_asked = True
            return on_cancel is OnCancel.WAIT

        return await self._outcomes.of(command_id, unwanted)


def _name_of(work: Callable[..., Any]) -> str:
    name = getattr(getattr(work, "func", work), "__name__", "")
    if not name or name == "<lambda>":
        raise WorkflowMisuseError("a step that has no name of its own needs name=…")
    return name


def _digest(arguments: tuple[Any, ...], name: str) -> str:
    if not arguments:
        return ""
    payload = payloads.encode(arguments, what=f"arguments of step {name}")
    return hashlib.sha256(payload.data).hexdigest()[:16]
