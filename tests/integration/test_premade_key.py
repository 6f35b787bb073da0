"""A key that was made before its agent is used once, and its lack is made up for."""

import os
import subprocess
import sys

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from hodei.agent.premade_key import PremadeKeySource

PROGRAM = """
import asyncio, signal, sys
from hodei.agent import premade_key

class Later:
    async def new_key(self):
        return b"later", b""

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
keys = premade_key.PremadeKeySource(premade_key.begin(), Later())

async def main():
    key_pem, csr_der = await keys.new_key()
    assert (await keys.new_key())[0] == b"later"
    assert not any(name.startswith("cryptography") for name in sys.modules)
    sys.stdout.write(key_pem.hex() + " " + csr_der.hex())

asyncio.run(main())
"""


class LaterKeys:
    def __init__(self) -> None:
        self.asked = 0

    async def new_key(self) -> tuple[bytes, bytes]:
        self.asked += 1
        return b"key", b"request"


def test_a_key_and_its_request_come_out_of_the_pipe_once() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    key_pem, csr_der = (bytes.fromhex(each) for each in done.stdout.decode().split())
    key = serialization.load_pem_private_key(key_pem, password=None)
    request = x509.load_der_x509_csr(csr_der)
    assert request.is_signature_valid
    assert request.public_key() == key.public_key()


async def test_where_no_key_was_made_the_later_source_makes_the_first_too() -> None:
    read, write = os.pipe()
    os.close(write)
    later = LaterKeys()
    keys = PremadeKeySource(read, later)
    assert await keys.new_key() == (b"key", b"request")
    assert await keys.new_key() == (b"key", b"request")
    assert later.asked == 2


async def test_a_key_that_is_cut_off_is_not_used() -> None:
    read, write = os.pipe()
    os.write(write, b"\x05\0\0\0\x05\0\0\0abcdefg")
    os.close(write)
    assert await PremadeKeySource(read, LaterKeys()).new_key() == (b"key", b"request")
