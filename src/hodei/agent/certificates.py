"""Facts of certificates that an agent must know, without a library: which it is, how old it gets."""

import binascii
import hashlib
import re
from datetime import UTC, datetime
from typing import Final

from hodei.kernel.errors import RefusedError

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----")
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


def pinned(pem: bytes, wanted: str) -> bytes | None:
    """The certificate with a fingerprint among those in a text, as PEM; None where none has it."""
    for found in _PEM.finditer(pem):
        if fingerprint(_der(found)) == wanted:
            return found[0] + b"\n"
    return None


def lifetime_s(chain_pem: str) -> float:
    """Seconds between the two ends of validity of the first certificate of a chain.

    Says nothing of now: a worker's clock may be wrong, a length is right all the same.

    Raises:
        BadCertificateError: There is no certificate.
    """
    first = _PEM.search(chain_pem.encode())
    if first is None:
        raise BadCertificateError("the server sent no readable certificate: there is none")
    try:
        not_before, not_after = _validity(_der(first))
    except (ValueError, IndexError) as error:
        raise BadCertificateError(f"the server sent no readable certificate: {error}") from error
    return (not_after - not_before).total_seconds()


def _der(found: re.Match[bytes]) -> bytes:
    return binascii.a2b_base64(found[1])


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
    """A time as RFC 5280 allows it in a validity: to the second, in UTC."""
    if tag not in {_UTC_TIME, _GENERALIZED_TIME}:
        raise ValueError("its validity has no times")
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    if len(text) != len("YYYYMMDDHHMMSSZ") or text[-1] != "Z":
        raise ValueError(f"{text!r} is no time")
    # Not by strptime, which imports 3 ms worth of calendars.
    month_to_second = [int(text[at : at + 2]) for at in range(4, 14, 2)]
    return datetime(int(text[:4]), *month_to_second, tzinfo=UTC)
