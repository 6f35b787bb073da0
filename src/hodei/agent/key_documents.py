"""How a P-256 key and the request for its certificate are written down: DER, of fixed shape.

Both are the same bytes each time but for the numbers in them. Nothing here is cryptography: keys and
signatures come from the library.
"""

import binascii
from dataclasses import dataclass
from typing import Final

_PRIVATE_KEY: Final = bytes.fromhex(
    "308187"  # PrivateKeyInfo (RFC 5208)
    "020100"  # version 0
    "301306072a8648ce3d020106082a8648ce3d030107"  # id-ecPublicKey, prime256v1
    "046d306b020101"  # ECPrivateKey (RFC 5915), version 1
    "0420"  # and the number itself, of 32 bytes
)
_ITS_POINT: Final = bytes.fromhex("a144034200")
_PUBLIC_KEY: Final = bytes.fromhex(
    "3059"  # SubjectPublicKeyInfo (RFC 5480)
    "301306072a8648ce3d020106082a8648ce3d030107"
    "034200"  # and the point, of 65 bytes
)
_REQUEST_INFO: Final = bytes.fromhex(
    "3062"  # CertificationRequestInfo (RFC 2986): what follows, and the public key and the end
    "020100"  # version 0
    "3000"  # no subject: the server decides who it is
)
_NO_ATTRIBUTES: Final = bytes.fromhex("a000")
_ECDSA_WITH_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")

_BIT_STRING: Final = 0x03
_SEQUENCE: Final = 0x30
_LINE: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A public key of P-256."""

    x: int
    y: int

    def __bytes__(self) -> bytes:
        """Uncompressed, as SEC 1 has it."""
        return b"\x04" + self.x.to_bytes(32, "big") + self.y.to_bytes(32, "big")


def private_key_pem(number: int, point: Point) -> bytes:
    """An unencrypted key in PKCS #8, as PEM."""
    der = _PRIVATE_KEY + number.to_bytes(32, "big") + _ITS_POINT + bytes(point)
    text = binascii.b2a_base64(der, newline=False).decode()
    lines = "\n".join(text[at : at + _LINE] for at in range(0, len(text), _LINE))
    return f"-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n".encode()


def request_info(point: Point) -> bytes:
    """What is signed of a request, which names nobody."""
    return _REQUEST_INFO + _PUBLIC_KEY + bytes(point) + _NO_ATTRIBUTES


def signed_request(info: bytes, signature: bytes) -> bytes:
    """A PKCS #10 request in DER.

    Args:
        info: Of `request_info`.
        signature: Of it, by ECDSA with SHA-256, in DER.
    """
    # No unused bits at its end.
    signed = info + _ECDSA_WITH_SHA256 + _element(_BIT_STRING, b"\0" + signature)
    return _element(_SEQUENCE, signed)


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([0x81, size])
    return bytes([tag]) + length + content
