"""Local steps: carried out by the process that owns their run, after they were recorded.

An async step has the server's event loop; one that does not let go of it is cut.
"""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from hodei.durable import payloads
from hodei.durable.events import StepFailed, StepSucceeded
from hodei.durable.failures import STEP_TIMEOUT, ApplicationError, blocked_failure, failure_of
from hodei.durable.loop.outcomes import LocalStep, unwanted_failure
from hodei.lifecycle.block_watch import BlockWatch, blocked
from hodei.lifecycle.service import TaskSet

StepResult = StepSucceeded | StepFailed

log = structlog.get_logger()


class Steps:
    """The local steps of one run that are under way, and the results that no commit holds yet.

    They outlive the run's live instance: an instance that is made anew meets the same steps again.

    Args:
        tasks: Runs them.
        done: Called when a result has come.
        watch: Cuts a step that holds up the event loop.
    """

    def __init__(self, tasks: TaskSet, done: Callable[[], None], watch: BlockWatch) -> None:
        self._tasks = tasks
        self._watch = watch
        self._done = done
        self._running: dict[int, asyncio.Task[None]] = {}
        self._results: dict[int, StepResult] = {}

    @property
    def are_running(self) -> bool:
        """Whether any is under way."""
        return bool(self._running)

    def results(self) -> list[StepResult]:
        """Results that no commit holds yet, in the order in which they came."""
        return list(self._results.values())

    def committed(self, results: list[StepResult]) -> None:
        """These are in the history now."""
        for each in results:
            self._results.pop(each.command_id, None)

    def bring_in_line(self, wanted: Mapping[int, LocalStep]) -> None:
        """Starts what is recorded and not under way, and ends what nobody wants any more."""
        for command_id, task in list(self._running.items()):
            step = wanted.get(command_id)
            if step is None or step.is_unwanted:
                task.cancel()
        for command_id, step in wanted.items():
            if command_id in self._running or command_id in self._results:
                continue
            if step.is_unwanted:
                self._put(StepFailed(command_id=command_id, failure=unwanted_failure()))
            else:
                self._running[command_id] = self._tasks.start(
                    self._carry_out(step), name=f"step {step.name}"
                )

    def drop(self) -> None:
        """Ends everything and forgets the results: the run is another's now, or over."""
        for task in self._running.values():
            task.cancel()
        self._running.clear()
        self._results.clear()

    async def _carry_out(self, step: LocalStep) -> None:
        try:
            with self._watch.watching():
                result: StepResult = StepSucceeded(
                    command_id=step.command_id, result=await _result_of(step)
                )
        except asyncio.CancelledError:
            if not step.is_unwanted or self._running.get(step.command_id) is None:
                raise
            result = StepFailed(command_id=step.command_id, failure=unwanted_failure())
        except Exception as error:  # noqa: BLE001 - whatever a step raises is its outcome
            result = StepFailed(command_id=step.command_id, failure=failure_of(error))
        except BaseException as error:
            if (cut := blocked(error)) is None:
                raise
            log.error(  # noqa: TRY400 - its place is all there is to know
                "step_blocked_the_loop", step=step.name, where=cut.where
            )
            result = StepFailed(command_id=step.command_id, failure=blocked_failure(cut))
        if self._running.pop(step.command_id, None) is not None:
            self._put(result)

    def _put(self, result: StepResult) -> None:
        self._results[result.command_id] = result
        self._done()


async def _result_of(step: LocalStep) -> payloads.Payload:
    scope = asyncio.timeout(step.timeout_s)
    try:
        async with scope:
            value = await _call(step)
    except TimeoutError as error:
        if scope.expired():
            raise ApplicationError(f"after {step.timeout_s:g} s", type=STEP_TIMEOUT) from error
        raise
    return payloads.encode(value, what=f"result of step {step.name}")


async def _call(step: LocalStep) -> Any:
    if inspect.iscoroutinefunction(inspect.unwrap(step.work)):
        return await step.work(*step.arguments)
    value = await asyncio.to_thread(step.work, *step.arguments)
    # A lambda that calls an async function gives its coroutine.
    return await value if inspect.isawaitable(value) else value
