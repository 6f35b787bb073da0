"""What workers say and hear, between protobuf and the application's values."""

from collections.abc import Iterator
from datetime import datetime
from typing import assert_never

from hodei.application.links import (
    Cancel,
    DrainOrder,
    FromWorker,
    Heartbeat,
    HeldAttempt,
    Hello,
    Leaving,
    LogsStored,
    Output,
    Result,
    ResultTaken,
    Run,
    Servers,
    Started,
    ToWorker,
    Usage,
    Verdict,
    Welcome,
)
from hodei.kernel.ids import FencingToken, JobId
from hodei.kernel.version import VERSION
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire.timestamps import to_duration
from hodei.wire.worker_messages import (
    STREAMS,
    decode_chunk,
    decode_offsets,
    decode_outcome,
    decode_worker_ready,
    encode_offsets,
    run_job_command,
)


def decode_hello(hello: pb.WorkerHello) -> Hello:
    """The first message of a stream.

    Raises:
        InvalidFieldsError: With all in it that cannot be.
    """
    held = tuple(
        HeldAttempt(
            job_id=JobId(each.job_id),
            attempt=each.attempt,
            token=FencingToken(each.token),
            started=each.started,
            acknowledged=decode_offsets(each.acknowledged, field="held.acknowledged"),
        )
        for each in hello.held
    )
    return Hello(ready=decode_worker_ready(hello), held=held)


def decode(message: pb.WorkerMessage, received_at: datetime) -> Iterator[FromWorker | None]:
    """What a message says; None for each part that this server does not know.

    Raises:
        InvalidFieldsError: A part of it makes no sense.
    """
    match message.WhichOneof("payload"):
        case "batch":
            for each in message.batch.messages:
                yield from decode(each, received_at)
        case "log_batch":
            chunks = message.log_batch.chunks
            yield Output(
                chunks=tuple([decode_chunk(each, received_at=received_at) for each in chunks])
            )
        case "job_started":
            started = message.job_started
            yield Started(
                job_id=JobId(started.job_id),
                attempt=started.attempt,
                token=FencingToken(started.token),
            )
        case "result":
            yield Result(
                job_id=JobId(message.result.job_id), outcome=decode_outcome(message.result)
            )
        case "heartbeat":
            beat = message.heartbeat
            yield Heartbeat(
                usage=Usage(
                    cpu_percent=beat.cpu_percent,
                    memory_bytes=beat.memory_bytes,
                    disk_bytes=beat.disk_bytes,
                )
            )
        case "status" if message.status.status == pb.WORKER_STATUS_DRAINING:
            yield Leaving(message=message.status.reason)
        case _:
            yield None


def encode(message: ToWorker) -> pb.ServerMessage:  # noqa: PLR0911 - one arm a message
    """A message for the stream."""
    match message:
        case Run():
            return pb.ServerMessage(run_job=run_job_command(message.job))
        case LogsStored():
            ack = pb.LogAck(
                job_id=message.job_id,
                attempt=message.attempt,
                stream=STREAMS[message.stream],
                offset=message.end,
            )
            return pb.ServerMessage(log_acks=pb.LogAcks(acks=[ack]))
        case ResultTaken():
            return pb.ServerMessage(
                result_ack=pb.ResultAck(
                    job_id=message.job_id, attempt=message.attempt, recorded=message.recorded
                )
            )
        case Cancel():
            return pb.ServerMessage(
                cancel=pb.CancelJobCommand(
                    job_id=message.job_id,
                    attempt=message.attempt,
                    force=message.force,
                    reason_code=message.reason_code,
                )
            )
        case DrainOrder():
            return pb.ServerMessage(
                drain=pb.Drain(
                    terminate=message.terminate,
                    reconnect_after=to_duration(message.reconnect_after_s),
                )
            )
        case Servers():
            return pb.ServerMessage(servers=pb.Servers(worker_addresses=message.worker_addresses))
        case Welcome():
            return pb.ServerMessage(welcome=_welcome(message))
        case _:
            assert_never(message)


def _welcome(message: Welcome) -> pb.Welcome:
    return pb.Welcome(
        session_epoch=message.session_epoch,
        verdicts=[_verdict(each) for each in message.verdicts],
        heartbeat_interval=to_duration(message.heartbeat_interval_s),
        lease=to_duration(message.lease_s),
        server_version=VERSION,
    )


def _verdict(verdict: Verdict) -> pb.HeldVerdict:
    return pb.HeldVerdict(
        job_id=verdict.job_id,
        attempt=verdict.attempt,
        keep=verdict.keep,
        stored=encode_offsets(verdict.stored),
    )
