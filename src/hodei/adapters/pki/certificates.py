"""What each kind of certificate contains, for how long it holds, and what a request may be.

Every certificate is valid from `BACKDATE` before it was made, for peers whose clocks are late;
its end counts from the time it was made, and never lies after its issuer's.
"""

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hodei.adapters.pki.keyfiles import KeyPair
from hodei.kernel.errors import InvalidFieldsError
from hodei.kernel.ids import ClusterId, WorkerId
from hodei.ports.pki import BadCsrError

BACKDATE: Final = timedelta(minutes=15)
ROOT_LIFE: Final = timedelta(days=3653)
INTERMEDIATE_LIFE: Final = timedelta(days=90)
SERVER_LIFE: Final = timedelta(days=7)
WORKER_LIFE: Final = timedelta(hours=4)

SERVER_NAME: Final = "hodei-server"
"""The DNS name that agents check for, whatever address they dialled."""

MAX_CSR_BYTES: Final = 16 * 1024
_CSR_CURVES: Final = (ec.SECP256R1, ec.SECP384R1)
_CSR_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)

_HOST_NAME: Final = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
    r"(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*"
)

CsrPublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class ServerNames:
    """The names under which a server may be dialled."""

    dns: tuple[str, ...]
    addresses: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> "ServerNames":
        """Sorts names and addresses; puts those first that every server has.

        Wildcard addresses (`0.0.0.0`, `::`) name nobody and are left out.

        Raises:
            InvalidFieldsError: One is neither a host name nor an address.
        """
        dns = [SERVER_NAME, "localhost"]
        addresses = [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]
        for name in names:
            try:
                address = ipaddress.ip_address(name)
            except ValueError:
                dns.append(_checked_host_name(name))
            else:
                if not address.is_unspecified:
                    addresses.append(address)
        return cls(tuple(dict.fromkeys(dns)), tuple(dict.fromkeys(addresses)))

    def extension(self) -> x509.SubjectAlternativeName:
        """As the certificate carries them."""
        return x509.SubjectAlternativeName(
            [
                *(x509.DNSName(name) for name in self.dns),
                *(x509.IPAddress(address) for address in self.addresses),
            ]
        )

    def are_in(self, certificate: x509.Certificate) -> bool:
        """Whether the certificate carries these names and no others."""
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return extension.value == self.extension()


def make_root(now: datetime) -> KeyPair:
    """A new self-signed root."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = _ca_name("root", key.public_key())
    builder = _builder(key.public_key(), name, now, now + ROOT_LIFE).issuer_name(name)
    builder = _as_authority(builder, path_length=1)
    return KeyPair(key, builder.sign(key, hashes.SHA384()))


def make_intermediate(root: KeyPair, now: datetime) -> KeyPair:
    """A new intermediate with a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _ca_name("intermediate", key.public_key())
    builder = _builder(key.public_key(), name, now, _capped(now + INTERMEDIATE_LIFE, root))
    builder = _as_authority(builder, path_length=0)
    return KeyPair(key, _signed(builder, root, hashes.SHA384()))


def make_server(intermediate: KeyPair, names: ServerNames, now: datetime) -> KeyPair:
    """A new server certificate with a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(SERVER_NAME)
    builder = _builder(key.public_key(), subject, now, _capped(now + SERVER_LIFE, intermediate))
    builder = builder.add_extension(names.extension(), critical=False)
    builder = _as_leaf(builder, ExtendedKeyUsageOID.SERVER_AUTH)
    return KeyPair(key, _signed(builder, intermediate, hashes.SHA256()))


def make_worker(
    intermediate: KeyPair, public_key: CsrPublicKey, spiffe_id: str, now: datetime
) -> x509.Certificate:
    """A worker's certificate: good for a client only, and its one name is its SPIFFE id."""
    # The subject says nothing: nobody is to draw authority from it. It is not empty because an
    # empty one would oblige us to mark the names critical, which some TLS libraries trip over.
    end = _capped(now + WORKER_LIFE, intermediate)
    builder = _builder(public_key, _name("hodei-worker"), now, end).add_extension(
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe_id)]), critical=False
    )
    builder = _as_leaf(builder, ExtendedKeyUsageOID.CLIENT_AUTH)
    return _signed(builder, intermediate, hashes.SHA256())


