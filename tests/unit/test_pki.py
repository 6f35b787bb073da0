"""The certificate authority, by its files and what its certificates say."""

import hashlib
import ipaddress
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hodei.adapters.pki import FileCertificateAuthority
from hodei.adapters.pki.keyfiles import PkiDirectoryError
from hodei.kernel.errors import InvalidFieldsError, UnauthenticatedError
from hodei.kernel.ids import ClusterId, WorkerId
from hodei.ports.pki import BadCsrError, CertificateAuthority

START = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
WORKER = WorkerId("worker-1")
CLUSTER = ClusterId("cluster-a")

type_check: Callable[[FileCertificateAuthority], CertificateAuthority] = lambda ca: ca  # noqa: E731


class JumpingClock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - START).total_seconds()


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


def open_ca(
    directory: Path, clock: JumpingClock, *names: str, cluster: ClusterId = CLUSTER
) -> FileCertificateAuthority:
    return FileCertificateAuthority.open(
        directory, cluster_id=cluster, server_names=names, server_addresses=(), clock=clock
    )


@pytest.fixture
def ca(tmp_path: Path, clock: JumpingClock) -> FileCertificateAuthority:
    return open_ca(tmp_path / "pki", clock)


def csr(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | None = None,
    name: str = "ignored",
    algorithm: hashes.SHA256 | hashes.SHA1 | None = hashes.SHA256(),  # noqa: B008
) -> bytes:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.DNSName("hodei-server")]), critical=False
    )
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


def chain(pem: bytes | str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode() if isinstance(pem, str) else pem)


def names_of(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_the_first_start_makes_private_files_and_the_next_one_uses_them(
    tmp_path: Path, clock: JumpingClock
):
    directory = tmp_path / "pki"
    first = open_ca(directory, clock)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    second = open_ca(directory, clock)

    assert modes == {
        "root.pem": 0o600,
        "intermediate.pem": 0o600,
        "server.pem": 0o600,
        "ca.pem": 0o644,
    }
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert second.server_identity() == first.server_identity()
    assert second.fingerprint == first.fingerprint


def test_the_fingerprint_is_the_sha256_of_the_last_certificate_that_a_server_shows(
    ca: FileCertificateAuthority,
):
    server, intermediate, root = chain(ca.server_identity().chain_pem)

    digest = hashlib.sha256(root.public_bytes(Encoding.DER)).hexdigest()
    assert ca.fingerprint == f"sha256:{digest}"
    assert chain(ca.bundle_pem) == [root]
    assert chain(ca.server_identity().client_ca_pem) == [root, intermediate]
    server.verify_directly_issued_by(intermediate)
    intermediate.verify_directly_issued_by(root)


def test_lives_are_counted_from_now_and_begin_fifteen_minutes_earlier(ca: FileCertificateAuthority):
    server, intermediate, root = chain(ca.server_identity().chain_pem)
    made = START.replace(microsecond=0)

    assert {each.not_valid_before_utc for each in (server, intermediate, root)} == {
        made - timedelta(minutes=15)
    }
    assert server.not_valid_after_utc == made + timedelta(days=7)
    assert intermediate.not_valid_after_utc == made + timedelta(days=90)
    assert root.not_valid_after_utc == made + timedelta(days=3653)
    assert ca.server_identity().not_after == server.not_valid_after_utc


def test_the_server_certificate_names_what_it_is_dialled_by(tmp_path: Path, clock: JumpingClock):
    ca = open_ca(tmp_path, clock, "hodei.example.org", "192.0.2.7", "::1", "0.0.0.0")
    names = names_of(chain(ca.server_identity().chain_pem)[0])

    assert names.get_values_for_type(x509.DNSName) == [
        "hodei-server",
        "localhost",
        "hodei.example.org",
    ]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
        ipaddress.ip_address("192.0.2.7"),
    ]


@pytest.mark.parametrize("name", ["", "a b", "über.example", "-x", "a..b", "x" * 300])
def test_a_name_that_cannot_be_in_a_certificate_is_refused_by_name(
    tmp_path: Path, clock: JumpingClock, name: str
):
    with pytest.raises(InvalidFieldsError, match="neither a host name nor an address"):
        open_ca(tmp_path, clock, name)


def test_other_names_replace_the_server_certificate_and_nothing_else(
    tmp_path: Path, clock: JumpingClock
):
    before = open_ca(tmp_path, clock)
    after = open_ca(tmp_path, clock, "new.example.org")
    old, new = chain(before.server_identity().chain_pem), chain(after.server_identity().chain_pem)

    assert old[0] != new[0]
    assert old[1:] == new[1:]
    assert open_ca(tmp_path, clock, "new.example.org").server_identity() == after.server_identity()


