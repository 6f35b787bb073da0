"""The three gRPC listeners of a server.

grpcio knows a required client certificate or none, never an optional one; hence a listener for
clients, one for workers' streams (mTLS) and one for enrolment (TLS of the server only).
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer  # pyright: ignore[reportMissingImports] - the stubs leave it out

from hodei.api.grpc.reflection import enable_reflection
from hodei.kernel.errors import UnavailableError

MOST_MESSAGE_BYTES = 64 * 2**20
"""What clients and workers may send and get at once."""
_OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.max_send_message_length", MOST_MESSAGE_BYTES),
    # Two servers on one port would each get half of the calls.
    ("grpc.so_reuseport", 0),
    # Clients ask whether we live; more often than every 5 s would be abuse.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A peer that is gone without a word is noticed. Both bounds are needed: while gRPC measures
    # the bandwidth with a ping of its own, which may take a minute, it sends no keepalive.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    # A peer whose machine is gone says no goodbye; without asking, its calls would stay open.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
)


_HEALTH = "grpc.health.v1.Health"


class PortTakenError(UnavailableError):
    """An address cannot be listened on."""

    code = "PORT_TAKEN"


def _require_free(host: str, port: int, what: str) -> None:
    """Refuses an address that is taken before the C core does, which prints lines of its own."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            # As the C core does it: a connection that has just ended is in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise _taken(host, port, what) from error


def _taken(host: str, port: int, what: str) -> PortTakenError:
    return PortTakenError(
        f"cannot listen on {host}:{port} for {what}: is another server there? "
        "Choose another port, or 0 for a free one"
    )


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Listener:
    """One gRPC server on one port."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        what: str,
        credentials: grpc.ServerCredentials | None,
        most_message_bytes: int = MOST_MESSAGE_BYTES,
        also: Mapping[str, grpc.ServerCredentials] | None = None,
    ) -> None:
        """Takes the port.

        Args:
            host: Where it listens.
            port: 0 takes a free one.
            what: Who connects there, and by which option the port is chosen.
            credentials: None speaks plaintext.
            most_message_bytes: The longest message that it takes.
            also: Other addresses with the same port, each with credentials of its own.

        Raises:
            PortTakenError: An address cannot be had.
        """
        _require_free(host, port, what)
        limit = ("grpc.max_receive_message_length", most_message_bytes)
        self._server = grpc.aio.server(options=[*_OPTIONS, limit])
        self._health = HealthServicer()
        self._services: Sequence[str] = ()
        address = _address(host, port)
        try:
            self.port = (
                self._server.add_insecure_port(address)
                if credentials is None
                else self._server.add_secure_port(address, credentials)
            )
        except RuntimeError as error:
            raise _taken(host, port, what) from error
        for other, own in (also or {}).items():
            _require_free(other, self.port, what)
            try:
                self._server.add_secure_port(_address(other, self.port), own)
            except RuntimeError as error:
                raise _taken(other, self.port, what) from error

    def add(self, register: Callable[[Any, Any], None], service: object) -> None:
        """Serves a service, by the generated function that registers it."""
        register(service, self._server)

    def describe(self, services: Sequence[str]) -> None:
        """Offers health and reflection (v1 and v1alpha) of these services."""
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        enable_reflection([*services, _HEALTH], self._server)
        self._services = services

    async def start(self) -> None:
        """Serves."""
        await self._server.start()

    async def set_serving(self, *, serving: bool) -> None:
        """What the health service says."""
        status = health_pb2.HealthCheckResponse
        state = status.SERVING if serving else status.NOT_SERVING
        for name in ("", *self._services):
            await self._health.set(name, state)

    async def stop(self, grace_s: float) -> None:
        """Takes no more calls and ends those that are open after the grace."""
        await self._server.stop(grace_s)
