"""How an agent gets its first certificate."""

import asyncio
import platform
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Final, TypeVar

import grpc
import grpc.aio

from hodei.agent.bootstrap import Bootstrap, split_addresses
from hodei.agent.bundle import own_version
from hodei.agent.certificates import pinned
from hodei.agent.channel import server_tls
from hodei.agent.identity import Identity
from hodei.agent.json_log import log
from hodei.agent.metrics import capacity
from hodei.agent.reactor.session import retry_delay_s
from hodei.kernel.errors import RefusedError, UnavailableError
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as services

T = TypeVar("T")

CALL_WITHIN_S: Final = 10.0
"""For a handshake or a call; a server that is well answers in milliseconds."""

TRANSIENT: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)
"""The call may not have reached the server, or its answer not us."""


class EnrolmentRefusedError(RefusedError):
    """The server will not have this worker, or it is not the server that it should be."""

    code = "ENROLMENT_REFUSED"


class EnrolmentUnavailableError(UnavailableError):
    """The server cannot be reached just now."""

    code = "ENROLMENT_UNAVAILABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What the server gave."""

    identity: Identity
    worker_addresses: tuple[str, ...]


async def enrol(
    bootstrap: Bootstrap,
    info: pb.WorkerInfo,
    key: Awaitable[tuple[bytes, bytes]],
    chance: Callable[[], float],
) -> Enrolment:
    """Gets the worker's certificate, trying again for as long as no server can be reached.

    Every try uses the same key, so that an answer that was lost is given again.

    Args:
        bootstrap: Where, and with what proof.
        info: What the worker says of itself.
        key: The key and the request for it; it may still be in the making.
        chance: Gives numbers in [0, 1), for jitter.

    Raises:
        EnrolmentRefusedError: It is no use.
    """
    doors = cycle(split_addresses(bootstrap.enroll_address))
    root_pem = pinned(bootstrap.ca_pem.encode(), bootstrap.ca_fingerprint)
    if root_pem is None:
        root_pem = await _trying_again(lambda: _shown_root(bootstrap, next(doors)), chance)
    key_pem, csr_der = await key
    request = pb.RegisterWorkerRequest(auth_token=bootstrap.otp, worker_info=info, csr_der=csr_der)
    answer = await _trying_again(lambda: _register(next(doors), root_pem, request), chance)
    worker_addresses = split_addresses(bootstrap.worker_address or answer.worker_address)
    if not worker_addresses:
        raise EnrolmentRefusedError("neither the server nor the bootstrap names a worker_address")
    return Enrolment(
        identity=Identity(
            key_pem=key_pem,
            chain_pem=answer.chain_pem.encode(),
            ca_bundle_pem=answer.ca_bundle_pem.encode(),
        ),
        worker_addresses=worker_addresses,
    )


async def _trying_again(attempt: Callable[[], Awaitable[T]], chance: Callable[[], float]) -> T:
    failures = 0
    while True:
        try:
            async with asyncio.timeout(CALL_WITHIN_S):
                return await attempt()
        except (EnrolmentUnavailableError, TimeoutError) as error:
            delay = retry_delay_s(failures, chance())
            detail = str(error) or f"no answer within {CALL_WITHIN_S:g} s"
            log.warning("enrolment_unavailable", detail=detail, retry_in_s=round(delay, 3))
        failures += 1
        await asyncio.sleep(delay)


async def _shown_root(bootstrap: Bootstrap, address: str) -> bytes:
    """The certificate with the right fingerprint, out of what the server shows, as PEM."""
    # Most agents are told the root; the others pay for ssl and for a connection more.
    from hodei.agent.shown_chain import shown_chain  # noqa: PLC0415

    try:
        chain = await shown_chain(address)
    except OSError as error:
        raise EnrolmentUnavailableError(f"{address} cannot be reached: {error}") from error
    root_pem = pinned(chain, bootstrap.ca_fingerprint)
    if root_pem is None:
        raise EnrolmentRefusedError(
            f"the server at {address} shows no certificate with the fingerprint "
            f"{bootstrap.ca_fingerprint}: it is not the server that made this worker's bootstrap, "
            "or its CA was replaced; invite the worker again"
        )
    return root_pem


async def _register(
    address: str, root_pem: bytes, request: pb.RegisterWorkerRequest
) -> pb.RegisterWorkerResponse:
    async with server_tls(address, root_pem) as channel:
        try:
            answer: pb.RegisterWorkerResponse = await services.WorkerAgentServiceStub(
                channel
            ).Register(request, timeout=CALL_WITHIN_S)
        except grpc.aio.AioRpcError as error:
            if error.code() in TRANSIENT:
                raise EnrolmentUnavailableError(f"{error.code().name}: {error.details()}") from None
            raise EnrolmentRefusedError(
                f"the server refused to enrol this worker ({error.code().name}: {error.details()})"
            ) from None
    if not answer.chain_pem:
        raise EnrolmentRefusedError(
            f"the server enrolled this worker without a certificate: {answer.message or 'no reason'}"
        )
    return answer


async def renew(channel: grpc.aio.Channel, csr_der: bytes, key_pem: bytes) -> Identity:
    """A new certificate for a new key, over a channel that shows the old one.

    Raises:
        EnrolmentUnavailableError: It did not come; the old certificate still serves.
    """
    request = pb.RenewCertificateRequest(csr_der=csr_der)
    try:
        answer: pb.RenewCertificateResponse = await services.WorkerAgentServiceStub(
            channel
        ).RenewCertificate(request, timeout=CALL_WITHIN_S)
    except grpc.aio.AioRpcError as error:
        raise EnrolmentUnavailableError(f"{error.code().name}: {error.details()}") from None
    return Identity(
        key_pem=key_pem,
        chain_pem=answer.chain_pem.encode(),
        ca_bundle_pem=answer.ca_bundle_pem.encode(),
    )


def worker_info(bootstrap: Bootstrap, work_dir: Path) -> pb.WorkerInfo:
    """What the worker says of itself; the server decides its identity, not this."""
    has = capacity(work_dir)
    host = socket.gethostname()
    return pb.WorkerInfo(
        worker_id=pb.WorkerId(value=bootstrap.worker_id),
        name=bootstrap.name,
        version=own_version(),
        hostname=host,
        os_info=f"{platform.system()} {platform.release()}",
        architecture=platform.machine(),
        capacity=pb.ResourceCapacity(
            cpu_cores=has.cpu_cores,
            memory_bytes=has.memory_bytes,
            disk_bytes=has.disk_bytes,
            custom_resources=bootstrap.custom_resources,
        ),
        labels=bootstrap.labels,
        taints=[_taint(each) for each in bootstrap.taints],
    )


def _taint(text: str) -> pb.Taint:
    key_and_value, _, effect = text.rpartition(":")
    key, _, value = key_and_value.partition("=")
    return pb.Taint(key=key, value=value, effect=effect)