def test_a_worker_gets_a_client_certificate_with_its_spiffe_id_as_the_only_name(
    ca: FileCertificateAuthority,
):
    key = ec.generate_private_key(ec.SECP256R1())
    issued = ca.issue_worker(csr(key, name="root"), WORKER, START)
    leaf, intermediate = chain(issued.chain_pem)

    assert list(names_of(leaf)) == [
        x509.UniformResourceIdentifier("spiffe://cluster-a/ns/default/worker/worker-1")
    ]
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert "root" not in leaf.subject.rfc4514_string()
    leaf.verify_directly_issued_by(intermediate)
    assert leaf.public_key() == key.public_key()
    assert issued.not_after == leaf.not_valid_after_utc
    assert issued.not_after == START.replace(microsecond=0) + timedelta(hours=4)
    assert issued.serial == f"{leaf.serial_number:x}"
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert issued.key_hash == hashlib.sha256(der).digest() == ca.key_hash(csr(key))


def test_an_issued_certificate_identifies_its_worker(ca: FileCertificateAuthority):
    issued = ca.issue_worker(csr(), WORKER, START)
    identity = ca.identify(issued.chain_pem.encode())

    assert identity.worker_id == WORKER
    assert identity.serial == issued.serial
    assert identity.not_after == issued.not_after


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["p256", "p384", "ed25519"],
)
def test_good_keys_are_accepted(
    ca: FileCertificateAuthority, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
):
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    assert ca.issue_worker(csr(key, algorithm=algorithm), WORKER, START).key_hash


@pytest.mark.parametrize(
    "request_der",
    [
        b"",
        b"\x30\x03\x02\x01\x00",
        b"x" * 20_000,
        csr(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        csr(ec.generate_private_key(ec.SECP224R1())),
        csr(ec.generate_private_key(ec.SECP256K1())),
        csr()[:-1] + b"\x00",
        csr().replace(b"ignored", b"changed"),
    ],
    ids=["empty", "junk", "huge", "rsa", "p224", "k1", "torn", "forged"],
)
def test_bad_requests_are_refused(ca: FileCertificateAuthority, request_der: bytes):
    with pytest.raises(BadCsrError):
        ca.issue_worker(request_der, WORKER, START)
    with pytest.raises(BadCsrError):
        ca.key_hash(request_der)


@pytest.mark.parametrize("worker_id", ["", "a/b", "../x", "é", "x" * 129])
def test_a_worker_id_that_could_pose_as_another_name_is_refused(
    ca: FileCertificateAuthority, worker_id: str
):
    with pytest.raises(InvalidFieldsError):
        ca.issue_worker(csr(), WorkerId(worker_id), START)


def test_certificates_that_name_no_worker_of_ours_are_not_identified(
    ca: FileCertificateAuthority, tmp_path: Path, clock: JumpingClock
):
    other = open_ca(tmp_path / "other", clock, cluster=ClusterId("cluster-b"))
    stranger = other.issue_worker(csr(), WORKER, START).chain_pem.encode()
    server, _, root = chain(ca.server_identity().chain_pem)

    for pem in (
        b"junk",
        stranger,
        server.public_bytes(Encoding.PEM),
        root.public_bytes(Encoding.PEM),
    ):
        with pytest.raises(UnauthenticatedError):
            ca.identify(pem)


@pytest.mark.parametrize(
    "uris",
    [
        ["spiffe://cluster-a/ns/default/worker/w", "spiffe://cluster-a/ns/default/worker/x"],
        ["spiffe://cluster-a/ns/default/worker/"],
        ["spiffe://cluster-a/ns/default/worker/w/x"],
        ["spiffe://cluster-a/ns/other/worker/w"],
        ["https://cluster-a/ns/default/worker/w"],
    ],
)
def test_only_one_well_formed_name_identifies(ca: FileCertificateAuthority, uris: list[str]):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, START, START + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris]),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )

    with pytest.raises(UnauthenticatedError):
        ca.identify(certificate.public_bytes(Encoding.PEM))


def test_nothing_is_renewed_before_two_thirds_of_a_life(
    ca: FileCertificateAuthority, clock: JumpingClock
):
    identity = ca.server_identity()

    assert not ca.renew_if_due(START + timedelta(days=7) * 2 / 3 - timedelta(seconds=2))
    assert ca.server_identity() is identity


def test_the_server_certificate_is_renewed_at_two_thirds_and_kept(
    ca: FileCertificateAuthority, tmp_path: Path, clock: JumpingClock
):
    old = chain(ca.server_identity().chain_pem)
    clock.time = START + timedelta(days=7) * 2 / 3

    assert ca.renew_if_due(clock.time)
    assert not ca.renew_if_due(clock.time)

    new = chain(ca.server_identity().chain_pem)
    assert old[0] != new[0]
    assert old[1:] == new[1:]
    assert new[0].not_valid_after_utc == clock.time.replace(microsecond=0) + timedelta(days=7)
    assert open_ca(tmp_path / "pki", clock).server_identity() == ca.server_identity()


