"""Certificates: who is a server, who is a worker."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from hodei.kernel.errors import RefusedError
from hodei.kernel.ids import WorkerId


class BadCsrError(RefusedError):
    """The certificate request cannot be read, or its signature or key is not acceptable."""

    code = "INVALID_ARGUMENT"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """A certificate of a worker."""

    chain_pem: str
    """The certificate, then the intermediate's."""
    serial: str
    """Lower-case hex without a prefix."""
    not_after: datetime
    key_hash: bytes
    """SHA-256 of the SubjectPublicKeyInfo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """What a TLS listener shows and whom it believes, as PEM."""

    key_pem: bytes
    chain_pem: bytes
    """Server, intermediate, root: the root too, so that an agent can pin it."""
    client_ca_pem: bytes
    """Certificates of workers must come from these."""
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerIdentity:
    """Who a peer certificate belongs to."""

    worker_id: WorkerId
    serial: str
    not_after: datetime


class CertificateAuthority(Protocol):
    """The built-in CA. Its methods do not block for longer than a signature takes."""

    @property
    def bundle_pem(self) -> str:
        """The roots that a worker or a client is to believe."""
        ...

    @property
    def fingerprint(self) -> str:
        """`sha256:` and the hex SHA-256 of the current root certificate in DER."""
        ...

    def key_hash(self, csr_der: bytes) -> bytes:
        """SHA-256 of the request's SubjectPublicKeyInfo, after its signature was verified.

        Raises:
            BadCsrError: It is not an acceptable request (EC P-256 or better, or Ed25519).
        """
        ...

    def issue_worker(self, csr_der: bytes, worker_id: WorkerId, now: datetime) -> IssuedCertificate:
        """A certificate for the request's key. Subject and names in the request are ignored.

        Raises:
            BadCsrError: See `key_hash`.
        """
        ...

    def server_identity(self) -> ServerIdentity:
        """The current server certificate. Cheap, and safe to call from any thread."""
        ...

    def renew_if_due(self, now: datetime) -> bool:
        """Renews the server's and the intermediate's certificate past two thirds of their lives.

        Returns whether anything changed, in memory and on disk.
        """
        ...

    def identify(self, certificate_pem: bytes) -> WorkerIdentity:
        """The worker that a verified peer certificate names.

        Raises:
            UnauthenticatedError: It names none of ours.
        """
        ...
