"""Who may enrol and what a worker may say: everything else is refused, logged and counted."""

import contextlib
import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from acceptance.harness import HodeiServer, eventually
from hodei.kernel.version import VERSION
from hodei.lifecycle.system_clock import SystemClock
from hodei.sdk import Invitation
from hodei.wire import hodei_all_in_one_pb2 as pb
from hodei.wire import hodei_all_in_one_pb2_grpc as rpc

AS_SERVER = [("grpc.ssl_target_name_override", "hodei-server")]
REFUSALS = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
PEM = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key and the request to certify it."""

    private: ec.EllipticCurvePrivateKey
    csr_der: bytes

    @classmethod
    def make(cls) -> "Key":
        """A new one; the name in it is to be ignored."""
        private = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hodei-server")])
        request = x509.CertificateSigningRequestBuilder().subject_name(name)
        return cls(
            private=private,
            csr_der=request.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.DER),
        )

    @property
    def pem(self) -> bytes:
        """The private key as gRPC wants it."""
        return self.private.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Somebody with a worker's certificate, who need not behave like a worker."""

    worker_id: str
    key: Key
    chain_pem: str
    ca_pem: str

    def credentials(self) -> grpc.ChannelCredentials:
        """What it shows to the workers' port."""
        return grpc.ssl_channel_credentials(
            self.ca_pem.encode(), self.key.pem, self.chain_pem.encode()
        )


def root_of(server: HodeiServer) -> bytes:
    """The root certificate, as an operator finds it in the data directory."""
    roots = [
        file.read_bytes()
        for file in server.data_dir.rglob("*.pem")
        if b"BEGIN CERTIFICATE" in file.read_bytes()
    ]
    assert roots, "no certificate in the data directory"
    return b"\n".join(roots)


def register(
    server: HodeiServer, *, worker_id: str, otp: str, key: Key
) -> pb.RegisterWorkerResponse:
    """Enrols at the enrolment port."""
    credentials = grpc.ssl_channel_credentials(root_of(server))
    with grpc.secure_channel(server.addresses["enroll"], credentials, options=AS_SERVER) as channel:
        return rpc.WorkerAgentServiceStub(channel).Register(
            pb.RegisterWorkerRequest(
                auth_token=otp,
                worker_info=pb.WorkerInfo(worker_id=pb.WorkerId(value=worker_id), version=VERSION),
                csr_der=key.csr_der,
            ),
            timeout=10,
        )


def invite(server: HodeiServer, **labels: str) -> Invitation:
    """Asks for an invitation."""
    with server.client() as client:
        return client.invite_worker(labels=labels)


def join(server: HodeiServer, **labels: str) -> Member:
    """Enrols as an invited worker does."""
    invitation, key = invite(server, **labels), Key.make()
    answer = register(server, worker_id=invitation.worker_id, otp=invitation.otp, key=key)
    return Member(
        worker_id=invitation.worker_id,
        key=key,
        chain_pem=answer.chain_pem,
        ca_pem=answer.ca_bundle_pem,
    )


def counted(server: HodeiServer, name: str) -> int:
    """How often something was counted since the server started."""
    with server.client() as client:
        return client.server_info().counters.get(name, 0)


