"""The built-in CA over a directory.

`root.pem`, `intermediate.pem` and `server.pem` hold a key and its certificate each; `ca.pem` is
the root certificate alone, to hand to people. What readers use is one immutable `_State`, which a
renewal replaces as a whole: TLS listeners read it from threads that are not ours.
"""

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from hodei.adapters.pki import certificates
from hodei.adapters.pki.certificates import ServerNames
from hodei.adapters.pki.keyfiles import (
    KeyPair,
    PkiDirectoryError,
    load_pair,
    make_private_directory,
    replace_file,
    save_pair,
)
from hodei.kernel.clock import Clock
from hodei.kernel.errors import InvalidFieldsError, UnauthenticatedError
from hodei.kernel.ids import ID_RULE, ClusterId, WorkerId, is_valid_id
from hodei.ports.pki import IssuedCertificate, ServerIdentity, WorkerIdentity

_ROOT: Final = "root.pem"
_INTERMEDIATE: Final = "intermediate.pem"
_SERVER: Final = "server.pem"
_PUBLIC: Final = "ca.pem"


@dataclass(frozen=True, slots=True)
class _State:
    """What is current. Replaced as a whole, never changed."""

    root: x509.Certificate
    intermediate: KeyPair
    server: KeyPair
    identity: ServerIdentity

    @classmethod
    def of(cls, root: x509.Certificate, intermediate: KeyPair, server: KeyPair) -> "_State":
        root_pem = root.public_bytes(Encoding.PEM)
        identity = ServerIdentity(
            key_pem=server.key_pem,
            chain_pem=server.certificate_pem + intermediate.certificate_pem + root_pem,
            client_ca_pem=root_pem + intermediate.certificate_pem,
            not_after=server.certificate.not_valid_after_utc,
        )
        return cls(root, intermediate, server, identity)


class FileCertificateAuthority:
    """`CertificateAuthority` whose keys lie in a directory. Safe to use from several threads."""

    def __init__(
        self, directory: Path, cluster_id: ClusterId, names: ServerNames, state: _State
    ) -> None:
        self._directory = directory
        self._cluster_id = cluster_id
        self._names = names
        self._state = state
        self._renewing = threading.Lock()

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        cluster_id: ClusterId,
        server_names: Sequence[str],
        server_addresses: Sequence[str],
        clock: Clock,
    ) -> "FileCertificateAuthority":
        """Opens the CA in `directory`; makes what is missing, renews what is due.

        The server's certificate names `hodei-server`, `localhost`, the loopback addresses and
        what is given; it is made anew when these change. Blocks for a few file writes.

        Raises:
            PkiDirectoryError: A file is damaged or missing, or the root is not valid now.
            InvalidFieldsError: The cluster id or a name of the server cannot be in a certificate.
        """
        if not is_valid_id(cluster_id):
            raise InvalidFieldsError.of("cluster_id", f"must be {ID_RULE}")
        names = ServerNames.of([*server_names, *server_addresses])
        make_private_directory(directory)
        state = _load_or_make(directory, names, clock.now())
        return cls(directory, cluster_id, names, state)

    @property
    def bundle_pem(self) -> str:
        """The root certificate."""
        return self._state.root.public_bytes(Encoding.PEM).decode()

    @property
    def fingerprint(self) -> str:
        """`sha256:` and the hex SHA-256 of the root certificate in DER."""
        der = self._state.root.public_bytes(Encoding.DER)
        return f"sha256:{hashlib.sha256(der).hexdigest()}"

    def key_hash(self, csr_der: bytes) -> bytes:
        """SHA-256 of the request's SubjectPublicKeyInfo, after its signature was verified.

        Raises:
            BadCsrError: It is not an acceptable request.
        """
        return certificates.subject_key_hash(certificates.key_of_request(csr_der))

    def issue_worker(self, csr_der: bytes, worker_id: WorkerId, now: datetime) -> IssuedCertificate:
        """A certificate for the request's key, under the name of the worker.

        Raises:
            BadCsrError: It is not an acceptable request.
            InvalidFieldsError: The worker's id cannot be part of a name.
        """
        if not is_valid_id(worker_id):
            raise InvalidFieldsError.of("worker_id", f"must be {ID_RULE}")
        public_key = certificates.key_of_request(csr_der)
        intermediate = self._valid_intermediate(now)
        name = certificates.spiffe_id(self._cluster_id, worker_id)
        certificate = certificates.make_worker(intermediate, public_key, name, now)
        chain = certificate.public_bytes(Encoding.PEM) + intermediate.certificate_pem
        return IssuedCertificate(
            chain_pem=chain.decode(),
            serial=f"{certificate.serial_number:x}",
            not_after=certificate.not_valid_after_utc,
            key_hash=certificates.subject_key_hash(public_key),
        )

    def server_identity(self) -> ServerIdentity:
        """The current server certificate, as one immutable value."""
        return self._state.identity

    def renew_if_due(self, now: datetime) -> bool:
        """Renews what is past two thirds of its life; returns whether anything changed.

        Raises:
            PkiDirectoryError: A file is damaged or missing, or the root is not valid now.
        """
        state = self._state
        if not _is_any_due(state, now):
            return False
        with self._renewing:
            if not _is_any_due(self._state, now):
                return False
            self._state = _load_or_make(self._directory, self._names, now)
        return True

    def identify(self, certificate_pem: bytes) -> WorkerIdentity:
        """The worker that a verified peer certificate names.

        Raises:
            UnauthenticatedError: It names none of ours.
        """
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem)
            purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (ValueError, x509.ExtensionNotFound) as error:
            raise UnauthenticatedError("the peer's certificate is not one of a worker") from error
        if ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
            raise UnauthenticatedError("the peer's certificate is not one of a client")
        return WorkerIdentity(
            worker_id=self._named_worker(list(names.value)),
            serial=f"{certificate.serial_number:x}",
            not_after=certificate.not_valid_after_utc,
        )

    def _named_worker(self, names: list[x509.GeneralName]) -> WorkerId:
        prefix = certificates.spiffe_prefix(self._cluster_id)
        match names:
            case [x509.UniformResourceIdentifier(value=uri)] if uri.startswith(prefix):
                worker_id = uri.removeprefix(prefix)
                if is_valid_id(worker_id):
                    return WorkerId(worker_id)
            case _:
                pass
        raise UnauthenticatedError(
            f"the peer's certificate names no worker of this cluster; its one name must be "
            f"{prefix}<worker id>"
        )

    def _valid_intermediate(self, now: datetime) -> KeyPair:
        # The server renews long before the end; only a host that slept for weeks comes here late.
        if now >= self._state.intermediate.certificate.not_valid_after_utc:
            self.renew_if_due(now)
        return self._state.intermediate