def test_the_intermediate_is_renewed_with_the_server_certificate_under_the_same_root(
    ca: FileCertificateAuthority, clock: JumpingClock
):
    old = chain(ca.server_identity().chain_pem)
    clock.time = START + timedelta(days=60)

    assert ca.renew_if_due(clock.time)

    server, intermediate, root = chain(ca.server_identity().chain_pem)
    assert root == old[2]
    assert intermediate != old[1]
    server.verify_directly_issued_by(intermediate)
    leaf, issuer = chain(ca.issue_worker(csr(), WORKER, clock.time).chain_pem)
    leaf.verify_directly_issued_by(intermediate)
    assert issuer == intermediate


def test_a_server_that_slept_through_every_life_wakes_up_usable(
    tmp_path: Path, clock: JumpingClock, ca: FileCertificateAuthority
):
    clock.time = START + timedelta(days=400)

    assert ca.issue_worker(csr(), WORKER, clock.time).not_after > clock.time
    reopened = open_ca(tmp_path / "pki", clock)
    assert reopened.server_identity().not_after > clock.time
    assert reopened.fingerprint == ca.fingerprint


def test_certificates_from_a_clock_that_was_ahead_are_replaced_once_it_is_right(
    ca: FileCertificateAuthority, tmp_path: Path, clock: JumpingClock
):
    clock.time = START + timedelta(days=30)
    ca.renew_if_due(clock.time)
    clock.time = START + timedelta(days=1)

    assert ca.renew_if_due(clock.time)
    assert chain(ca.server_identity().chain_pem)[0].not_valid_before_utc < clock.time


def test_no_worker_certificate_outlives_its_issuer(ca: FileCertificateAuthority):
    end = chain(ca.server_identity().chain_pem)[1].not_valid_after_utc
    issued = ca.issue_worker(csr(), WORKER, end - timedelta(hours=1))

    assert issued.not_after == end


def test_a_root_that_is_not_valid_now_is_reported_with_advice(
    ca: FileCertificateAuthority, tmp_path: Path, clock: JumpingClock
):
    for days in (-1, 4000):
        clock.time = START + timedelta(days=days)
        with pytest.raises(PkiDirectoryError, match="correct the clock"):
            open_ca(tmp_path / "pki", clock)


def test_a_missing_root_is_never_replaced_behind_the_workers_backs(
    ca: FileCertificateAuthority, tmp_path: Path, clock: JumpingClock
):
    (tmp_path / "pki" / "root.pem").unlink()

    with pytest.raises(PkiDirectoryError, match="would lock out every worker"):
        open_ca(tmp_path / "pki", clock)


def test_a_damaged_file_is_reported_by_name(
    ca: FileCertificateAuthority, tmp_path: Path, clock: JumpingClock
):
    path = tmp_path / "pki" / "intermediate.pem"
    path.write_bytes(path.read_bytes()[:100])

    with pytest.raises(PkiDirectoryError, match=r"intermediate\.pem does not hold"):
        open_ca(tmp_path / "pki", clock)


def test_a_key_beside_the_certificate_of_another_is_reported(
    ca: FileCertificateAuthority, tmp_path: Path, clock: JumpingClock
):
    directory = tmp_path / "pki"
    server, intermediate = directory / "server.pem", directory / "intermediate.pem"
    marker = b"-----BEGIN CERTIFICATE"
    key = server.read_bytes().split(marker)[0]
    server.write_bytes(key + marker + intermediate.read_bytes().split(marker)[1])

    with pytest.raises(PkiDirectoryError, match=r"server\.pem does not hold"):
        open_ca(directory, clock)


def test_a_crash_between_the_files_of_a_renewal_is_repaired_at_the_next_start(
    ca: FileCertificateAuthority, tmp_path: Path, clock: JumpingClock
):
    directory = tmp_path / "pki"
    clock.time = START + timedelta(days=59)
    ca.renew_if_due(clock.time)
    old_server = (directory / "server.pem").read_bytes()
    clock.time = START + timedelta(days=60)
    ca.renew_if_due(clock.time)
    (directory / "server.pem").write_bytes(old_server)
    (directory / ".server.pem.new").write_bytes(b"half a file")

    reopened = open_ca(directory, clock)

    server, intermediate, _ = chain(reopened.server_identity().chain_pem)
    server.verify_directly_issued_by(intermediate)
    assert not list(directory.glob(".*"))


def test_a_cluster_id_that_cannot_be_in_a_name_is_refused(tmp_path: Path, clock: JumpingClock):
    with pytest.raises(InvalidFieldsError, match="cluster_id"):
        open_ca(tmp_path, clock, cluster=ClusterId("a/b"))
