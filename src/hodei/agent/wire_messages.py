"""What goes over the stream, between protobuf and the reactor's words."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, assert_never

from google.protobuf.duration_pb2 import Duration

from hodei.agent.metrics import Sample
from hodei.agent.reactor.events import (
    Acked,
    CancelReceived,
    DrainReceived,
    Event,
    JobKey,
    ResultAcked,
    RunJob,
    RunJobReceived,
    ServersKnown,
    StreamKey,
    Verdict,
    Welcomed,
)
from hodei.agent.reactor.messages import (
    Chunk,
    Draining,
    Heartbeat,
    Held,
    Hello,
    Message,
    Result,
    Started,
)
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.jobs.spec import (
    DEFAULT_DISCONNECT_TIMEOUT_S,
    DEFAULT_GRACE_S,
    DEFAULT_TIMEOUT_S,
    Command,
    Exec,
    LogPolicy,
    Script,
)
from hodei.domain.logs import LogStream
from hodei.kernel.ids import is_valid_id
from hodei.wire import hodei_all_in_one_pb2 as pb

_STREAMS: Final = {LogStream.STDOUT: pb.LOG_STREAM_STDOUT, LogStream.STDERR: pb.LOG_STREAM_STDERR}
_STREAM_OF: Final[dict[int, LogStream]] = {int(wire): own for own, wire in _STREAMS.items()}
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What the shell adds to a heartbeat."""

    worker_id: str
    wall_ns: int
    sample: Sample


class UnknownPayload:
    """A message of the server that this agent does not know."""


UNKNOWN: Final = UnknownPayload()


# --- From the server ---------------------------------------------------------------------------


def decode(message: pb.ServerMessage, wall_ns: int) -> Iterator[Event | UnknownPayload]:
    """The events in a message, in order; those that do not concern the reactor are left out."""
    match message.WhichOneof("payload"):
        case "batch":
            for each in message.batch.messages:
                yield from decode(each, wall_ns)
        case "run_job":
            yield RunJobReceived(run=_run_job(message.run_job), wall_ns=wall_ns)
        case "log_acks":
            yield from _acks(message.log_acks.acks)
        case "result_ack":
            ack = message.result_ack
            yield ResultAcked(key=JobKey(ack.job_id, ack.attempt), recorded=ack.recorded)
        case "cancel":
            yield _cancel(message.cancel, wall_ns)
        case "welcome":
            yield _welcome(message.welcome)
        case "servers" | "drain":
            yield _where_to_be(message)
        case "ack" | "keep_alive":
            return
        case _:
            yield UNKNOWN


def _acks(acks: Iterable[pb.LogAck]) -> Iterator[Event]:
    for ack in acks:
        stream = _STREAM_OF.get(ack.stream)
        if stream is not None:
            key = StreamKey(JobKey(ack.job_id, ack.attempt), stream)
            yield Acked(key=key, offset=ack.offset)


_ASKED_ENDS: Final[dict[str, ReasonCode]] = {
    code.value: code
    for code in (
        ReasonCode.CANCELLED,
        ReasonCode.EXECUTION_TIMEOUT,
        ReasonCode.DEADLINE_EXCEEDED,
    )
}
"""What a server may have the result say; anything else is a cancellation."""


def _cancel(cancel: pb.CancelJobCommand, wall_ns: int) -> CancelReceived:
    return CancelReceived(
        key=JobKey(cancel.job_id, cancel.attempt),
        force=cancel.force,
        reason_code=_ASKED_ENDS.get(cancel.reason_code, ReasonCode.CANCELLED),
        wall_ns=wall_ns,
    )


def _where_to_be(message: pb.ServerMessage) -> Event:
    if message.HasField("servers"):
        return ServersKnown(worker_addresses=tuple(message.servers.worker_addresses))
    drain = message.drain
    return DrainReceived(
        terminate=drain.terminate, reconnect_after_s=_seconds(drain.reconnect_after)
    )


def _welcome(welcome: pb.Welcome) -> Welcomed:
    return Welcomed(
        session_epoch=welcome.session_epoch,
        heartbeat_interval_s=_seconds(welcome.heartbeat_interval) or 15.0,
        verdicts=tuple(
            Verdict(
                key=JobKey(each.job_id, each.attempt),
                keep=each.keep,
                stored={
                    _STREAM_OF[at.stream]: at.offset
                    for at in each.stored
                    if at.stream in _STREAM_OF
                },
            )
            for each in welcome.verdicts
        ),
    )


def _run_job(command: pb.RunJobCommand) -> RunJob:
    options = command.options
    stdin: bytes | None = None
    if options.has_stdin:
        stdin = options.stdin
    elif command.HasField("stdin"):
        stdin = command.stdin.encode()
    is_drop = options.log_policy == pb.LOG_POLICY_DROP_OLDEST
    return RunJob(
        key=JobKey(command.job_id, command.attempt),
        token=command.token,
        command=_command(command),
        environment=dict(command.env),
        working_dir=command.working_dir,
        stdin=stdin,
        timeout_s=command.timeout_ms / 1000 or DEFAULT_TIMEOUT_S,
        grace_s=_seconds(options.grace) if options.HasField("grace") else DEFAULT_GRACE_S,
        disconnect_timeout_s=_seconds(options.disconnect_timeout) or DEFAULT_DISCONNECT_TIMEOUT_S,
        log_policy=LogPolicy.DROP_OLDEST if is_drop else LogPolicy.HOLD,
        refusal=_refusal(command),
    )


