"""Secrets that may lie where others can read them, sealed with a key that lies elsewhere."""

import hashlib
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hodei.kernel.errors import RefusedError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_WHAT_FOR: Final = b"hodei: the identity of an installation"


class SealBrokenError(RefusedError):
    """The key is another one, or what it sealed was changed."""

    code = "SEAL_BROKEN"


def key_id(key: bytes) -> str:
    """Tells one key from another, and nothing about either."""
    return hashlib.sha256(b"hodei key id\0" + key).hexdigest()[:16]


def seal(key: bytes, secret: bytes) -> bytes:
    """The secret as only the key's owner can read it, or change it without being noticed."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, secret, _WHAT_FOR)


def unseal(key: bytes, sealed: bytes) -> bytes:
    """The secret.

    Raises:
        SealBrokenError: It was not sealed with this key, or was changed since.
    """
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _WHAT_FOR)
    except (InvalidTag, ValueError) as error:
        raise SealBrokenError("it was sealed with another key, or is damaged") from error
