"""Channels to a server."""

from dataclasses import dataclass
from typing import Final

import grpc
import grpc.aio

from hodei.agent.identity import Identity

SERVER_NAME: Final = "hodei-server"
"""In every server certificate, whatever the address."""
MAX_MESSAGE_BYTES: Final = 64 * 2**20

Options = list[tuple[str, int | str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepalive:
    """How an agent finds out that a server is gone that cannot say so."""

    every_s: float = 15.0
    within_s: float = 10.0
    """Together with `every_s` well under the lease of 60 s: an agent must count its time without
    a server from before the server gives up on it."""


def options(keepalive: Keepalive | None = None) -> Options:
    """What every channel of an agent has."""
    common: Options = [
        ("grpc.ssl_target_name_override", SERVER_NAME),
        # A proxy of the environment is for jobs, not for the way to the server.
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        # Each connection is a fresh try: the pace is set by the reactor, not by what a channel
        # before it remembers of the address.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.enable_retries", 0),
    ]
    if keepalive is not None:
        common += [
            ("grpc.keepalive_time_ms", round(keepalive.every_s * 1000)),
            ("grpc.keepalive_timeout_ms", round(keepalive.within_s * 1000)),
            # While a ping of another kind is under way, none is sent to keep alive, and that other
            # one would have a minute (grpcio 1.85).
            ("grpc.http2.ping_timeout_ms", round(keepalive.within_s * 1000)),
            ("grpc.http2.max_pings_without_data", 0),
        ]
    return common


def mutual_tls(address: str, identity: Identity, keepalive: Keepalive) -> grpc.aio.Channel:
    """A channel on which the agent shows its certificate."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=identity.ca_bundle_pem,
        private_key=identity.key_pem,
        certificate_chain=identity.chain_pem,
    )
    return grpc.aio.secure_channel(address, credentials, options(keepalive))


def server_tls(address: str, root_pem: bytes) -> grpc.aio.Channel:
    """A channel on which only the server shows a certificate, which must come from `root_pem`."""
    credentials = grpc.ssl_channel_credentials(root_certificates=root_pem)
    return grpc.aio.secure_channel(address, credentials, options())
