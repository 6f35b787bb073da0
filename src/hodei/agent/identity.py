"""The agent's key. `python -m hodei.agent key` makes one.

A process of its own makes the key because cryptography takes 15 MB, which an agent would carry
for as long as it lives.
"""

import asyncio
import sys
from dataclasses import dataclass
from typing import Final, Protocol

from hodei.agent import key_documents
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
    # See the head of this file. What writes keys and requests down is not used of the library: its
    # imports take four times as long as all the rest, at the start of each container.
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    numbers = key.private_numbers()
    point = key_documents.Point(x=numbers.public_numbers.x, y=numbers.public_numbers.y)
    asked = key_documents.request_info(point)
    signature = key.sign(asked, ec.ECDSA(hashes.SHA256()))
    return (
        key_documents.private_key_pem(numbers.private_value, point),
        key_documents.signed_request(asked, signature),
    )


def print_key() -> None:
    """Writes a key, a NUL and the request to standard output."""
    key_pem, csr_der = make_key()
    sys.stdout.buffer.write(key_pem + _SEPARATOR + csr_der)
