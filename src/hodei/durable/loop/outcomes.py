"""Waiting for the outcome of a command, cancellation included."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hodei.durable.events import Result
from hodei.durable.failures import Failure
from hodei.durable.loop.event_loop import WorkflowLoop
from hodei.durable.loop.recorder import Mode, Recorder


@dataclass(slots=True, kw_only=True)
class LocalStep:
    """A step that the process which owns the run is to carry out."""

    command_id: int
    name: str
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    timeout_s: float | None
    is_unwanted: bool = False
    """The run was cancelled meanwhile: end it if it runs, do not begin it."""


def unwanted_failure() -> Failure:
    """What becomes of a step that was ended, or never begun, because nobody wants it."""
    return Failure(type="Cancelled", message="the run was cancelled", is_final=True)


class Outcomes:
    """The places in the code that wait for a result.

    Attributes:
        steps: Local steps that are recorded and have no outcome; the runner carries them out.
    """

    def __init__(self, recorder: Recorder, loop: WorkflowLoop) -> None:
        self.steps: dict[int, LocalStep] = {}
        self._recorder = recorder
        self._loop = loop

    async def of_step(self, step: LocalStep) -> Result:
        """The outcome of a local step. A cancellation is passed on once the step is over."""
        self.steps[step.command_id] = step

        def unwanted() -> bool:
            step.is_unwanted = True
            return True

        return await self.of(step.command_id, unwanted)

    async def of(self, command_id: int, unwanted: Callable[[], bool]) -> Result:
        """The outcome of a command.

        Args:
            command_id: Of the command.
            unwanted: Called on each cancellation; says whether to wait on before it is passed on.
        """
        heard: list[Result] = []
        waiter: asyncio.Future[None] = self._loop.create_future()

        def hear(result: Result) -> None:
            heard.append(result)
            self.steps.pop(command_id, None)
            if not waiter.done():
                waiter.set_result(None)

        self._recorder.await_result(command_id, hear)
        cancelled: asyncio.CancelledError | None = None
        while not heard:
            try:
                await waiter
            except asyncio.CancelledError as error:
                if self._recorder.mode is Mode.EVICTING:
                    raise
                cancelled = error
                if not heard and not unwanted():
                    self._recorder.forget(command_id)
                    raise
                waiter = self._loop.create_future()
        if cancelled is not None:
            raise cancelled
        return heard[0]