def spiffe_id(cluster_id: ClusterId, worker_id: WorkerId) -> str:
    """The name of a worker in its certificate."""
    return f"{spiffe_prefix(cluster_id)}{worker_id}"


def spiffe_prefix(cluster_id: ClusterId) -> str:
    """What the names of all workers of a cluster begin with."""
    return f"spiffe://{cluster_id}/ns/default/worker/"


def key_of_request(csr_der: bytes) -> CsrPublicKey:
    """The public key of a certificate request, once its signature has been verified.

    Raises:
        BadCsrError: It cannot be read, or its key or its signature is not acceptable.
    """
    if len(csr_der) > MAX_CSR_BYTES:
        raise BadCsrError(
            f"the certificate request has {len(csr_der)} bytes; {MAX_CSR_BYTES} are allowed"
        )
    try:
        request = x509.load_der_x509_csr(csr_der)
        key = request.public_key()
        signature_hash = request.signature_hash_algorithm
        is_genuine = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadCsrError(
            f"the certificate request cannot be read ({error}); send a PKCS #10 request in DER"
        ) from error
    if not is_genuine:
        raise BadCsrError("the certificate request is not signed by its own key")
    return _checked_key(key, signature_hash)


def subject_key_hash(public_key: CsrPublicKey) -> bytes:
    """SHA-256 of the SubjectPublicKeyInfo."""
    der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()


def is_due(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether two thirds of its life are over, or it has not begun (the clock was set back)."""
    made = certificate.not_valid_before_utc + BACKDATE
    due = made + (certificate.not_valid_after_utc - made) * 2 / 3
    return now >= due or now < certificate.not_valid_before_utc


def _checked_host_name(name: str) -> str:
    if len(name) > 253 or not _HOST_NAME.fullmatch(name):
        raise InvalidFieldsError.of(
            "server_names",
            f"{name!r} is neither a host name nor an address; write for example "
            f"hodei.example.org or 192.0.2.7 (an international name in its xn-- form)",
        )
    return name


def _checked_key(key: object, signature_hash: hashes.HashAlgorithm | None) -> CsrPublicKey:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if (
        isinstance(key, ec.EllipticCurvePublicKey)
        and isinstance(key.curve, _CSR_CURVES)
        and isinstance(signature_hash, _CSR_HASHES)
    ):
        return key
    raise BadCsrError(
        "the certificate request has a key or signature of another kind; make an EC key on P-256 "
        "or P-384 and sign with SHA-256 or better, or make an Ed25519 key"
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Hodei Jobs"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _ca_name(kind: str, public_key: ec.EllipticCurvePublicKey) -> x509.Name:
    # With the key in the name no two CAs share one: TLS libraries find an issuer by its name,
    # and some try only the first that fits.
    return _name(f"Hodei {kind} CA {subject_key_hash(public_key).hex()[:16]}")


def _capped(not_after: datetime, issuer: KeyPair) -> datetime:
    return min(not_after, issuer.certificate.not_valid_after_utc)


def _builder(
    public_key: CsrPublicKey, subject: x509.Name, now: datetime, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC).replace(microsecond=0) - BACKDATE)
        .not_valid_after(not_after.astimezone(UTC).replace(microsecond=0))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _as_authority(builder: x509.CertificateBuilder, *, path_length: int) -> x509.CertificateBuilder:
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    return builder.add_extension(constraints, critical=True).add_extension(
        _key_usage(signs_certificates=True), critical=True
    )


def _as_leaf(
    builder: x509.CertificateBuilder, purpose: x509.ObjectIdentifier
) -> x509.CertificateBuilder:
    constraints = x509.BasicConstraints(ca=False, path_length=None)
    return (
        builder.add_extension(constraints, critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(
    builder: x509.CertificateBuilder, issuer: KeyPair, algorithm: hashes.SHA256 | hashes.SHA384
) -> x509.Certificate:
    public_key = issuer.key.public_key()
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(public_key)
    return (
        builder.issuer_name(issuer.certificate.subject)
        .add_extension(authority, critical=False)
        .sign(issuer.key, algorithm)
    )
