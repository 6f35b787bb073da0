"""What the agent must know of certificates, without a library for them: lengths of lives."""

import hashlib
import ssl
from datetime import UTC, datetime
from typing import Final

from hodei.kernel.errors import RefusedError

_SEQUENCE: Final = 0x30
_EXPLICIT_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18


class BadCertificateError(RefusedError):
    """What the server gave as a certificate is none."""

    code = "BAD_CERTIFICATE"


def fingerprint(certificate_der: bytes) -> str:
    """A certificate's fingerprint as the bootstrap has it."""
    return f"sha256:{hashlib.sha256(certificate_der).hexdigest()}"


def lifetime_s(chain_pem: str) -> float:
    """Seconds between the two ends of validity of the first certificate of a chain.

    Says nothing of now: a worker's clock may be wrong, a length is right all the same.

    Raises:
        BadCertificateError: There is no certificate.
    """
    try:
        der = ssl.PEM_cert_to_DER_cert(
            chain_pem[: chain_pem.index(ssl.PEM_FOOTER)] + ssl.PEM_FOOTER
        )
        not_before, not_after = _validity(der)
    except (ValueError, IndexError) as error:
        raise BadCertificateError(f"the server sent no readable certificate: {error}") from error
    return (not_after - not_before).total_seconds()


def _validity(der: bytes) -> tuple[datetime, datetime]:
    """Both ends of validity, from RFC 5280's Certificate.

    Its TBSCertificate begins with version (optional), serial number, signature algorithm, issuer;
    then comes the validity.
    """
    _, certificate, _ = _element(der)
    _, tbs, _ = _element(certificate)
    tag, _, rest = _element(tbs)
    fields_before = 3 if tag == _EXPLICIT_VERSION else 2
    for _ in range(fields_before):
        _, _, rest = _element(rest)
    tag, validity, _ = _element(rest)
    if tag != _SEQUENCE:
        raise ValueError("its validity is not where it should be")
    tag, not_before, rest = _element(validity)
    first = _time(tag, not_before)
    tag, not_after, _ = _element(rest)
    return first, _time(tag, not_after)


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """The first element's tag and content, and what follows it."""
    tag, length, start = der[0], der[1], 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[2 : 2 + size], "big"), 2 + size
    if start + length > len(der):
        raise ValueError("it is cut off")
    return tag, der[start : start + length], der[start + length :]


def _time(tag: int, content: bytes) -> datetime:
    formats = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}
    if tag not in formats:
        raise ValueError("its validity has no times")
    return datetime.strptime(content.decode("ascii"), formats[tag]).replace(tzinfo=UTC)
