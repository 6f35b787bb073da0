"""The exit code that stands for a job's end."""

from typing import Final

from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.states import JobState
from hodei.sdk import Job

EXIT_TIMED_OUT: Final = 124
EXIT_HODEI_FAILED: Final = 125
EXIT_NOT_EXECUTABLE: Final = 126
EXIT_NOT_FOUND: Final = 127
EXIT_SIGNAL_BASE: Final = 128
EXIT_CANCELLED: Final = 130

_OF_REASONS: Final[dict[str, int]] = {
    ReasonCode.COMMAND_NOT_FOUND: EXIT_NOT_FOUND,
    ReasonCode.PERMISSION_DENIED: EXIT_NOT_EXECUTABLE,
}


def exit_code_for(job: Job) -> int:
    """The exit code of `hodei run` for a job that has ended.

    The job's own, as a shell would have it: 128 and the signal's number for one that a signal
    ended. 124 for a timeout, 130 for a cancellation, 125 where Hodei failed the job.
    """
    if job.state is JobState.SUCCEEDED:
        return 0
    if job.state is JobState.TIMED_OUT:
        return EXIT_TIMED_OUT
    if job.state is JobState.CANCELLED:
        return EXIT_CANCELLED
    if job.reason is not None and job.reason.code in _OF_REASONS:
        return _OF_REASONS[job.reason.code]
    return _own_code(job)


def _own_code(job: Job) -> int:
    last = job.attempts[-1] if job.attempts else None
    if last is not None and last.signal:
        return EXIT_SIGNAL_BASE + last.signal
    # A process that left with 0 did not fail by itself: Hodei did.
    return job.exit_code or EXIT_HODEI_FAILED


def is_plain_exit(job: Job) -> bool:
    """Whether the exit code alone says all there is to say."""
    return job.reason is None or job.reason.code == ReasonCode.NON_ZERO_EXIT_CODE
