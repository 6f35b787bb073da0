"""A server that does what a test tells it: jobs that a test moves, streams that it cuts.

It speaks the real wire on a real port, from a thread of its own. What a real server answers is
the acceptance tests' subject; here it is how clients take the answers.
"""

# ruff: noqa: ANN401, N802 - gRPC names the methods, and its requests have no types

import asyncio
import math
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import grpc
import grpc.aio

from hodei.kernel.errors import (
    AlreadyExistsError,
    HodeiError,
    InvalidFieldsError,
    NotFoundError,
    WrongStateError,
)
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as rpc
from hodei.wire.errors import abort_arguments
from hodei.wire.timestamps import to_timestamp

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]

BEGIN = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
TERMINAL = {"SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"}


@dataclass(slots=True, kw_only=True)
class FakeJob:
    """A job, and what streams tell of it."""

    definition: pb.JobDefinition
    detail: pb.JobDetail
    log: list[pb.JobLogEntry] = field(default_factory=list[pb.JobLogEntry])
    events: list[pb.JobEvent] = field(default_factory=list[pb.JobEvent])


class FakeServer:
    """The server. Its methods may be called from the test's thread."""

    def __init__(self) -> None:
        self.jobs: dict[str, FakeJob] = {}
        self.workers: dict[str, pb.WorkerResource] = {}
        self.calls: Counter[str] = Counter()
        self.requests: list[Any] = []
        self.seconds_left: dict[str, float] = {}
        """By call: how long the client lets the last one take; it may let it take for ever."""
        self.refuses: dict[str, HodeiError] = {}
        """By call: what it refuses."""
        self.gone_for: Counter[str] = Counter()
        """By call: how many times more it answers as a server that goes away."""
        self.gone_as = grpc.StatusCode.UNAVAILABLE
        self.cut_after: dict[str, list[int]] = {}
        """By streaming call: after how many answers each of the next streams is cut."""
        self.on_submit: Callable[[str], None] = lambda _: None
        """Called with the id of each new job; moves it along, usually."""
        self.on_cancel: Callable[[str], None] = lambda job_id: self.end(job_id, "CANCELLED")
        self.port = 0
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    # What a test makes happen.

    def add_job(self, job_id: str, *, state: str = "QUEUED", name: str = "") -> FakeJob:
        """A job that is there."""
        definition = pb.JobDefinition(job_id=pb.JobId(value=job_id), name=name)
        return self._add(definition, state)

    def move(self, job_id: str, state: str, *, event: str = "JobMoved", **detail: Any) -> None:
        """A job goes on to a state; watchers are told."""
        job = self.jobs[job_id]
        job.detail.MergeFrom(pb.JobDetail(state=state, **detail))
        self._tell(job, event)

    def end(
        self, job_id: str, state: str, *, code: str = "", signal: int | None = None, **detail: Any
    ) -> None:
        """A job ends, with one attempt."""
        reason = pb.Reason(code=code, message=f"because of {code}", advice="Do better.")
        shown = reason if code else None
        finished = to_timestamp(BEGIN + timedelta(seconds=2))
        attempt = pb.JobExecution(
            attempt=1,
            attempt_state=state,
            worker_id=pb.WorkerId(value="w1"),
            exit_status=detail.get("exit_code"),
            signal=signal,
            reason=shown,
            start_time=to_timestamp(BEGIN + timedelta(seconds=1)),
            end_time=finished,
        )
        self.move(
            job_id,
            state,
            event="JobEnded",
            reason=shown,
            finished_at=finished,
            attempts=[attempt],
            **detail,
        )

    def write(self, job_id: str, data: bytes, *, stderr: bool = False) -> None:
        """A job writes something."""
        log = self.jobs[job_id].log
        log.append(
            pb.JobLogEntry(
                job_id=job_id,
                data=data,
                is_stderr=stderr,
                attempt=1,
                offset=sum(len(each.data) for each in log if each.is_stderr == stderr),
                sequence=(log[-1].sequence if log else 0) + len(data),
                timestamp=to_timestamp(BEGIN + timedelta(seconds=1)),
            )
        )
        self._wake()

    def _add(self, definition: pb.JobDefinition, state: str) -> FakeJob:
        job = FakeJob(
            definition=definition,
            detail=pb.JobDetail(
                state=state,
                created_at=to_timestamp(BEGIN),
                labels=definition.labels,
                tags=definition.tags,
            ),
        )
        self.jobs[definition.job_id.value] = job
        self._tell(job, "JobQueued")
        return job

    def _tell(self, job: FakeJob, event: str) -> None:
        position = str(len(job.events) + 1)
        job.detail.position = position
        job.events.append(
            pb.JobEvent(
                position=position,
                type=event,
                at=to_timestamp(BEGIN),
                job_id=job.definition.job_id.value,
                state=job.detail.state,
            )
        )
        self._wake()

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self._changed.set)

    # What the servicers below use.

    def find(self, job_id: str) -> FakeJob:
        """The job, or what a real server says when there is none."""
        if job_id not in self.jobs:
            raise NotFoundError("job", job_id, "hodei jobs list shows those that are there")
        return self.jobs[job_id]

    def queue(self, definition: pb.JobDefinition) -> bool:
        """Takes a job; returns whether it was there before."""
        known = self.jobs.get(definition.job_id.value)
        if known is not None:
            if known.definition != definition:
                raise AlreadyExistsError("another definition: name")
            return True
        self._add(definition, "QUEUED")
        self.on_submit(definition.job_id.value)
        return False

    async def follow(
        self, call: str, items: Callable[[], list[T]], is_over: Callable[[], bool]
    ) -> AsyncIterator[T]:
        """Yields the items that are there and those that come, up to the cut of a test."""
        cuts = self.cut_after.get(call) or [-1]
        left = cuts.pop(0)
        sent = 0
        while True:
            self._changed.clear()
            ended = is_over()
            for item in items()[sent:]:
                if left == 0:
                    return
                yield item
                sent, left = sent + 1, left - 1
            if ended:
                return
            await self._changed.wait()

    # Its life.

    @contextmanager
    def running(self) -> Iterator["FakeServer"]:
        """Serves while the block runs."""
        ready = threading.Event()
        stop = asyncio.Event()
        thread = threading.Thread(target=lambda: self._loop.run_until_complete(serve()))

        async def serve() -> None:
            server = grpc.aio.server(interceptors=[_Edge(self)])
            rpc.add_JobExecutionServiceServicer_to_server(_Jobs(self), server)
            rpc.add_LogStreamServiceServicer_to_server(_Logs(self), server)
            rpc.add_WorkerServiceServicer_to_server(_Workers(self), server)
            rpc.add_ServerServiceServicer_to_server(_Server(), server)
            self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
            await server.start()
            ready.set()
            await stop.wait()
            await server.stop(None)

        thread.start()
        try:
            assert ready.wait(10)
            yield self
        finally:
            self._loop.call_soon_threadsafe(stop.set)
            thread.join()
            self._loop.close()


