"""Which certificates a server shows to whoever asks."""

import asyncio
import ssl
import sys
from typing import Any

from hodei.agent.bootstrap import split_address
from hodei.agent.channel import SERVER_NAME


async def shown_chain(address: str) -> bytes:
    """What a server shows of certificates, as PEM. Nothing is trusted, and nothing told to it.

    Raises:
        OSError: It cannot be reached, or speaks no TLS.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, port = split_address(address)
    _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=SERVER_NAME)
    try:
        return _unverified_chain(writer.get_extra_info("ssl_object"))
    finally:
        writer.transport.abort()


def _unverified_chain(connection: ssl.SSLObject) -> bytes:
    if sys.version_info >= (3, 13):
        shown = connection.get_unverified_chain()
        return "".join(ssl.DER_cert_to_PEM_cert(each) for each in shown).encode()
    # Before 3.13 the same is there, without a public name.
    chain: list[Any] = connection._sslobj.get_unverified_chain()  # noqa: SLF001  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    return "".join(each.public_bytes() for each in chain).encode()
