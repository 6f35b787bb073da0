"""A real server in this process, and workers in the hands of a test that speak to its real doors."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hodei.kernel.version import VERSION
from hodei.server.addresses import Addresses
from hodei.server.config import LocalProviderConfig, ServerConfig
from hodei.server.run import running_server
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as rpc
from hodei.wire import provider_management_pb2_grpc as providers_rpc

WITHIN_S = 10.0
"""What the server gets for anything that a test waits for."""
_AS_SERVER = (("grpc.ssl_target_name_override", "hodei-server"),)
_PLAIN = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A worker's key and its request."""

    pem: bytes
    csr_der: bytes

    @classmethod
    def make(cls) -> "Key":
        private = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        return cls(
            pem=private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            csr_der=request.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.DER),
        )


class Site:
    """A running server, as clients and as workers see it."""

    def __init__(self, addresses: Addresses, channel: grpc.aio.Channel) -> None:
        self.addresses = addresses
        self.channel = channel
        self.jobs = rpc.JobExecutionServiceStub(channel)
        self.logs = rpc.LogStreamServiceStub(channel)
        self.workers = rpc.WorkerServiceStub(channel)
        self.server = rpc.ServerServiceStub(channel)
        self.workflows = rpc.WorkflowServiceStub(channel)
        self.providers = providers_rpc.ProviderManagementServiceStub(channel)

    @property
    def root_pem(self) -> bytes:
        """What agents believe."""
        return (self.addresses.data_dir / "pki" / "ca.pem").read_bytes()

    async def counters(self) -> dict[str, int]:
        """What the server has counted."""
        return dict((await self.server.GetServerInfo(pb.GetServerInfoRequest())).counters)

    async def until_counted(self, name: str, at_least: int) -> None:
        """Looks again and again: no event tells of a count."""
        async with asyncio.timeout(WITHIN_S):
            for _ in itertools.count():
                if (await self.counters()).get(name, 0) >= at_least:
                    return
                await asyncio.sleep(0.02)

    async def queue(self, **definition: object) -> str:
        """Queues a job and returns its id."""
        made = pb.JobDefinition(**({"command": "true"} | definition))
        answer = await self.jobs.QueueJob(pb.QueueJobRequest(job_definition=made))
        return answer.job_id.value

    async def state(self, job_id: str) -> str:
        """The state of a job."""
        return (await self.get(job_id)).detail.state

    async def get(self, job_id: str) -> pb.GetJobResponse:
        return await self.jobs.GetJob(pb.GetJobRequest(job_id=pb.JobId(value=job_id)))

    async def cancel(self, job_id: str) -> None:
        await self.jobs.CancelJob(pb.CancelJobRequest(job_id=pb.JobId(value=job_id)))

    async def until(self, job_id: str, *states: str) -> pb.GetJobResponse:
        """Follows the job's events until it is in one of the states."""
        async with asyncio.timeout(WITHIN_S):
            request = pb.StreamJobEventsRequest(job_id=pb.JobId(value=job_id), follow=True)
            events = self.jobs.StreamJobEvents(request)
            async for event in events:
                if event.state in states and await self.state(job_id) in states:
                    break
            events.cancel()
        return await self.get(job_id)

    async def worker(self, worker_id: str) -> pb.WorkerResource:
        return (await self.workers.GetWorker(pb.GetWorkerRequest(worker_id=worker_id))).worker

    async def until_worker(
        self, worker_id: str, holds: Callable[[pb.WorkerResource], bool]
    ) -> None:
        """Follows all events until something holds of a worker."""
        request = pb.StreamJobEventsRequest(follow=True)
        async with asyncio.timeout(WITHIN_S):
            events = self.jobs.StreamJobEvents(request)
            async for _ in events:
                if holds(await self.worker(worker_id)):
                    break
            events.cancel()

    async def invite(self, **labels: str) -> pb.InviteWorkerResponse:
        return await self.workers.InviteWorker(pb.InviteWorkerRequest(labels=labels))

    async def register(
        self, worker_id: str, otp: str, key: Key, *, version: str = VERSION
    ) -> pb.RegisterWorkerResponse:
        """Speaks to the enrolment port."""
        credentials = grpc.ssl_channel_credentials(self.root_pem)
        async with grpc.aio.secure_channel(
            self.addresses.enroll, credentials, options=_AS_SERVER
        ) as channel:
            request = pb.RegisterWorkerRequest(
                auth_token=otp,
                worker_info=pb.WorkerInfo(worker_id=pb.WorkerId(value=worker_id), version=version),
                csr_der=key.csr_der,
            )
            return await rpc.WorkerAgentServiceStub(channel).Register(request, timeout=WITHIN_S)

    async def join(self, **labels: str) -> "Worker":
        """A worker that is enrolled and has no stream yet."""
        invitation, key = await self.invite(**labels), Key.make()
        answer = await self.register(invitation.worker_id, invitation.otp, key)
        return Worker(
            site=self, id=invitation.worker_id, key=key, chain_pem=answer.chain_pem, labels=labels
        )