def assert_refused(call: Callable[[], object]) -> str:
    """Fails unless the call is refused; returns what was said."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    assert isinstance(raised.value, grpc.Call)
    assert raised.value.code() in REFUSALS, raised.value
    return raised.value.details() or ""


def test_a_password_used_again_with_the_same_key_gives_the_same_certificate(
    server: HodeiServer,
) -> None:
    invitation, key = invite(server), Key.make()
    first, again = (
        register(server, worker_id=invitation.worker_id, otp=invitation.otp, key=key)
        for _ in range(2)
    )
    assert first.chain_pem == again.chain_pem
    leaf = x509.load_pem_x509_certificate(first.chain_pem.encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (identity,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert identity.endswith(f"/worker/{invitation.worker_id}")
    assert names.get_values_for_type(x509.DNSName) == []
    assert leaf.not_valid_after_utc - SystemClock().now() <= timedelta(hours=4)


def test_a_password_used_again_with_another_key_is_refused_and_logged(server: HodeiServer) -> None:
    invitation = invite(server)
    register(server, worker_id=invitation.worker_id, otp=invitation.otp, key=Key.make())
    before = counted(server, "enrolments_refused")
    assert_refused(
        lambda: register(server, worker_id=invitation.worker_id, otp=invitation.otp, key=Key.make())
    )
    assert counted(server, "enrolments_refused") == before + 1
    refusals = [line for line in server.log.splitlines() if "refused" in line]
    assert any(invitation.worker_id in line for line in refusals), server.log
    assert invitation.otp not in server.log


def test_a_password_is_good_for_its_own_worker_only(server: HodeiServer) -> None:
    one, other = invite(server), invite(server)
    assert_refused(lambda: register(server, worker_id=other.worker_id, otp=one.otp, key=Key.make()))
    assert_refused(
        lambda: register(server, worker_id="nobody-invited-me", otp=one.otp, key=Key.make())
    )


@pytest.mark.timeout(60)
def test_a_password_that_comes_late_is_refused(start_server: Callable[..., HodeiServer]) -> None:
    own = start_server(otp_ttl="10s")
    invitation = invite(own)
    eventually(
        lambda: SystemClock().now() > invitation.expires_at, within_s=20, what="its last moment"
    )
    assert_refused(
        lambda: register(own, worker_id=invitation.worker_id, otp=invitation.otp, key=Key.make())
    )


@pytest.mark.parametrize("otp", ["", "guess", "x" * 100_000])
def test_a_guessed_password_is_refused(server: HodeiServer, otp: str) -> None:
    invitation = invite(server)
    assert_refused(
        lambda: register(server, worker_id=invitation.worker_id, otp=otp, key=Key.make())
    )


def test_a_request_that_is_no_request_is_refused(server: HodeiServer) -> None:
    invitation, key = invite(server), Key.make()
    broken = Key(private=key.private, csr_der=key.csr_der[:-4] + b"\0\0\0\0")
    with pytest.raises(grpc.RpcError) as raised:
        register(server, worker_id=invitation.worker_id, otp=invitation.otp, key=broken)
    assert isinstance(raised.value, grpc.Call)
    assert raised.value.code() in {*REFUSALS, grpc.StatusCode.INVALID_ARGUMENT}


class Stream:
    """A worker's stream in the hands of somebody who says what he likes."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._sent: queue.SimpleQueue[pb.WorkerMessage | None] = queue.SimpleQueue()
        self._call = rpc.WorkerAgentServiceStub(channel).WorkerStream(
            iter(self._sent.get, None), timeout=30
        )
        self._unpacked = self._unpack()

    def send(self, **payload: object) -> None:
        """Sends one message."""
        self._sent.put(pb.WorkerMessage(**payload))  # pyright: ignore[reportArgumentType]

    def _unpack(self) -> Iterator[pb.ServerMessage]:
        for message in self._call:
            yield from message.batch.messages if message.HasField("batch") else [message]

    def expect(self, kind: str) -> pb.ServerMessage:
        """The next message of a kind; others are passed over."""
        for message in self._unpacked:
            if message.WhichOneof("payload") == kind:
                return message
        raise AssertionError(f"the stream ended without {kind}")

    def close(self) -> None:
        """Ends it."""
        self._sent.put(None)
        self._call.cancel()


@contextlib.contextmanager
def stream_of(
    server: HodeiServer, credentials: grpc.ChannelCredentials, *, worker_id: str, **labels: str
) -> Iterator[Stream]:
    """Opens a stream and says hello."""
    address = server.addresses["worker"]
    with grpc.secure_channel(address, credentials, options=AS_SERVER) as channel:
        stream = Stream(channel)
        stream.send(
            hello=pb.WorkerHello(
                worker_id=worker_id,
                agent_version=VERSION,
                slots=1,
                info=pb.WorkerInfo(
                    worker_id=pb.WorkerId(value=worker_id),
                    capacity=pb.ResourceCapacity(cpu_cores=1, memory_bytes=1 << 30),
                    labels=labels,
                ),
            )
        )
        try:
            yield stream
        finally:
            stream.close()


def test_a_certificate_of_another_ca_opens_no_stream(server: HodeiServer) -> None:
    member = join(server)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, member.worker_id)])
    now = SystemClock().now()
    forged = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(member.key.private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(member.key.private, hashes.SHA256())
    )
    credentials = grpc.ssl_channel_credentials(
        member.ca_pem.encode(), member.key.pem, forged.public_bytes(PEM)
    )
    with (
        stream_of(server, credentials, worker_id=member.worker_id) as stream,
        pytest.raises(grpc.RpcError),
    ):
        stream.expect("welcome")


