"""`hodei.WorkerAgentService`: enrolment on one listener, streams on another."""

# The decorators' Callable types have no parameter names; gRPC passes both by position.
# pyright: reportIncompatibleMethodOverride=false

import asyncio
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import structlog
from grpc.aio import EOF  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType] - the stubs leave it out

from hodei.api.grpc.handshakes import Handshakes
from hodei.api.grpc.refusals import abort, unary
from hodei.api.grpc.stream_link import StreamLink
from hodei.api.grpc.stream_messages import decode, decode_hello, encode
from hodei.application.connect_worker import ConnectWorker
from hodei.application.counters import Counters
from hodei.application.doors import Doors
from hodei.application.drain_worker import DrainWorker
from hodei.application.enroll_worker import EnrollWorker
from hodei.application.session import WorkerSession
from hodei.domain.workers.versions import check_version
from hodei.kernel.clock import Clock
from hodei.kernel.errors import (
    HodeiError,
    InvalidFieldsError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from hodei.kernel.ids import ID_RULE, WorkerId, is_valid_id
from hodei.lifecycle.finish import finish_despite_cancel
from hodei.lifecycle.race import until_first
from hodei.ports.pki import CertificateAuthority, WorkerIdentity
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as pb_grpc
from hodei.wire.timestamps import to_timestamp

log = structlog.get_logger()

Context = grpc.aio.ServicerContext[Any, Any]

_HELLO_WITHIN_S = 10.0
"""A stream that says nothing for so long is given up."""
_CLOSE_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerUseCases:
    """What the worker's side of the API calls."""

    enroll: EnrollWorker
    connect: ConnectWorker
    drain: DrainWorker
    authority: CertificateAuthority
    counters: Counters
    clock: Clock


class EnrolmentService(pb_grpc.WorkerAgentServiceServicer):
    """`Register`, on the listener without client certificates; the rest is not served there."""

    def __init__(self, cases: WorkerUseCases, doors: Doors) -> None:
        self._cases = cases
        self._doors = doors

    @unary
    async def Register(
        self, request: pb.RegisterWorkerRequest, context: Context
    ) -> pb.RegisterWorkerResponse:
        """A certificate for a one-time password."""
        worker_id = request.worker_info.worker_id.value
        if not is_valid_id(worker_id):
            self._cases.counters.add("enrolments_refused")
            raise InvalidFieldsError.of("worker_info.worker_id.value", f"is no id: {ID_RULE}")
        if violations := check_version("worker_info.version", request.worker_info.version):
            self._cases.counters.add("enrolments_refused")
            raise InvalidFieldsError(violations)
        enrolled = await self._cases.enroll.enroll(
            worker_id=WorkerId(worker_id),
            password=request.auth_token,
            csr_der=request.csr_der,
            agent_version=request.worker_info.version,
        )
        return pb.RegisterWorkerResponse(
            worker_id=pb.WorkerId(value=enrolled.worker.id),
            success=True,
            message="enrolled",
            session_id=request.session_id,
            registration_time=to_timestamp(self._cases.clock.now()),
            chain_pem=enrolled.chain_pem,
            ca_bundle_pem=self._cases.authority.bundle_pem,
            worker_address=self._doors.of(enrolled.worker.provider).worker_addresses(),
            session_epoch=enrolled.worker.session_epoch,
        )


class WorkerStreamService(pb_grpc.WorkerAgentServiceServicer):
    """All but `Register`, on the listener that demands a worker's certificate."""

    def __init__(self, cases: WorkerUseCases, handshakes: Handshakes) -> None:
        self._cases = cases
        self._handshakes = handshakes

    async def WorkerStream(self, request_iterator: object, context: Context) -> None:
        """The one stream of a worker, from its hello to its end."""
        try:
            identity = self._identify(context)
            link = StreamLink(encode)
            session = await self._open(identity, link, context)
        except HodeiError as error:
            self._cases.counters.add("streams_refused")
            log.warning("stream_refused", peer=context.peer(), code=error.code, message=str(error))
            await abort(context, error)
        message = "the stream ended"
        try:
            await until_first(
                session.run(),
                self._write(link, context),
                self._read(session, context),
                self._expire(identity, link),
            )
            message = link.closed_because or message
        except HodeiError as error:
            self._cases.counters.add("streams_broken")
            message = str(error)
            await abort(context, error)
        finally:
            await finish_despite_cancel(self._close(session, message), within_s=_CLOSE_WITHIN_S)
        if link.closed_because is not None:
            await context.abort(grpc.StatusCode.ABORTED, link.closed_because)

    @unary
    async def UpdateWorkerStatus(
        self, request: pb.UpdateWorkerStatusRequest, context: Context
    ) -> pb.UpdateWorkerStatusResponse:
        """Only DRAINING can be asked for; everything else the stream tells by itself."""
        identity = self._identify(context)
        is_drain = request.status == pb.WORKER_STATUS_DRAINING
        if is_drain:
            await self._cases.drain.drain(identity.worker_id, by="the worker")
        return pb.UpdateWorkerStatusResponse(
            success=is_drain,
            message="draining" if is_drain else "only WORKER_STATUS_DRAINING can be asked for",
            timestamp=to_timestamp(self._cases.clock.now()),
        )

    @unary
    async def UnregisterWorker(
        self,
        request: pb.UnregisterWorkerRequest,
        context: Context,
    ) -> pb.UnregisterWorkerResponse:
        """The worker will take no more jobs and end after its last."""
        identity = self._identify(context)
        await self._cases.drain.drain(identity.worker_id, by="the worker")
        return pb.UnregisterWorkerResponse(success=True, message="draining")

    @unary
    async def RenewCertificate(
        self, request: pb.RenewCertificateRequest, context: Context
    ) -> pb.RenewCertificateResponse:
        """A new certificate for a new key."""
        enrolled = await self._cases.enroll.renew(self._identify(context), request.csr_der)
        return pb.RenewCertificateResponse(
            chain_pem=enrolled.chain_pem, ca_bundle_pem=self._cases.authority.bundle_pem
        )

    def _identify(self, context: Context) -> WorkerIdentity:
        self._handshakes.used(context.peer())
        try:
            return self._certified(context)
        except UnauthenticatedError:
            self._cases.counters.add("certificates_refused")
            raise

    def _certified(self, context: Context) -> WorkerIdentity:
        certificates = list(context.auth_context().get("x509_pem_cert", ()))
        if not certificates:
            raise UnauthenticatedError("a worker's certificate is required")
        identity = self._cases.authority.identify(certificates[0])
        # TLS looked at it when the connection was opened, which may be long ago.
        if identity.not_after <= self._cases.clock.now():
            raise UnauthenticatedError(f"the certificate of {identity.worker_id} has expired")
        return identity

    async def _open(
        self, identity: WorkerIdentity, link: StreamLink, context: Context
    ) -> WorkerSession:
        try:
            async with asyncio.timeout(_HELLO_WITHIN_S):
                first = await context.read()
        except TimeoutError as error:
            raise UnauthenticatedError("the stream must begin with hello") from error
        if first is EOF or first.WhichOneof("payload") != "hello":
            raise UnauthenticatedError("the stream must begin with hello")
        if first.hello.worker_id not in {"", identity.worker_id}:
            raise PermissionDeniedError(
                f"hello is of worker {first.hello.worker_id[:128]!r}, and the certificate is of "
                f"{identity.worker_id}"
            )
        return await self._cases.connect.open(identity, decode_hello(first.hello), link)

    async def _read(self, session: WorkerSession, context: Context) -> None:
        while True:
            message: pb.WorkerMessage = await context.read()
            if message is EOF:
                return
            for part in decode(message, self._cases.clock.now()):
                if part is None:
                    self._cases.counters.add("payloads_ignored")
                    continue
                await session.receive(part)
            if session.leaving is not None:
                why, session.leaving = session.leaving, None
                log.info("worker_leaving", worker_id=session.worker_id, message=why)
                await self._cases.drain.drain(session.worker_id, by="the worker")

    async def _write(self, link: StreamLink, context: Context) -> None:
        async for message in link.outgoing():
            await context.write(message)

    async def _expire(self, identity: WorkerIdentity, link: StreamLink) -> None:
        """TLS looks at a certificate once, when the connection opens; its end is ours to keep."""
        left = identity.not_after - self._cases.clock.now()
        await asyncio.sleep(left.total_seconds())
        link.close("the certificate of this stream has expired")
        # The writer ends the stream once it has written what was queued.
        await asyncio.Event().wait()

    async def _close(self, session: WorkerSession, message: str) -> None:
        try:
            await self._cases.connect.close(session, message=message)
        except HodeiError as error:
            # The stream is down all the same; the lease runs from the worker's last word.
            log.warning("disconnect_not_recorded", message=str(error))
