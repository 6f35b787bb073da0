"""One attempt as the agent holds it, and how its end is judged."""

import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto

from hodei.agent.reactor.events import ProcessGone, RunJob
from hodei.agent.reactor.messages import Held, Result, Usage
from hodei.agent.reactor.output import Output
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.logs import LogStream
from hodei.kernel.units import format_duration


class Phase(Enum):
    """Where an attempt is in its life; it only ever goes forward."""

    WAITING = auto()
    """For a slot: the one it is meant for is still being cleared."""
    STARTING = auto()
    """Its slot was asked to spawn it."""
    RUNNING = auto()
    """Its main process, or something of its tree, is there."""
    GONE = auto()
    """Nothing of it runs; output and result may still be on their way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """That somebody or something wants the job ended, and what its result will say."""

    reason_code: ReasonCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the attempt ended, but for its output."""

    reason_code: str
    message: str
    ended_ns: int
    exit_code: int | None = None
    signal: int | None = None
    usage: Usage | None = None


@dataclass(slots=True, kw_only=True)
class Job:
    """One attempt."""

    run: RunJob
    outputs: dict[LogStream, Output]
    phase: Phase = Phase.WAITING
    slot: int | None = None
    """The slot that it has, from STARTING until GONE."""
    pid: int = 0
    started_ns: int | None = None
    is_start_told: bool = False
    stop: Stop | None = None
    is_killed: bool = False
    is_discarded: bool = False
    """The server disowned it: end it, and tell nothing of it."""
    ending: Ending | None = None
    result: Result | None = None
    """Set once every byte of the output has its offset."""
    is_result_sent: bool = False
    """On the stream that is open now."""
    timers: set[str] = field(default_factory=set[str])

    @property
    def is_alive(self) -> bool:
        """Whether it has processes, or is about to."""
        return self.phase in {Phase.STARTING, Phase.RUNNING}

    def settle(self) -> None:
        """Makes the result, if process and output have both come to their end."""
        if self.result is None and self.ending and all(o.is_whole for o in self.outputs.values()):
            self.result = _result(self.run, self.started_ns, self.ending, self.outputs.values())

    def held(self) -> Held:
        """What the hello says of it."""
        return Held(
            key=self.run.key,
            token=self.run.token,
            started=self.started_ns is not None,
            sent={stream: output.sent for stream, output in self.outputs.items()},
            acknowledged={stream: output.acked for stream, output in self.outputs.items()},
            result=self.result,
        )


def _result(
    run: RunJob, started_ns: int | None, ending: Ending, outputs: Iterable[Output]
) -> Result:
    return Result(
        key=run.key,
        token=run.token,
        reason_code=ending.reason_code,
        message=ending.message,
        exit_code=ending.exit_code,
        signal=ending.signal,
        usage=ending.usage,
        started_ns=started_ns,
        ended_ns=ending.ended_ns,
        final_offsets={output.key.stream: output.end for output in outputs},
    )


def judge(gone: ProcessGone, stop: Stop | None) -> Ending:
    """How a process ended. What we ended ourselves ended for our reason, however it went down."""
    code, message = _verdict(gone) if stop is None else (stop.reason_code, stop.message)
    return Ending(
        reason_code=code,
        message=message,
        ended_ns=gone.wall_ns,
        exit_code=gone.exit_code,
        signal=gone.signal,
        usage=Usage(
            user_cpu_s=gone.user_cpu_s,
            system_cpu_s=gone.system_cpu_s,
            max_rss_bytes=gone.max_rss_bytes,
        ),
    )


def _verdict(gone: ProcessGone) -> tuple[str, str]:
    if gone.out_of_memory:
        return ReasonCode.OUT_OF_MEMORY, "the kernel ended it because memory ran out"
    if gone.signal is not None:
        return ReasonCode.SIGNAL_RECEIVED, f"ended by {_signal_name(gone.signal)}"
    if gone.exit_code:
        return ReasonCode.NON_ZERO_EXIT_CODE, f"exited with {gone.exit_code}"
    return "", ""


def _signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def timed_out(run: RunJob) -> Stop:
    """The job ran for longer than it may."""
    limit = format_duration(run.timeout_s)
    return Stop(
        reason_code=ReasonCode.EXECUTION_TIMEOUT,
        message=f"ran for longer than its limit of {limit}",
    )


def unreachable(run: RunJob) -> Stop:
    """The job ran without a server for longer than it may."""
    limit = format_duration(run.disconnect_timeout_s)
    return Stop(
        reason_code=ReasonCode.SERVER_UNREACHABLE,
        message=f"its worker had no server for longer than the limit of {limit}",
    )
