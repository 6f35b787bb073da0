"""An engine that is reached over TLS, as by its address or by a context of `docker`."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from docker_engine import Engine
from docker_images import BUSYBOX
from hodei.domain.placement.kinds import WorkerKind
from hodei.kernel.ids import ClusterId, WorkerId
from hodei.lifecycle.system_clock import SystemClock
from hodei.ports.providers import Bootstrap, ProviderUnavailableError, ProvisionRequest
from hodei.providers.docker import DockerOptions, DockerProvider, EngineAddress

CLUSTER = ClusterId("docker-tls-tests")
HOST = "127.0.0.1"


class Authority:
    """Makes certificates as an operator has them for an engine."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._certify("a CA", self._key, is_ca=True)

    def write(self, directory: Path) -> Path:
        """The three files that `docker` wants, by their names."""
        directory.mkdir()
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certify(HOST, key, is_ca=False)
        (directory / "ca.pem").write_bytes(_pem(self.certificate))
        (directory / "cert.pem").write_bytes(_pem(certificate))
        (directory / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return directory

    def _certify(
        self, name: str, key: ec.EllipticCurvePrivateKey, *, is_ca: bool
    ) -> x509.Certificate:
        now = SystemClock().now()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a CA")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if not is_ca:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    return Authority().write(tmp_path / "certificates")


@pytest.fixture
async def port(docker_engine: Engine, certificates: Path) -> AsyncIterator[int]:
    """Of the engine behind TLS, which lets in whoever has a certificate of the CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.load_verify_locations(certificates / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    socket = docker_engine.host.removeprefix("unix://")
    handlers: set[asyncio.Task[object]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        back, there = await asyncio.open_unix_connection(socket)
        with suppress(OSError, asyncio.CancelledError):
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_forward(reader, there))
                ways.create_task(_forward(back, writer))

    server = await asyncio.start_server(serve, HOST, 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for handler in handlers:
        handler.cancel()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(2**16):
        writer.write(data)
        await writer.drain()
    writer.close()


def provider_at(address: EngineAddress, bundle: Path) -> DockerProvider:
    options = DockerOptions(agent_bundle=bundle, default_image=BUSYBOX)
    return DockerProvider(cluster_id=CLUSTER, address=address, options=options)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    agent = tmp_path / "bundle" / "hodei-agent"
    agent.parent.mkdir()
    agent.write_text("#!/bin/sh\nread document\nexec sleep 60\n")
    agent.chmod(0o755)
    return agent.parent


async def brings_a_worker_up(provider: DockerProvider) -> None:
    """All that goes over the wire: questions, the events, and what the agent reads on its stdin."""
    await provider.start()
    try:
        worker_id = WorkerId("tls-1")
        bootstrap = Bootstrap(
            worker_id=worker_id,
            cluster_id=CLUSTER,
            enroll_address="127.0.0.1:1",
            worker_address="127.0.0.1:1",
            ca_fingerprint="sha256:" + "0" * 64,
            otp="a secret",
        )
        request = ProvisionRequest(worker_id=worker_id, bootstrap=bootstrap, kind=WorkerKind())
        handle = await provider.provision(request)
        assert await provider.is_running(handle)
        await provider.destroy(handle)
        assert await provider.list_owned() == []
    finally:
        await provider.stop()


async def test_an_engine_is_reached_over_tls_with_a_directory_of_certificates(
    port: int, certificates: Path, bundle: Path
):
    address = EngineAddress(host=f"tcp://{HOST}:{port}", cert_path=certificates)
    await brings_a_worker_up(provider_at(address, bundle))


async def test_an_engine_is_reached_over_tls_by_a_context_as_docker_makes_it(
    port: int, certificates: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    at_home_in(tmp_path, monkeypatch)
    parts = [f"host=tcp://{HOST}:{port}"]
    parts += [f"{name}={certificates}/{name}.pem" for name in ("ca", "cert", "key")]
    create_context("box", parts)
    await brings_a_worker_up(provider_at(EngineAddress(context="box"), bundle))


async def test_an_engine_of_another_ca_is_not_believed(port: int, bundle: Path, tmp_path: Path):
    others = Authority().write(tmp_path / "others")
    address = EngineAddress(host=f"tcp://{HOST}:{port}", cert_path=others)
    with pytest.raises(ProviderUnavailableError, match=r"certificate verify failed"):
        await provider_at(address, bundle).start()


async def test_an_engine_that_speaks_tls_is_told_of_where_no_certificates_were_given(
    port: int, bundle: Path
):
    with pytest.raises(ProviderUnavailableError, match=r"docker\.cert_path"):
        await provider_at(EngineAddress(host=f"tcp://{HOST}:{port}"), bundle).start()


@pytest.mark.usefixtures("docker_engine")  # Its client makes the context.
@pytest.mark.parametrize("is_context", [False, True])
async def test_an_engine_behind_ssh_is_refused_with_what_to_do(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_context: object
):
    address = EngineAddress(host="ssh://me@box")
    if is_context:
        at_home_in(tmp_path, monkeypatch)
        create_context("far", ["host=ssh://me@box"])
        address = EngineAddress(context="far")
    with pytest.raises(ProviderUnavailableError, match=r"ssh -L"):
        await provider_at(address, bundle).start()


async def test_a_context_that_is_not_there_is_named(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    at_home_in(tmp_path, monkeypatch)
    with pytest.raises(ProviderUnavailableError, match=r"nowhere.*docker\.context"):
        await provider_at(EngineAddress(context="nowhere"), bundle).start()


def at_home_in(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the contexts of `docker` are."""
    for name in ("DOCKER_CONFIG", "DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(directory))


def create_context(name: str, parts: Sequence[str]) -> None:
    command = ["docker", "context", "create", name, "--docker", ",".join(parts)]
    subprocess.run(command, check=True, capture_output=True)