@dataclass(slots=True, kw_only=True)
class Worker:
    """Somebody with a worker's certificate."""

    site: Site
    id: str
    key: Key
    chain_pem: str
    labels: dict[str, str] = field(default_factory=dict[str, str])

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """A connection to the workers' port."""
        credentials = grpc.ssl_channel_credentials(
            self.site.root_pem, self.key.pem, self.chain_pem.encode()
        )
        async with grpc.aio.secure_channel(
            self.site.addresses.worker, credentials, options=_AS_SERVER
        ) as channel:
            yield channel

    @asynccontextmanager
    async def opening(self) -> AsyncIterator["Stream"]:
        """A stream on which nothing was said yet."""
        async with self.channel() as channel:
            stream = Stream(rpc.WorkerAgentServiceStub(channel).WorkerStream())
            try:
                yield stream
            finally:
                stream.drop()

    @asynccontextmanager
    async def stream(
        self,
        *held: pb.HeldJob,
        slots: int = 1,
        worker_id: str = "",
        version: str = VERSION,
    ) -> AsyncIterator["Stream"]:
        """A stream after its hello."""
        async with self.opening() as stream:
            hello = pb.WorkerHello(
                worker_id=worker_id or self.id,
                agent_version=version,
                slots=slots,
                held=held,
                info=pb.WorkerInfo(labels=self.labels),
            )
            await stream.say(hello=hello)
            yield stream


class Stream:
    """A worker's stream whose every message a test decides."""

    def __init__(self, call: grpc.aio.StreamStreamCall[Any, Any]) -> None:
        self._call = call
        self._heard: list[pb.ServerMessage] = []

    async def say(self, **payload: object) -> None:
        """Sends one message."""
        await self._call.write(pb.WorkerMessage(**payload))

    async def hear(self, kind: str) -> Any:  # noqa: ANN401 - the payload of that kind
        """The next message of a kind, as its payload; what came before it is passed over."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                while self._heard:
                    message = self._heard.pop(0)
                    if message.WhichOneof("payload") == kind:
                        return getattr(message, kind)
                received = await self._call.read()
                if received is grpc.aio.EOF:
                    raise AssertionError(f"the stream ended without {kind}: {await self.ended()}")
                is_batch = received.WhichOneof("payload") == "batch"
                self._heard += received.batch.messages if is_batch else [received]

    async def ended(self) -> tuple[grpc.StatusCode, str]:
        """How the server ended the stream."""
        async with asyncio.timeout(WITHIN_S):
            # The status comes only once every message before it was read.
            with suppress(grpc.aio.AioRpcError):
                while await self._call.read() is not grpc.aio.EOF:
                    pass
            return await self._call.code(), await self._call.details()

    async def finish(self) -> None:
        """Says that nothing more comes."""
        await self._call.done_writing()

    def drop(self) -> None:
        """Ends the stream as a broken connection would."""
        self._call.cancel()

    async def accept(self, run: pb.RunJobCommand) -> None:
        """Says that an attempt runs."""
        await self.say(
            job_started=pb.JobStarted(job_id=run.job_id, attempt=run.attempt, token=run.token)
        )

    async def write(self, run: pb.RunJobCommand, data: bytes, *, offset: int = 0) -> None:
        """Sends output."""
        chunk = pb.LogChunk(
            job_id=run.job_id,
            attempt=run.attempt,
            stream=pb.LOG_STREAM_STDOUT,
            offset=offset,
            data=data,
        )
        await self.say(log_batch=pb.LogBatch(job_id=run.job_id, chunks=[chunk]))


def result(run: pb.RunJobCommand, **changes: object) -> pb.JobResultMessage:
    """A success that wrote `stdout` bytes."""
    stdout = changes.pop("stdout", 0)
    plain = {"job_id": run.job_id, "attempt": run.attempt, "token": run.token, "success": True}
    ends = [pb.StreamOffset(stream=pb.LOG_STREAM_STDOUT, offset=stdout)]
    return pb.JobResultMessage(**(plain | {"final_offsets": ends} | changes))


def held(run: pb.RunJobCommand, **changes: object) -> pb.HeldJob:
    """What hello says of an attempt that runs."""
    plain = {"job_id": run.job_id, "attempt": run.attempt, "token": run.token, "started": True}
    return pb.HeldJob(**(plain | changes))


def fail(part: str, error: BaseException) -> None:
    """A part of the server has failed: so does the test."""
    raise AssertionError(f"{part} failed") from error


@asynccontextmanager
async def serving(
    data_dir: Path,
    *,
    on_failure: Callable[[str, BaseException], None] = fail,
    **settings: object,
) -> AsyncIterator[Site]:
    """A server without workers of its own, unless the settings say so."""
    plain = {
        "dev_mode": True,
        "grpc_port": 0,
        "worker_port": 0,
        "enroll_port": 0,
        "http_port": 0,
        "local": LocalProviderConfig(enabled=False),
    }
    config = ServerConfig(data_dir=data_dir, **(plain | settings))
    async with (
        running_server(config, on_failure=on_failure) as addresses,
        grpc.aio.insecure_channel(addresses.grpc, options=_PLAIN) as channel,
    ):
        yield Site(addresses, channel)