def new_root_pem(now: datetime) -> bytes:
    """A root that is not in a directory yet: its key and its certificate, as `root.pem` has them."""
    root = certificates.make_root(now)
    return root.key_pem + root.certificate_pem


def _is_any_due(state: _State, now: datetime) -> bool:
    pairs = (state.intermediate, state.server)
    return any(certificates.is_due(pair.certificate, now) for pair in pairs)


def _load_or_make(directory: Path, names: ServerNames, now: datetime) -> _State:
    """Reads what is there, makes anew what is missing, due or no longer fits, from the top down.

    A crash between two files leaves a server certificate of an older intermediate, which is seen
    and replaced here.
    """
    root = load_pair(directory / _ROOT)
    if root is None:
        root = _first_root(directory, now)
    _require_valid_root(directory, root.certificate, now)
    _publish_root(directory, root)
    intermediate = load_pair(directory / _INTERMEDIATE)
    if intermediate is None or not _is_usable(intermediate, root, now):
        intermediate = certificates.make_intermediate(root, now)
        save_pair(directory / _INTERMEDIATE, intermediate)
    server = load_pair(directory / _SERVER)
    if (
        server is None
        or not _is_usable(server, intermediate, now)
        or not names.are_in(server.certificate)
    ):
        server = certificates.make_server(intermediate, names, now)
        save_pair(directory / _SERVER, server)
    return _State.of(root.certificate, intermediate, server)


def _first_root(directory: Path, now: datetime) -> KeyPair:
    if (directory / _INTERMEDIATE).exists():
        raise PkiDirectoryError(
            f"{directory / _ROOT} is missing, and a new root would lock out every worker: restore "
            f"it from a backup, or move {directory} away to have a new CA made"
        )
    root = certificates.make_root(now)
    save_pair(directory / _ROOT, root)
    return root


def _publish_root(directory: Path, root: KeyPair) -> None:
    path = directory / _PUBLIC
    if not path.exists() or path.read_bytes() != root.certificate_pem:
        replace_file(path, root.certificate_pem, mode=0o644)


def _require_valid_root(directory: Path, root: x509.Certificate, now: datetime) -> None:
    if not root.not_valid_before_utc <= now < root.not_valid_after_utc:
        raise PkiDirectoryError(
            f"the root certificate in {directory / _ROOT} is valid from "
            f"{root.not_valid_before_utc:%Y-%m-%d %H:%M} to {root.not_valid_after_utc:%Y-%m-%d %H:%M}"
            f" UTC, and now it is {now:%Y-%m-%d %H:%M}: correct the clock, or move {directory} away "
            f"to have a new CA made (every worker then enrols again)"
        )


def _is_usable(pair: KeyPair, issuer: KeyPair, now: datetime) -> bool:
    try:
        pair.certificate.verify_directly_issued_by(issuer.certificate)
    except (ValueError, InvalidSignature):
        return False
    return not certificates.is_due(pair.certificate, now)