def _command(command: pb.RunJobCommand) -> Command:
    if command.command.HasField("script"):
        script = command.command.script
        return Script(interpreter=script.interpreter, content=script.content)
    shell = command.command.shell
    arguments = command.options.arguments_raw or [each.encode() for each in shell.args]
    return Exec(argv=(shell.cmd.encode(), *arguments))


def _refusal(command: pb.RunJobCommand) -> str:
    """Why this agent cannot run it; a server of its own release never sends such a thing."""
    if not is_valid_id(command.job_id):
        return "its id cannot be a file name"
    if command.inputs or command.outputs or command.HasField("secrets_json"):
        return "this agent handles neither artifacts nor secrets; update the worker"
    if command.command.WhichOneof("command_type") is None:
        return "it has neither a command nor a script"
    return ""


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / _NS


# --- To the server -----------------------------------------------------------------------------


def encode(into: pb.WorkerMessage, message: Message, vitals: Callable[[], Vitals]) -> None:
    """Writes a message; `vitals` is asked for heartbeats."""
    match message:
        case Chunk():
            _chunk(into.log_batch, message)
        case Result():
            _result(into.result, message)
        case Started():
            _started(into.job_started, message)
        case Heartbeat():
            _heartbeat(into.heartbeat, message, vitals())
        case Draining():
            into.status.status = pb.WORKER_STATUS_DRAINING
            into.status.reason = message.reason
        case _:
            assert_never(message)


def encode_hello(
    hello: Hello, *, slots: int, version: str, info: pb.WorkerInfo
) -> pb.WorkerMessage:
    """The first message of a stream."""
    return pb.WorkerMessage(
        hello=pb.WorkerHello(
            worker_id=info.worker_id.value,
            session_epoch=hello.session_epoch,
            agent_version=version,
            slots=slots,
            info=info,
            held=[_held(each) for each in hello.held],
        )
    )


def _held(held: Held) -> pb.HeldJob:
    job = pb.HeldJob(
        job_id=held.key.job_id,
        attempt=held.key.attempt,
        token=held.token,
        started=held.started,
        sent=_offsets(held.sent),
        acknowledged=_offsets(held.acknowledged),
    )
    if held.result is not None:
        _result(job.result, held.result)
    return job


def _chunk(into: pb.LogBatch, chunk: Chunk) -> None:
    job, stream = chunk.key
    into.job_id = job.job_id
    into.chunks.add(
        job_id=job.job_id,
        attempt=job.attempt,
        stream=_STREAMS[stream],
        offset=chunk.offset,
        data=chunk.data,
    ).time.FromNanoseconds(chunk.wall_ns)


def _result(into: pb.JobResultMessage, result: Result) -> None:
    into.job_id = result.key.job_id
    into.attempt = result.key.attempt
    into.token = result.token
    into.reason_code = result.reason_code
    into.error_message = result.message
    into.success = not result.reason_code
    into.exit_code = result.exit_code or 0
    if result.signal is not None:
        into.signal = result.signal
    into.completed_at.FromNanoseconds(result.ended_ns)
    if result.started_ns is not None:
        into.started_at.FromNanoseconds(result.started_ns)
    into.final_offsets.extend(_offsets(result.final_offsets))
    if result.usage is not None:
        into.usage.user_cpu_s = result.usage.user_cpu_s
        into.usage.system_cpu_s = result.usage.system_cpu_s
        into.usage.max_rss_bytes = result.usage.max_rss_bytes


def _started(into: pb.JobStarted, started: Started) -> None:
    into.job_id, into.attempt = started.key
    into.token = started.token
    into.pid = started.pid
    into.started_at.FromNanoseconds(started.started_ns)


def _heartbeat(into: pb.WorkerHeartbeat, heartbeat: Heartbeat, vitals: Vitals) -> None:
    into.worker_id.value = vitals.worker_id
    into.status = pb.WORKER_STATUS_AVAILABLE
    if heartbeat.is_draining:
        into.status = pb.WORKER_STATUS_DRAINING
    elif heartbeat.job_ids:
        into.status = pb.WORKER_STATUS_BUSY
    into.active_jobs = len(heartbeat.job_ids)
    into.running_job_ids.extend(heartbeat.job_ids)
    into.timestamp.FromNanoseconds(vitals.wall_ns)
    into.dropped_logs = heartbeat.dropped_bytes
    sample = vitals.sample
    into.cpu_percent = sample.cpu_percent
    into.usage.cpu_cores = sample.cpu_percent / 100
    into.memory_bytes = into.usage.memory_bytes = sample.memory_bytes
    into.disk_bytes = into.usage.disk_bytes = sample.disk_bytes


def _offsets(offsets: dict[LogStream, int]) -> list[pb.StreamOffset]:
    return [
        pb.StreamOffset(stream=_STREAMS[stream], offset=offset)
        for stream, offset in offsets.items()
    ]
