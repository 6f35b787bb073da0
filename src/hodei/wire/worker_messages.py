"""What goes over a worker's stream, between messages and domain values."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from hodei.domain.jobs import limits
from hodei.domain.jobs.decide import Outcome
from hodei.domain.jobs.events import Usage
from hodei.domain.jobs.job import Job
from hodei.domain.jobs.reasons import Reason, ReasonCode, reason
from hodei.domain.jobs.spec import Exec, JobSpec, LogPolicy, Resources, Script
from hodei.domain.logs import LogChunk, LogStream
from hodei.domain.placement.taints import Taint
from hodei.domain.workers.events import WorkerReady
from hodei.domain.workers.versions import check_version
from hodei.kernel.errors import BrokenError, FieldViolation, InvalidFieldsError
from hodei.kernel.ids import FencingToken, JobId
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.placement_fields import NO_RESOURCES, encode_resources
from hodei.wire.timestamps import from_timestamp, to_duration

MAX_SLOTS: Final = 256
"""Jobs that one worker runs at once: more are more workers."""

STREAMS: Final[dict[LogStream, pb.LogStream]] = {
    LogStream.STDOUT: pb.LOG_STREAM_STDOUT,
    LogStream.STDERR: pb.LOG_STREAM_STDERR,
}
_LOG_STREAMS: Final[dict[int, LogStream]] = {int(wire): own for own, wire in STREAMS.items()}
_LOG_POLICIES: Final[dict[LogPolicy, pb.LogPolicy]] = {
    LogPolicy.HOLD: pb.LOG_POLICY_HOLD,
    LogPolicy.DROP_OLDEST: pb.LOG_POLICY_DROP_OLDEST,
}
_REASON_CODES: Final = {each.value: each for each in ReasonCode}
_NEVER_EXITED: Final = frozenset(
    {
        ReasonCode.COMMAND_NOT_FOUND,
        ReasonCode.PERMISSION_DENIED,
        ReasonCode.FILE_NOT_FOUND,
        ReasonCode.PROCESS_SPAWN_FAILED,
        ReasonCode.SIGNAL_RECEIVED,
        ReasonCode.SECRET_INJECTION_ERROR,
    }
)
"""Reasons of attempts whose process did not exit by itself: their exit code says nothing."""
_EXITED: Final = frozenset({None, ReasonCode.NON_ZERO_EXIT_CODE})
"""Ends of attempts whose process did."""


def run_job_command(job: Job) -> pb.RunJobCommand:
    """The order to run the current attempt of a job.

    Raises:
        BrokenError: It has no open attempt.
    """
    attempt = job.current
    if attempt is None:
        raise BrokenError(f"job {job.id} has no open attempt to run")
    spec = job.spec
    command = pb.RunJobCommand(
        job_id=job.id,
        env=spec.environment,
        timeout_ms=max(1, round(spec.timeout_s * 1000)),
        working_dir=spec.working_dir,
        attempt=attempt.number,
        token=attempt.token,
        options=_run_options(spec),
    )
    _set_command(command, spec.command)
    return command


def _run_options(spec: JobSpec) -> pb.RunOptions:
    return pb.RunOptions(
        stdin=spec.stdin,
        has_stdin=spec.stdin is not None,
        grace=to_duration(spec.grace_s),
        disconnect_timeout=to_duration(spec.disconnect_timeout_s),
        log_policy=_LOG_POLICIES[spec.log_policy],
        requirements=None if spec.resources == NO_RESOURCES else encode_resources(spec.resources),
    )


def _set_command(command: pb.RunJobCommand, what: Exec | Script) -> None:
    if isinstance(what, Script):
        script = command.command.script
        script.interpreter, script.content = what.interpreter, what.content
        return
    shell = command.command.shell
    shell.cmd = what.argv[0].decode()
    try:
        shell.args.extend([each.decode() for each in what.argv[1:]])
    except UnicodeDecodeError:
        command.options.arguments_raw.extend(what.argv[1:])


def decode_outcome(result: pb.JobResultMessage) -> Outcome:
    """How an attempt ended, by its worker's word.

    Raises:
        InvalidFieldsError: It has a reason code or an offset that is none.
    """
    signal = result.signal if result.HasField("signal") else None
    why = _decode_reason(result, signal)
    code = None if why is None else why.code
    has_exited = signal is None and (
        code in _EXITED or (code not in _NEVER_EXITED and result.HasField("started_at"))
    )
    ends = decode_offsets(result.final_offsets, field="final_offsets")
    return Outcome(
        attempt=result.attempt,
        token=FencingToken(result.token),
        reason=why,
        exit_code=result.exit_code if has_exited else None,
        signal=signal,
        stdout_bytes=ends.get(LogStream.STDOUT, 0),
        stderr_bytes=ends.get(LogStream.STDERR, 0),
        usage=_decode_usage(result.usage) if result.HasField("usage") else None,
    )


def _decode_reason(result: pb.JobResultMessage, signal: int | None) -> Reason | None:
    text, message = result.reason_code, result.error_message
    if text:
        code = _REASON_CODES.get(text)
        if code is None:
            raise InvalidFieldsError.of(
                "reason_code", f"{text[:40]!r} is no reason: one of {', '.join(_REASON_CODES)}"
            )
        return reason(code, message)
    # Only an exit with 0 may come without a reason; anything else says by itself what it is.
    if signal is not None:
        return reason(ReasonCode.SIGNAL_RECEIVED, message or f"ended by signal {signal}")
    if result.exit_code:
        return reason(ReasonCode.NON_ZERO_EXIT_CODE, message or f"exited with {result.exit_code}")
    return None


def _decode_usage(usage: pb.JobUsage) -> Usage:
    return Usage(
        user_cpu_s=usage.user_cpu_s,
        system_cpu_s=usage.system_cpu_s,
        max_rss_bytes=usage.max_rss_bytes,
    )


def decode_offsets(offsets: Iterable[pb.StreamOffset], *, field: str) -> dict[LogStream, int]:
    """Offsets by stream.

    Raises:
        InvalidFieldsError: A stream is not known or an offset is negative; names `field`.
    """
    ends: dict[LogStream, int] = {}
    for each in offsets:
        stream = _LOG_STREAMS.get(each.stream)
        if stream is None:
            raise InvalidFieldsError.of(f"{field}.stream", f"is {each.stream}: 1 or 2")
        if each.offset < 0:
            raise InvalidFieldsError.of(f"{field}.offset", f"is {each.offset}: 0 or more")
        ends[stream] = each.offset
    return ends


def encode_offsets(offsets: Mapping[LogStream, int]) -> list[pb.StreamOffset]:
    """Offsets by stream."""
    return [
        pb.StreamOffset(stream=STREAMS[stream], offset=offset) for stream, offset in offsets.items()
    ]


def decode_chunk(chunk: pb.LogChunk, *, received_at: datetime) -> LogChunk:
    """Some output of a job.

    Args:
        chunk: The message.
        received_at: Its time, where it says none.

    Raises:
        InvalidFieldsError: Its stream is not known, or its offset or attempt cannot be.
    """
    stream = _LOG_STREAMS.get(chunk.stream)
    if stream is None:
        raise InvalidFieldsError.of("log_batch.chunks.stream", f"is {chunk.stream}: 1 or 2")
    if chunk.offset < 0 or chunk.attempt == 0:
        raise InvalidFieldsError.of(
            "log_batch.chunks",
            f"has attempt {chunk.attempt} and offset {chunk.offset}: from 1, and from 0",
        )
    at = received_at
    if chunk.HasField("time"):
        at = from_timestamp(chunk.time, field="log_batch.chunks.time")
    return LogChunk(
        job_id=JobId(chunk.job_id),
        attempt=chunk.attempt,
        stream=stream,
        offset=chunk.offset,
        data=chunk.data,
        at=at,
    )


def decode_worker_ready(hello: pb.WorkerHello) -> WorkerReady:
    """What a worker says of itself when it connects.

    Raises:
        InvalidFieldsError: With all in it that cannot be.
    """
    info = hello.info
    violations = [
        *limits.check_labels("hello.info.labels", info.labels),
        *limits.check_line("hello.info.name", info.name),
        *limits.check_line("hello.info.hostname", info.hostname),
        *limits.check_line("hello.agent_version", hello.agent_version),
        *check_version("hello.agent_version", hello.agent_version),
    ]
    if not 1 <= hello.slots <= MAX_SLOTS:
        violations.append(
            FieldViolation(field="hello.slots", description=f"is {hello.slots}: 1 to {MAX_SLOTS}")
        )
    if violations:
        raise InvalidFieldsError(violations)
    return WorkerReady(
        session_epoch=hello.session_epoch,
        slots=hello.slots,
        labels=dict(info.labels),
        resources=_decode_capacity(info.capacity),
        taints=tuple(
            [Taint(key=each.key, value=each.value, effect=each.effect) for each in info.taints]
        ),
        agent_version=hello.agent_version,
        hostname=info.hostname,
        name=info.name,
    )


def _decode_capacity(capacity: pb.ResourceCapacity) -> Resources:
    return Resources(
        cpu_millicores=round(capacity.cpu_cores * 1000),
        memory_bytes=capacity.memory_bytes,
        disk_bytes=capacity.disk_bytes,
        gpu_count=capacity.gpu_count,
        custom=dict(capacity.custom_resources),
    )
