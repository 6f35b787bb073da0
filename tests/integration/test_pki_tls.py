"""Certificates of ours at real TLS handshakes of gRPC."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hodei.adapters.pki import FileCertificateAuthority, dynamic_server_credentials
from hodei.kernel.ids import ClusterId, WorkerId

WORKER = WorkerId("worker-1")
HANDSHAKE_S = 10.0
METHOD = "/test.Identity/Who"


class JumpingClock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)  # noqa: TID251 - TLS libraries judge by the real time

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


@dataclass(frozen=True)
class Identity:
    """What a peer shows."""

    key_pem: bytes
    chain_pem: bytes


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def ca(tmp_path: Path, clock: JumpingClock) -> FileCertificateAuthority:
    return open_ca(tmp_path / "pki", clock)


def open_ca(directory: Path, clock: JumpingClock) -> FileCertificateAuthority:
    return FileCertificateAuthority.open(
        directory,
        cluster_id=ClusterId("cluster-a"),
        server_names=(),
        server_addresses=(),
        clock=clock,
    )


def enroll(ca: FileCertificateAuthority, now: datetime) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = request.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    return Identity(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        ca.issue_worker(csr, WORKER, now).chain_pem.encode(),
    )


def serve_as(identity: Identity, client_ca_pem: bytes | None = None) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(identity.key_pem, identity.chain_pem)],
        root_certificates=client_ca_pem,
        require_client_auth=client_ca_pem is not None,
    )


@asynccontextmanager
async def serving(credentials: grpc.ServerCredentials) -> AsyncIterator[int]:
    """A server with one method, which answers with the certificate that the caller showed."""

    async def who(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return b"".join(context.auth_context().get("x509_pem_cert", []))

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(who)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("test.Identity", {"Who": handler})]
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


async def call(port: int, trust_pem: str, identity: Identity | None = None) -> bytes:
    credentials = grpc.ssl_channel_credentials(
        trust_pem.encode(),
        identity.key_pem if identity else None,
        identity.chain_pem if identity else None,
    )
    options = [
        ("grpc.ssl_target_name_override", "hodei-server"),
        # Else a channel may be given the connection of another one to the same port.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        return await channel.unary_unary(METHOD)(b"", timeout=HANDSHAKE_S)


async def is_refused(port: int, trust_pem: str, identity: Identity | None = None) -> bool:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(port, trust_pem, identity)
    return caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_worker_with_a_certificate_gets_in_and_is_known(
    ca: FileCertificateAuthority, clock: JumpingClock
):
    worker = enroll(ca, clock.now())
    async with serving(dynamic_server_credentials(ca, require_client_certificate=True)) as port:
        shown = await call(port, ca.bundle_pem, worker)

    assert ca.identify(shown).worker_id == WORKER


async def test_a_listener_for_enrolment_asks_for_no_certificate(ca: FileCertificateAuthority):
    async with serving(dynamic_server_credentials(ca, require_client_certificate=False)) as port:
        assert await call(port, ca.bundle_pem) == b""


async def test_nobody_gets_in_without_a_certificate(ca: FileCertificateAuthority):
    async with serving(dynamic_server_credentials(ca, require_client_certificate=True)) as port:
        assert await is_refused(port, ca.bundle_pem)


async def test_a_certificate_of_another_ca_is_refused(
    ca: FileCertificateAuthority, clock: JumpingClock, tmp_path: Path
):
    stranger = enroll(open_ca(tmp_path / "other", clock), clock.now())
    async with serving(dynamic_server_credentials(ca, require_client_certificate=True)) as port:
        assert await is_refused(port, ca.bundle_pem, stranger)


async def test_an_expired_certificate_is_refused(
    ca: FileCertificateAuthority, clock: JumpingClock, tmp_path: Path
):
    clock.time -= timedelta(hours=5)
    old = open_ca(tmp_path / "old", clock)
    expired = enroll(old, clock.now())
    alive = enroll(old, clock.now() + timedelta(hours=5))
    async with serving(dynamic_server_credentials(old, require_client_certificate=True)) as port:
        assert await is_refused(port, old.bundle_pem, expired)
        assert await call(port, old.bundle_pem, alive)


async def test_a_server_certificate_opens_no_door_as_a_client(ca: FileCertificateAuthority):
    identity = ca.server_identity()
    server = Identity(identity.key_pem, identity.chain_pem)
    async with serving(dynamic_server_credentials(ca, require_client_certificate=True)) as port:
        assert await is_refused(port, ca.bundle_pem, server)


async def test_a_worker_cannot_pose_as_the_server(
    ca: FileCertificateAuthority, clock: JumpingClock
):
    async with serving(serve_as(enroll(ca, clock.now()))) as port:
        assert await is_refused(port, ca.bundle_pem)


async def test_a_server_of_another_ca_is_not_believed(
    ca: FileCertificateAuthority, clock: JumpingClock, tmp_path: Path
):
    other = open_ca(tmp_path / "other", clock)
    async with serving(dynamic_server_credentials(other, require_client_certificate=False)) as port:
        assert await is_refused(port, ca.bundle_pem)


async def test_a_renewed_certificate_is_shown_without_a_restart(
    clock: JumpingClock, tmp_path: Path
):
    now, clock.time = clock.time, clock.time - timedelta(days=5)
    ca = open_ca(tmp_path / "five-days-old", clock)
    async with serving(dynamic_server_credentials(ca, require_client_certificate=True)) as port:
        before = await shown_by(port)
        assert await shown_by(port) == before
        assert ca.renew_if_due(now)
        after = await shown_by(port)

        assert after != before
        assert ca.server_identity().chain_pem.startswith(after.encode())
        assert await call(port, ca.bundle_pem, enroll(ca, now))


async def test_a_worker_keeps_its_certificate_when_the_intermediate_is_renewed(
    ca: FileCertificateAuthority, clock: JumpingClock, tmp_path: Path
):
    clock.time -= timedelta(days=61)
    old = open_ca(tmp_path / "old", clock)
    worker = enroll(old, clock.now() + timedelta(days=61))
    async with serving(dynamic_server_credentials(old, require_client_certificate=True)) as port:
        # The server's own certificate is long over.
        assert await is_refused(port, old.bundle_pem, worker)
        assert old.renew_if_due(clock.now() + timedelta(days=61))
        shown = await call(port, old.bundle_pem, worker)

    assert old.identify(shown).worker_id == WORKER


async def shown_by(port: int) -> str:
    """The certificate that a server shows to whoever connects."""
    address = ("127.0.0.1", port)
    return await asyncio.to_thread(ssl.get_server_certificate, address, timeout=HANDSHAKE_S)
