"""Why an attempt or a job ended as it did: a closed list, each with what to do about it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ReasonCode(StrEnum):
    """The codes of reasons, as every interface shows them. docs/reference/reasons.md lists them."""

    COMMAND_NOT_FOUND = "COMMAND_NOT_FOUND"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    FILE_NOT_FOUND = "FILE_NOT_FOUND"
    PROCESS_SPAWN_FAILED = "PROCESS_SPAWN_FAILED"
    EXECUTION_TIMEOUT = "EXECUTION_TIMEOUT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    SIGNAL_RECEIVED = "SIGNAL_RECEIVED"
    NON_ZERO_EXIT_CODE = "NON_ZERO_EXIT_CODE"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    WORKER_LOST = "WORKER_LOST"
    PROVISIONING_FAILED = "PROVISIONING_FAILED"
    SECRET_INJECTION_ERROR = "SECRET_INJECTION_ERROR"  # noqa: S105 - a code, not a secret
    IO_ERROR = "IO_ERROR"
    CANCELLED = "CANCELLED"
    SERVER_UNREACHABLE = "SERVER_UNREACHABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A code, what happened in this case, and what to do about it."""

    code: ReasonCode
    message: str
    advice: str


_ADVICE: Final[dict[ReasonCode, str]] = {
    ReasonCode.COMMAND_NOT_FOUND: (
        "Check the command's spelling, and that it is installed where the worker runs."
    ),
    ReasonCode.PERMISSION_DENIED: (
        "Make the file executable (chmod +x), or run it by its interpreter."
    ),
    ReasonCode.FILE_NOT_FOUND: "Create the working directory first, or name one that exists there.",
    ReasonCode.PROCESS_SPAWN_FAILED: (
        "The worker's system refused to start the process; look at its limits (memory, processes)."
    ),
    ReasonCode.EXECUTION_TIMEOUT: "Raise the timeout (--timeout), or make the job shorter.",
    ReasonCode.DEADLINE_EXCEEDED: (
        "Raise scheduling.deadline, or give the job more capacity so that it starts sooner."
    ),
    ReasonCode.SIGNAL_RECEIVED: (
        "Look at the end of its log; SIGKILL from outside is often a lack of memory."
    ),
    ReasonCode.NON_ZERO_EXIT_CODE: "Look at the end of its log (hodei logs).",
    ReasonCode.OUT_OF_MEMORY: "Raise the job's memory, or make it use less.",
    ReasonCode.WORKER_LOST: (
        "Retry the job (hodei jobs retry), or let it retry by itself (--retries)."
    ),
    ReasonCode.PROVISIONING_FAILED: (
        "Change what the message names, on the job or on its provider (hodei providers show), then "
        "retry the job."
    ),
    ReasonCode.SECRET_INJECTION_ERROR: "Check that each secret of the job exists.",
    ReasonCode.IO_ERROR: "The worker could not write; look at its free disk space.",
    ReasonCode.CANCELLED: "Nothing to do; hodei jobs retry runs it again.",
    ReasonCode.SERVER_UNREACHABLE: (
        "The worker had no server for disconnect_timeout and ended the job; retry it."
    ),
}

NEVER_RETRIED: Final = frozenset({ReasonCode.CANCELLED, ReasonCode.DEADLINE_EXCEEDED})
"""Asked for by somebody, or past the point where another attempt has any time."""


def reason(code: ReasonCode, message: str) -> Reason:
    """The reason `code` of this case, with the advice that goes with it."""
    return Reason(code=code, message=message, advice=_ADVICE[code])
