"""The agent's key. `python -m hodei.agent key` makes one.

A process of its own makes the key because cryptography takes 15 MB, which an agent would carry
for as long as it lives.
"""

import asyncio
import sys
from dataclasses import dataclass
from typing import Final, Protocol

from hodei.agent.bundle import own_command
from hodei.kernel.errors import BrokenError

_WITHIN_S: Final = 30.0
"""A key takes 0.1 s, most of it imports; a machine that starts many agents may need longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A key and what a server signed for it."""

    key_pem: bytes
    chain_pem: bytes
    ca_bundle_pem: bytes


class KeySource(Protocol):
    """Makes keys."""

    async def new_key(self) -> tuple[bytes, bytes]:
        """A new EC P-256 key as unencrypted PKCS #8 in PEM, and a request for it in DER."""
        ...


class ChildKeySource:
    """Makes each key in a child process; it never touches a disk."""

    async def new_key(self) -> tuple[bytes, bytes]:
        """Runs the agent's program, to make a key.

        Raises:
            BrokenError: It failed; its own words are in the agent's log.
        """
        process = await asyncio.create_subprocess_exec(
            *own_command(),
            "key",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_WITHIN_S):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        key_pem, separator, csr_der = output.partition(_SEPARATOR)
        if process.returncode != 0 or not separator:
            raise BrokenError(f"making a key failed with exit code {process.returncode}")
        return key_pem, csr_der


_SEPARATOR: Final = b"\0"
"""Between the key and the request: PEM is text, so that the first NUL is ours."""


def make_key() -> tuple[bytes, bytes]:
    """A new key and a request for it, as `KeySource.new_key` has them."""
    from cryptography import x509  # noqa: PLC0415 - see the head of this file
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    # The server ignores the names in a request and decides them itself.
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    signed = request.sign(key, hashes.SHA256())
    return key_pem, signed.public_bytes(serialization.Encoding.DER)


def print_key() -> None:
    """Writes a key, a NUL and the request to standard output."""
    key_pem, csr_der = make_key()
    sys.stdout.buffer.write(key_pem + _SEPARATOR + csr_der)
