"""A server of the worker protocol in a few lines, over real mTLS, that tests can hold up or kill.

It stores what agents send, checks that offsets have no gap, and answers as the protocol says,
unless a test tells it otherwise.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration

from hodei.adapters.pki import FileCertificateAuthority, dynamic_server_credentials
from hodei.kernel.ids import ClusterId, WorkerId
from hodei.lifecycle.system_clock import SystemClock
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as services

OTP = "the password of this test"
Key = tuple[str, int]
Context = grpc.aio.ServicerContext


class FakeStream:
    """One stream of an agent, on the server's side."""

    def __init__(self, server: "FakeServer", context: Context, hello: pb.WorkerHello) -> None:
        self.hello = hello
        self.ended = asyncio.Event()
        self.peer_certificate: bytes = context.auth_context()["x509_pem_cert"][0]
        self._server = server
        self._outgoing: asyncio.Queue[pb.ServerMessage | None] = asyncio.Queue()

    def send(self, **payload: object) -> None:
        self._outgoing.put_nowait(pb.ServerMessage(**payload))

    def end(self) -> None:
        self._outgoing.put_nowait(None)

    async def write(self, context: Context) -> None:
        while (message := await self._outgoing.get()) is not None:
            await context.write(message)


class FakeServer(services.WorkerAgentServiceServicer):
    def __init__(self, directory: Path, host: str = "127.0.0.1") -> None:
        self.host = host
        self.clock = SystemClock()
        self.ca = FileCertificateAuthority.open(
            directory,
            cluster_id=ClusterId("test"),
            server_names=(),
            server_addresses=(),
            clock=self.clock,
        )
        self.enroll_port = self.worker_port = 0
        self.logs: dict[tuple[str, int, int], bytearray] = defaultdict(bytearray)
        self.chunk_times: list[int] = []
        self.started: list[pb.JobStarted] = []
        self.results: dict[Key, pb.JobResultMessage] = {}
        self.results_seen = 0
        self._sent: set[Key] = set()
        self.heartbeats: list[pb.WorkerHeartbeat] = []
        self.statuses: list[pb.WorkerStatusNotification] = []
        self.registrations: list[pb.RegisterWorkerRequest] = []
        self.renewals = 0
        self.streams: list[FakeStream] = []
        self.disowned: set[Key] = set()
        self.acknowledges_logs = True
        self.acknowledges_results = True
        self.heartbeat_interval_s = 15.0
        self.refuse_streams: grpc.StatusCode | None = None
        self.on_register: Callable[[int], grpc.StatusCode | None] = lambda _: None
        self.issue: Callable[[bytes], str] = self._issue
        self._changed = asyncio.Condition()
        self._servers: list[grpc.aio.Server] = []

    # --- Its life -------------------------------------------------------------------------------

    @classmethod
    @asynccontextmanager
    async def serving(
        cls, directory: Path, *, heartbeat_interval_s: float = 15.0, host: str = "127.0.0.1"
    ) -> AsyncIterator["FakeServer"]:
        fake = cls(directory, host)
        fake.heartbeat_interval_s = heartbeat_interval_s
        await fake.start()
        try:
            yield fake
        finally:
            await fake.stop()

    async def start(self) -> None:
        """Serves, on the ports of the time before where there was one."""
        for name, needs_certificate in (("enroll_port", False), ("worker_port", True)):
            server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
            services.add_WorkerAgentServiceServicer_to_server(self, server)
            credentials = dynamic_server_credentials(
                self.ca, require_client_certificate=needs_certificate
            )
            address = f"{self.host}:{getattr(self, name)}"
            setattr(self, name, server.add_secure_port(address, credentials))
            await server.start()
            self._servers.append(server)

    async def stop(self) -> None:
        """Ends at once, as if it were killed: whatever was not acknowledged is not known."""
        servers, self._servers = self._servers, []
        for server in servers:
            await server.stop(None)

    def bootstrap(self, **more: object) -> dict[str, object]:
        return {
            "worker_id": "worker-1",
            "cluster_id": "test",
            "enroll_address": f"{self.host}:{self.enroll_port}",
            "worker_address": f"{self.host}:{self.worker_port}",
            "ca_fingerprint": self.ca.fingerprint,
            "ca_pem": self.ca.bundle_pem,
            "otp": OTP,
            "slots": 2,
            **more,
        }

    async def until(self, condition: Callable[[], object], within_s: float = 10.0) -> None:
        """Waits until something that it knows has become true."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(condition)

    # --- What tests do --------------------------------------------------------------------------

    @property
    def stream(self) -> FakeStream:
        return self.streams[-1]

    def run(self, job_id: str, *argv: str, attempt: int = 1, **more: object) -> None:
        """Sends a job; `options` and the other fields of RunJobCommand may be given."""
        self._sent.add((job_id, attempt))
        command = pb.RunJobCommand(job_id=job_id, attempt=attempt, token=attempt * 10, **more)
        if argv:
            command.command.shell.cmd = argv[0]
            command.command.shell.args.extend(argv[1:])
        self.stream.send(run_job=command)

    async def result(self, job_id: str, attempt: int = 1) -> pb.JobResultMessage:
        await self.until(lambda: (job_id, attempt) in self.results)
        return self.results[job_id, attempt]

    def log(self, job_id: str, stream: int = pb.LOG_STREAM_STDOUT, attempt: int = 1) -> bytes:
        return bytes(self.logs[job_id, attempt, stream])

    def acknowledge_everything(self) -> None:
        """Makes up for what was not acknowledged, and acknowledges from now on."""
        self.acknowledges_logs = True
        self.stream.send(
            log_acks=pb.LogAcks(
                acks=[
                    pb.LogAck(job_id=job_id, attempt=attempt, stream=stream, offset=len(data))
                    for (job_id, attempt, stream), data in self.logs.items()
                ]
            )
        )

    async def end_jobs(self) -> None:
        """Ends whatever was sent and has no result yet."""
        for job_id, attempt in self._sent - self.results.keys():
            cancel = pb.CancelJobCommand(job_id=job_id, attempt=attempt, force=True)
            self.stream.send(cancel=cancel)
            await self.result(job_id, attempt)
        self._sent.clear()

    def forget(self) -> None:
        """Forgets all jobs, none of which may run."""
        for kept in (self.logs, self.results, self.started, self.heartbeats):
            kept.clear()

    # --- The protocol ---------------------------------------------------------------------------

    async def Register(  # noqa: N802
        self, request: pb.RegisterWorkerRequest, context: Context
    ) -> pb.RegisterWorkerResponse:
        self.registrations.append(request)
        code = self.on_register(len(self.registrations))
        if code is not None:
            await context.abort(code, "as the test wants it")
        if request.auth_token != OTP:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "a wrong password")
        return pb.RegisterWorkerResponse(
            chain_pem=self.issue(request.csr_der), ca_bundle_pem=self.ca.bundle_pem, success=True
        )

    def _issue(self, csr_der: bytes) -> str:
        return self.ca.issue_worker(csr_der, WorkerId("worker-1"), self.clock.now()).chain_pem

    async def RenewCertificate(  # noqa: N802
        self, request: pb.RenewCertificateRequest, _context: Context
    ) -> pb.RenewCertificateResponse:
        self.renewals += 1
        return pb.RenewCertificateResponse(
            chain_pem=self._issue(request.csr_der), ca_bundle_pem=self.ca.bundle_pem
        )

    async def WorkerStream(self, _requests: object, context: Context) -> None:  # noqa: N802
        if self.refuse_streams is not None:
            await context.abort(self.refuse_streams, "as the test wants it")
        first = await context.read()
        stream = FakeStream(self, context, first.hello)
        stream.send(welcome=self._welcome(first.hello))
        await self._note(lambda: self.streams.append(stream))
        try:
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(self._read(stream, context))
                await stream.write(context)
                reader.cancel()
        finally:
            stream.ended.set()
            with suppress(RuntimeError):
                await self._note(lambda: None)

    def _welcome(self, hello: pb.WorkerHello) -> pb.Welcome:
        welcome = pb.Welcome(session_epoch=hello.session_epoch + 1, heartbeat_interval=Duration())
        welcome.heartbeat_interval.FromMilliseconds(round(self.heartbeat_interval_s * 1000))
        for held in hello.held:
            key = (held.job_id, held.attempt)
            verdict = welcome.verdicts.add(
                job_id=held.job_id, attempt=held.attempt, keep=key not in self.disowned
            )
            for at in held.sent:
                stored = len(self.logs[held.job_id, held.attempt, at.stream])
                verdict.stored.add(stream=at.stream, offset=stored)
        return welcome

    async def _read(self, stream: FakeStream, context: Context) -> None:
        while (message := await context.read()) is not grpc.aio.EOF:
            await self._note(lambda message=message: self._take(stream, message))
        stream.end()

    def _take(self, stream: FakeStream, message: pb.WorkerMessage) -> None:
        match message.WhichOneof("payload"):
            case "batch":
                for each in message.batch.messages:
                    self._take(stream, each)
            case "log_batch":
                for chunk in message.log_batch.chunks:
                    self._store(stream, chunk)
            case "job_started":
                self.started.append(message.job_started)
            case "result":
                self._take_result(stream, message.result)
            case "heartbeat":
                self.heartbeats.append(message.heartbeat)
            case "status":
                self.statuses.append(message.status)

    def _store(self, stream: FakeStream, chunk: pb.LogChunk) -> None:
        data = self.logs[chunk.job_id, chunk.attempt, chunk.stream]
        assert chunk.offset <= len(data), "a gap"
        data[chunk.offset :] = chunk.data
        self.chunk_times.append(chunk.time.ToNanoseconds())
        if self.acknowledges_logs:
            ack = pb.LogAck(
                job_id=chunk.job_id, attempt=chunk.attempt, stream=chunk.stream, offset=len(data)
            )
            stream.send(log_acks=pb.LogAcks(acks=[ack]))

    def _take_result(self, stream: FakeStream, result: pb.JobResultMessage) -> None:
        key = (result.job_id, result.attempt)
        self.results_seen += 1
        for final in result.final_offsets:
            assert len(self.logs[*key, final.stream]) == final.offset, "the log is not all there"
        if self.acknowledges_results:
            self.results[key] = result
            stream.send(result_ack=pb.ResultAck(job_id=key[0], attempt=key[1], recorded=True))

    async def _note(self, change: Callable[[], None]) -> None:
        async with self._changed:
            change()
            self._changed.notify_all()
