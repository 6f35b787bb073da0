"""What the agent asks of a slot, and what it hears back."""

from dataclasses import dataclass

from hodei.domain.jobs.reasons import ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True)
class SpawnRequest:
    """The main process of a job."""

    argv: tuple[bytes, ...]
    """Exactly what the program gets; the first is looked up on the job's own PATH."""
    env: dict[bytes, bytes]
    """All of the job's environment; nothing is added to it."""
    cwd: bytes
    """Where the program starts; it must be there."""
    stdin_fd: int
    stdout_fd: int
    stderr_fd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitReport:
    """How a job's main process ended; by then its whole tree is gone."""

    exit_code: int | None
    """Set when it exited by itself."""
    signal: int | None
    """Set when a signal ended it."""
    user_cpu_s: float
    """Of the main process and of the children that it waited for."""
    system_cpu_s: float
    max_rss_bytes: int
    """The largest resident set of any one of them."""
    out_of_memory: bool = False
    """Whether the kernel ended it because memory ran out."""


class SpawnError(Exception):
    """A job's main process could not be started; nothing of it runs.

    Attributes:
        reason_code: COMMAND_NOT_FOUND, PERMISSION_DENIED, FILE_NOT_FOUND (the working
            directory) or PROCESS_SPAWN_FAILED.
        message: What is wrong and what to do, for people.
    """

    def __init__(self, reason_code: ReasonCode, message: str) -> None:
        self.reason_code = reason_code
        self.message = message
        super().__init__(message)


class SlotDiedError(Exception):
    """The slot process is gone, and with it the job: what it left was killed.

    The worker is broken: it takes no further job.
    """