def test_no_certificate_opens_no_stream(server: HodeiServer) -> None:
    member = join(server)
    credentials = grpc.ssl_channel_credentials(member.ca_pem.encode())
    with (
        stream_of(server, credentials, worker_id=member.worker_id) as stream,
        pytest.raises(grpc.RpcError),
    ):
        stream.expect("welcome")


def test_a_worker_cannot_speak_for_another(server: HodeiServer) -> None:
    member, other = join(server), join(server)
    with stream_of(server, member.credentials(), worker_id=other.worker_id) as stream:
        assert other.worker_id in assert_refused(lambda: stream.expect("welcome"))


def result(run: pb.RunJobCommand, *, token: int, attempt: int = 0) -> pb.JobResultMessage:
    """A success of a job that wrote nothing."""
    return pb.JobResultMessage(
        job_id=run.job_id,
        attempt=attempt or run.attempt,
        token=token,
        success=True,
        exit_code=0,
        final_offsets=[
            pb.StreamOffset(stream=pb.LOG_STREAM_STDOUT),
            pb.StreamOffset(stream=pb.LOG_STREAM_STDERR),
        ],
    )


def test_a_result_with_an_old_token_changes_nothing(server: HodeiServer) -> None:
    member = join(server, intruder="yes")
    with (
        server.client() as client,
        stream_of(
            server, member.credentials(), worker_id=member.worker_id, intruder="yes"
        ) as stream,
    ):
        stream.expect("welcome")
        job = client.submit(command=["true"], selector={"intruder": "yes"})
        run = stream.expect("run_job").run_job
        assert run.job_id == job.id
        stream.send(
            job_started=pb.JobStarted(job_id=job.id, attempt=run.attempt, token=run.token, pid=1)
        )
        eventually(lambda: client.get(job.id).state == "RUNNING", what="RUNNING")
        before = counted(server, "results_refused")
        stream.send(result=result(run, token=run.token - 1))
        assert stream.expect("result_ack").result_ack.recorded is False
        assert client.get(job.id).state == "RUNNING"
        assert counted(server, "results_refused") == before + 1
        assert any(job.id in line and "refused" in line for line in server.log.splitlines())
        stream.send(result=result(run, token=run.token))
        assert stream.expect("result_ack").result_ack.recorded is True
        assert client.wait(job.id).state == "SUCCEEDED"
        # And not a second time either.
        stream.send(result=result(run, token=run.token))
        stream.expect("result_ack")
        ended = client.get(job.id)
        assert (ended.state, len(ended.attempts)) == ("SUCCEEDED", 1)


def test_a_worker_cannot_end_a_job_of_another(server: HodeiServer) -> None:
    honest, thief = join(server, owner="honest"), join(server, owner="thief")
    with (
        server.client() as client,
        stream_of(server, honest.credentials(), worker_id=honest.worker_id, owner="honest") as mine,
        stream_of(server, thief.credentials(), worker_id=thief.worker_id, owner="thief") as theirs,
    ):
        mine.expect("welcome")
        theirs.expect("welcome")
        job = client.submit(command=["true"], selector={"owner": "honest"})
        run = mine.expect("run_job").run_job
        theirs.send(result=result(run, token=run.token))
        assert theirs.expect("result_ack").result_ack.recorded is False
        assert client.get(job.id).state in {"ASSIGNED", "RUNNING"}
        mine.send(result=result(run, token=run.token))
        assert mine.expect("result_ack").result_ack.recorded is True


def test_garbage_on_the_workers_and_the_enrolment_port_stops_nobody(server: HodeiServer) -> None:
    for port in ("worker", "enroll"):
        with grpc.insecure_channel(server.addresses[port]) as channel, pytest.raises(grpc.RpcError):
            rpc.WorkerAgentServiceStub(channel).Register(pb.RegisterWorkerRequest(), timeout=5)
    with server.client() as client:
        assert client.wait(client.submit(command=["true"]).id, timeout=10).state == "SUCCEEDED"


def test_the_clients_port_does_not_enrol_and_takes_no_stream(server: HodeiServer) -> None:
    with server.channel() as channel, pytest.raises(grpc.RpcError) as raised:
        rpc.WorkerAgentServiceStub(channel).Register(pb.RegisterWorkerRequest(), timeout=5)
    assert isinstance(raised.value, grpc.Call)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
