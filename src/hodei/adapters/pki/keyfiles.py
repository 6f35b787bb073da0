"""A private key and its certificate in one file, so that they always match.

A file is replaced as a whole (temporary file, fsync, rename, fsync of the directory): after a
crash there is the old pair or the new one, never one half of each.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hodei.kernel.errors import RefusedError


class PkiDirectoryError(RefusedError):
    """The directory of the CA cannot be used as it is; the message says what to do."""

    code = "PKI_DIRECTORY_UNUSABLE"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and the certificate of its public half."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def key_pem(self) -> bytes:
        """The private key, not encrypted: the file's mode protects it."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def certificate_pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)


def make_private_directory(directory: Path) -> None:
    """Makes the directory where it is missing, and closes it to everybody else."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)


def save_pair(path: Path, pair: KeyPair) -> None:
    """Replaces the file's content, durably; only the owner can read it."""
    replace_file(path, pair.key_pem + pair.certificate_pem, mode=0o600)


def load_pair(path: Path) -> KeyPair | None:
    """The pair in the file; None when there is no file.

    Raises:
        PkiDirectoryError: The file holds something else.
    """
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        key = load_pem_private_key(pem, password=None)
        certificate = x509.load_pem_x509_certificate(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _damaged(path) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _damaged(path)
    if key.public_key() != certificate.public_key():
        raise _damaged(path)
    return KeyPair(key, certificate)


def replace_file(path: Path, content: bytes, *, mode: int) -> None:
    """Writes a file so that a crash leaves the old content or the new."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    # Exclusive, so that the mode holds from the first byte.
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
    temporary.rename(path)
    directory_fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory_fd)
    finally:
        os.close(directory_fd)


def _damaged(path: Path) -> PkiDirectoryError:
    return PkiDirectoryError(
        f"{path} does not hold an EC private key and its certificate in PEM: restore it from a "
        f"backup, or move {path.parent} away to have a new CA made (every worker then enrols again)"
    )
