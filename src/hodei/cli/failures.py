"""What a failed command says, and with which exit code."""

import sys
from dataclasses import dataclass
from typing import Final, TypedDict

from typer import TyperException

from hodei.kernel.errors import FieldViolation, HodeiError, InvalidFieldsError

EXIT_REFUSED: Final = 2
"""Anything wrong before a job was submitted: usage, no server, refused."""
EXIT_HODEI_FAILED: Final = 125
"""Hodei failed, not the job."""


class FailedJobError(Exception):
    """The job was submitted and what followed failed: the job itself may go on.

    Attributes:
        job_id: The job.
        cause: What failed.
    """

    def __init__(self, job_id: str, cause: HodeiError) -> None:
        self.job_id = job_id
        self.cause = cause
        super().__init__(
            f"lost sight of job {job_id}, which may go on (hodei jobs show {job_id}): {cause}"
        )


class ViolationDict(TypedDict):
    """One field that is not allowed, as JSON has it."""

    field: str
    description: str


class ErrorDict(TypedDict):
    """What went wrong, as JSON has it."""

    code: str
    message: str
    violations: list[ViolationDict]


class FailureDict(TypedDict):
    """The one JSON value of a failed command."""

    error: ErrorDict


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How a failed command ends."""

    exit_code: int
    code: str
    """A stable word, for programs."""
    message: str
    violations: tuple[FieldViolation, ...] = ()

    @property
    def line(self) -> str:
        """The one line for people."""
        return " ".join(self.message.split())

    def to_dict(self) -> FailureDict:
        """As JSON has it."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "violations": [
                    {"field": each.field, "description": each.description}
                    for each in self.violations
                ],
            }
        }


def failure_of(error: Exception) -> Failure:
    """How a command ends that was left by this error."""
    match error:
        case ExceptionGroup():
            # Of tasks that ran side by side; the first to fail took the others with it.
            failure = failure_of(error.exceptions[0])
        case InvalidFieldsError():
            failure = _of_fields(error)
        case HodeiError():
            failure = Failure(exit_code=EXIT_REFUSED, code=error.code, message=str(error))
        case FailedJobError():
            code = error.cause.code
            failure = Failure(exit_code=EXIT_HODEI_FAILED, code=code, message=str(error))
        case TyperException():
            failure = Failure(exit_code=EXIT_REFUSED, code="USAGE", message=_usage(error))
        case OSError():
            failure = Failure(exit_code=EXIT_REFUSED, code="IO_ERROR", message=str(error))
        case _:
            what = f"a defect of hodei itself, please report it: {type(error).__name__}: {error}"
            failure = Failure(exit_code=EXIT_HODEI_FAILED, code="BROKEN", message=what)
    return failure


def warn(line: str) -> None:
    """Tells the person something, apart from what the command prints."""
    print(f"hodei: {line}", file=sys.stderr)


def _of_fields(error: InvalidFieldsError) -> Failure:
    from hodei.cli.option_names import option_for

    violations = tuple(
        FieldViolation(field=option_for(each.field), description=each.description)
        for each in error.violations
    )
    named = InvalidFieldsError(violations)
    return Failure(
        exit_code=EXIT_REFUSED, code=error.code, message=str(named), violations=violations
    )


def _usage(error: TyperException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    where = getattr(context, "command_path", "hodei")
    return f"{message.rstrip('.')}; see {where} --help"