class _Edge(grpc.aio.ServerInterceptor):
    """Counts calls, turns errors into statuses, and plays dead where a test says so."""

    def __init__(self, fake: FakeServer) -> None:
        self._fake = fake

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)
        call = details.method.rpartition("/")[2]
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(
                self._streaming(call, handler.unary_stream),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(call, handler.unary_unary),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _unary(self, call: str, handle: Any) -> Any:
        async def run(request: Any, context: Context) -> Any:
            await self._begin(call, request, context)
            try:
                return await handle(request, context)
            except HodeiError as error:
                await context.abort(*abort_arguments(error))

        return run

    def _streaming(self, call: str, handle: Any) -> Any:
        async def run(request: Any, context: Context) -> AsyncIterator[Any]:
            await self._begin(call, request, context)
            is_cut = bool(self._fake.cut_after.get(call))
            try:
                async for answer in handle(request, context):
                    yield answer
            except HodeiError as error:
                await context.abort(*abort_arguments(error))
            if is_cut:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")

        return run

    async def _begin(self, call: str, request: Any, context: Context) -> None:
        self._fake.calls[call] += 1
        self._fake.requests.append(request)
        self._fake.seconds_left[call] = context.time_remaining() or math.inf
        if self._fake.gone_for[call] > 0:
            self._fake.gone_for[call] -= 1
            await context.abort(self._fake.gone_as, "Socket closed")
        if call in self._fake.refuses:
            await context.abort(*abort_arguments(self._fake.refuses[call]))


class _Jobs(rpc.JobExecutionServiceServicer):
    def __init__(self, fake: FakeServer) -> None:
        self._fake = fake

    async def QueueJob(self, request: Any, context: Context) -> pb.QueueJobResponse:
        existed = self._fake.queue(request.job_definition)
        return pb.QueueJobResponse(
            success=True,
            job_id=request.job_definition.job_id,
            queued_at=to_timestamp(BEGIN),
            already_existed=existed,
        )

    async def QueueJobs(self, request: Any, context: Context) -> pb.QueueJobsResponse:
        jobs = [
            pb.QueuedJob(job_id=each.job_id, already_existed=self._fake.queue(each))
            for each in request.job_definitions
        ]
        return pb.QueueJobsResponse(jobs=jobs, queued_at=to_timestamp(BEGIN))

    async def GetJob(self, request: Any, context: Context) -> pb.GetJobResponse:
        job = self._fake.find(request.job_id.value)
        return pb.GetJobResponse(job=job.definition, detail=job.detail)

    async def ListJobs(self, request: Any, context: Context) -> pb.ListJobsResponse:
        if request.page_size > 1000:
            raise InvalidFieldsError.of("page_size", "at most 1000")
        begin = int(request.page_token or 0)
        jobs = list(self._fake.jobs.values())
        page = jobs[begin : begin + request.page_size]
        end = begin + len(page)
        return pb.ListJobsResponse(
            jobs=[
                pb.JobSummary(
                    job_id=each.definition.job_id, name=each.definition.name, detail=each.detail
                )
                for each in page
            ],
            next_page_token=str(end) if end < len(jobs) else "",
        )

    async def CancelJob(self, request: Any, context: Context) -> pb.CancelJobResponse:
        job = self._fake.find(request.job_id.value)
        if job.detail.state in TERMINAL - {"CANCELLED"}:
            raise WrongStateError(f"job has already ended as {job.detail.state}")
        self._fake.on_cancel(request.job_id.value)
        return pb.CancelJobResponse(success=True)

    async def RetryJob(self, request: Any, context: Context) -> pb.RetryJobResponse:
        self._fake.find(request.job_id.value).detail.state = "QUEUED"
        return pb.RetryJobResponse(job_id=request.job_id, attempt=2)

    async def StreamJobEvents(self, request: Any, context: Context) -> AsyncIterator[pb.JobEvent]:
        job = self._fake.find(request.job_id.value)
        after = int(request.after_position or 0)
        async for event in self._fake.follow(
            "StreamJobEvents",
            lambda: job.events[after:],
            lambda: not request.follow or job.detail.state in TERMINAL,
        ):
            yield event


class _Logs(rpc.LogStreamServiceServicer):
    def __init__(self, fake: FakeServer) -> None:
        self._fake = fake

    async def SubscribeLogs(self, request: Any, context: Context) -> AsyncIterator[pb.JobLogEntry]:
        job = self._fake.find(request.job_id)
        async for entry in self._fake.follow(
            "SubscribeLogs",
            lambda: [each for each in job.log if each.sequence > request.after_sequence],
            lambda: not request.follow or job.detail.state in TERMINAL,
        ):
            yield entry


class _Workers(rpc.WorkerServiceServicer):
    def __init__(self, fake: FakeServer) -> None:
        self._fake = fake

    async def ListWorkers(self, request: Any, context: Context) -> pb.ListWorkersResponse:
        return pb.ListWorkersResponse(workers=list(self._fake.workers.values()))

    async def GetWorker(self, request: Any, context: Context) -> pb.GetWorkerResponse:
        return pb.GetWorkerResponse(worker=self._find(request.worker_id))

    async def DrainWorker(self, request: Any, context: Context) -> pb.DrainWorkerResponse:
        worker = self._find(request.worker_id)
        worker.state = "DRAINING"
        return pb.DrainWorkerResponse(worker=worker)

    async def CleanUpWorkers(self, request: Any, context: Context) -> pb.CleanUpWorkersResponse:
        return pb.CleanUpWorkersResponse()

    async def InviteWorker(self, request: Any, context: Context) -> pb.InviteWorkerResponse:
        return pb.InviteWorkerResponse(
            worker_id="static-1",
            enroll_address="127.0.0.1:50053",
            worker_address="127.0.0.1:50052",
            ca_fingerprint="sha256:" + "0" * 64,
            otp="one-time-password",
            expires_at=to_timestamp(BEGIN),
        )

    def _find(self, worker_id: str) -> pb.WorkerResource:
        if worker_id not in self._fake.workers:
            raise NotFoundError("worker", worker_id, "hodei workers list shows those there are")
        return self._fake.workers[worker_id]


class _Server(rpc.ServerServiceServicer):
    async def GetServerInfo(self, request: Any, context: Context) -> pb.GetServerInfoResponse:
        return pb.GetServerInfoResponse(version="1.2.3", cluster_id="c1", position="0")
