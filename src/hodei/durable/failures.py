"""What becomes of work that fails: the record that is stored, and the errors that users meet.

The record answers three questions: who failed, may it be tried again, and when.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hodei.kernel.errors import RefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure as it is stored."""

    type: str
    """Of the error: what retry rules and `except` branches go by. A name, not a path."""
    message: str
    is_final: bool = False
    """Trying again would not help."""
    retry_after_s: float | None = None
    """When the next attempt may begin at the earliest, where the failure itself knows."""
    cause: "Failure | None" = None

    def __str__(self) -> str:
        text = f"{self.type}: {self.message}" if self.message else self.type
        return text if self.cause is None else f"{text} (because of {self.cause})"


class Ended(StrEnum):
    """Why an activity was not tried again."""

    FINAL = "FINAL"
    """The failure says that trying again would not help, or the retry rule names its type."""
    ATTEMPTS_USED = "ATTEMPTS_USED"
    TIMED_OUT = "TIMED_OUT"
    """There is no time left for another attempt, or none ever began."""
    CANCELLED = "CANCELLED"


SCHEDULE_TO_CLOSE: Final = "ScheduleToCloseTimeout"
SCHEDULE_TO_START: Final = "ScheduleToStartTimeout"
START_TO_CLOSE: Final = "StartToCloseTimeout"
HEARTBEAT: Final = "HeartbeatTimeout"
STEP_TIMEOUT: Final = "StepTimeout"
"""The types of failures that a time-out makes."""

BLOCKED: Final = "BlockedTheLoop"
"""Of a step or an activity that held up its server's event loop, and was cut."""


class ApplicationError(Exception):
    """Raised by users to fail a step, an activity or a run on their own terms.

    Args:
        message: For people.
        type: What others go by.
        is_final: Trying again would not help.
        retry_after_s: When the next attempt may begin at the earliest.
    """

    def __init__(
        self,
        message: str,
        *,
        type: str = "ApplicationError",  # noqa: A002 - the word that is stored and matched
        is_final: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.type = type
        self.is_final = is_final
        self.retry_after_s = retry_after_s


class WorkFailedError(Exception):
    """Something that a workflow waited for has failed for good. Not a defect of Hodei.

    Attributes:
        failure: What was stored, so that a replay raises the same.
    """

    def __init__(self, what: str, failure: Failure) -> None:
        super().__init__(f"{what}: {failure}")
        self.failure = failure


class StepFailedError(WorkFailedError):
    """A local step has failed and is not tried again."""


class ActivityFailedError(WorkFailedError):
    """An activity has failed and is not tried again.

    Attributes:
        ended: Why there is no other attempt.
    """

    def __init__(self, what: str, failure: Failure, ended: Ended) -> None:
        super().__init__(what, failure)
        self.ended = ended


class RunFailedError(WorkFailedError):
    """The run that somebody waits for has failed, was cancelled or terminated."""


class WorkflowMisuseError(RefusedError):
    """Workflow code called something in a way or at a place where it may not."""

    code = "WORKFLOW_MISUSE"


def failure_of(error: BaseException) -> Failure:
    """The error as it is stored; causes are followed five deep."""
    return _failure_of(error, depth=5)


def _failure_of(error: BaseException, *, depth: int) -> Failure:
    if isinstance(error, WorkFailedError):
        return Failure(
            type=type(error).__name__,
            message=str(error),
            is_final=error.failure.is_final,
            cause=error.failure,
        )
    cause = error.__cause__
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        # What a TaskGroup makes of its one failed task: the task's error is the one to go by.
        cause = error.exceptions[0]
    stored_cause = None if cause is None or depth == 0 else _failure_of(cause, depth=depth - 1)
    if isinstance(error, ApplicationError):
        return Failure(
            type=error.type,
            message=str(error),
            is_final=error.is_final,
            retry_after_s=error.retry_after_s,
            cause=stored_cause,
        )
    is_final = isinstance(error, RefusedError)
    return Failure(
        type=type(error).__name__, message=str(error), is_final=is_final, cause=stored_cause
    )


def blocked_failure(what: object) -> Failure:
    """What becomes of code that was cut because of what it did: it held up the event loop."""
    return Failure(
        type=BLOCKED,
        message=(
            f"{what}; make it a plain function, which runs in a thread, or await "
            "asyncio.to_thread(...) for what blocks"
        ),
        # It would hold it up again.
        is_final=True,
    )
