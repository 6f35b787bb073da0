"""The listeners of a server: their ports are taken first, then the control plane moves in."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from hodei.adapters.pki.credentials import dynamic_server_credentials
from hodei.api.grpc.handshakes import Handshakes
from hodei.api.grpc.jobs import JobExecutionService
from hodei.api.grpc.listeners import Listener
from hodei.api.grpc.logs import LogStreamService
from hodei.api.grpc.providers import ProviderManagementService
from hodei.api.grpc.worker_agent import EnrolmentService, WorkerStreamService
from hodei.api.grpc.workers import ServerService, WorkerService
from hodei.api.grpc.workflows import WorkflowService
from hodei.api.http.health import Health, health_app
from hodei.application.doors import Doors
from hodei.kernel.ids import ProviderName, ServerId
from hodei.kernel.version import VERSION
from hodei.ports.cluster import ServerEntry
from hodei.ports.providers import ProviderUnavailableError
from hodei.server.addresses import Addresses
from hodei.server.bootstrap import ControlPlane, Foundations
from hodei.server.free_ports import free_port, is_any, is_of_this_machine
from hodei.server.http_server import HttpServer
from hodei.server.place import duties_of
from hodei.server.provider_set import DOCKER
from hodei.wire import hodei_all_in_one_pb2_grpc as pb_grpc
from hodei.wire import provider_management_pb2_grpc as providers_grpc

MOST_ENROLMENT_BYTES = 256 * 1024
"""Anybody may speak there: a password and a certificate request need not be larger."""
_CLIENT_SERVICES = (
    "hodei.JobExecutionService",
    "hodei.LogStreamService",
    "hodei.WorkerService",
    "hodei.ServerService",
    "hodei.WorkflowService",
    "hodei.providers.ProviderManagementService",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """All doors of one server."""

    clients: Listener
    streams: Listener
    enrolment: Listener
    http: HttpServer
    health: Health
    handshakes: Handshakes
    """Of the workers' port."""


def take_ports(base: Foundations) -> Listeners:
    """Binds every port and keeps the numbers, so that workers find a restarted server.

    Raises:
        PortTakenError: One cannot be had; the message names the option.
    """
    config, data_dir = base.config, base.data_dir
    # One object for each listener: gRPC takes the first certificate out of it once, and a second
    # listener would find none.
    for_clients = dynamic_server_credentials(base.authority, require_client_certificate=False)
    for_enrolment = dynamic_server_credentials(base.authority, require_client_certificate=False)
    handshakes = Handshakes()
    mutual = dynamic_server_credentials(
        base.authority, require_client_certificate=True, on_handshake=handshakes.begun
    )
    health = Health()
    also = _also_at(base)
    hosts = ["localhost", "127.0.0.1", "::1", config.listen_host]
    listeners = Listeners(
        clients=Listener(
            host=config.listen_host,
            port=data_dir.port("grpc", config.grpc_port) or free_port(config.listen_host),
            what="clients (--grpc-port)",
            credentials=None if config.dev_mode else for_clients,
        ),
        streams=Listener(
            host=config.worker_listen_host,
            port=data_dir.port("worker", config.worker_port)
            or free_port(config.worker_listen_host, *also),
            what="workers (--worker-port)",
            credentials=mutual,
            also={
                host: dynamic_server_credentials(
                    base.authority, require_client_certificate=True, on_handshake=handshakes.begun
                )
                for host in also
            },
        ),
        enrolment=Listener(
            host=config.worker_listen_host,
            port=data_dir.port("enroll", config.enroll_port)
            or free_port(config.worker_listen_host, *also),
            what="enrolment (--enroll-port)",
            credentials=for_enrolment,
            also={
                host: dynamic_server_credentials(base.authority, require_client_certificate=False)
                for host in also
            },
            most_message_bytes=MOST_ENROLMENT_BYTES,
        ),
        http=HttpServer(
            health_app(health, allowed_hosts=hosts),
            host=config.listen_host,
            port=data_dir.port("http", config.http_port) or free_port(config.listen_host),
        ),
        health=health,
        handshakes=handshakes,
    )
    data_dir.keep_ports(
        {
            "grpc": listeners.clients.port,
            "worker": listeners.streams.port,
            "enroll": listeners.enrolment.port,
            "http": listeners.http.port,
        }
    )
    return listeners


def doors_of(
    base: Foundations, listeners: Listeners, by_provider: dict[ProviderName, Doors] | None = None
) -> Doors:
    """What workers are told; `by_provider` gets those of the settings' own, and may get more."""
    config = base.config

    def doors(host: str, by_provider: dict[ProviderName, Doors] | None = None) -> Doors:
        return Doors(
            cluster_id=base.cluster_id,
            enroll_address=address_of(host, listeners.enrolment.port),
            worker_address=address_of(host, listeners.streams.port),
            standing=base.neighbours.standing,
            by_provider={} if by_provider is None else by_provider,
        )

    inside = {} if by_provider is None else by_provider
    if base.container_host:
        inside[DOCKER] = doors(base.container_host)
    return doors(config.advertise_host or config.worker_listen_host, inside)


def entry_of(base: Foundations, listeners: Listeners) -> ServerEntry:
    """What the server says of itself to others; each of its lives gets an id of its own."""
    doors = doors_of(base, listeners)
    return ServerEntry(
        id=ServerId(base.ids.new()),
        name=base.neighbours.name,
        version=VERSION,
        address=address_of(base.config.listen_host, listeners.clients.port),
        worker_address=doors.worker_address,
        enroll_address=doors.enroll_address,
        offers=duties_of(base.neighbours.name, [each.name for each in base.providers]),
    )


def addresses_of(base: Foundations, listeners: Listeners) -> Addresses:
    """Where the server is."""
    doors = doors_of(base, listeners)
    return Addresses(
        grpc=address_of(base.config.listen_host, listeners.clients.port),
        worker=doors.worker_address,
        enroll=doors.enroll_address,
        http=address_of(base.config.listen_host, listeners.http.port),
        data_dir=base.data_dir.path,
        pid=os.getpid(),
    )


def add_services(
    plane: ControlPlane,
    providers: ProviderManagementService,
    listeners: Listeners,
    doors: Doors,
) -> None:
    """Puts every service behind its door."""
    clients = listeners.clients
    clients.add(pb_grpc.add_JobExecutionServiceServicer_to_server, JobExecutionService(plane.jobs))
    clients.add(pb_grpc.add_LogStreamServiceServicer_to_server, LogStreamService(plane.tail))
    clients.add(pb_grpc.add_WorkerServiceServicer_to_server, WorkerService(plane.operators))
    clients.add(pb_grpc.add_ServerServiceServicer_to_server, ServerService(plane.operators))
    clients.add(
        pb_grpc.add_WorkflowServiceServicer_to_server, WorkflowService(plane.workflows.client)
    )
    clients.add(providers_grpc.add_ProviderManagementServiceServicer_to_server, providers)
    clients.describe(_CLIENT_SERVICES)
    listeners.handshakes.count_in(plane.workers.counters)
    worker_services(plane, listeners, doors)(listeners.streams, listeners.enrolment)


def worker_services(
    plane: ControlPlane, listeners: Listeners, doors: Doors
) -> Callable[[Listener, Listener], None]:
    """What puts the workers' services behind a listener for their streams and one for enrolment."""
    streams = WorkerStreamService(plane.workers, listeners.handshakes)
    enrolment = EnrolmentService(plane.workers, doors)

    def add(for_streams: Listener, for_enrolment: Listener) -> None:
        register = pb_grpc.add_WorkerAgentServiceServicer_to_server
        for_streams.add(register, streams)
        for_enrolment.add(register, enrolment)

    return add


def _also_at(base: Foundations) -> tuple[str, ...]:
    """Where containers knock, when that is another address of this machine.

    Raises:
        ProviderUnavailableError: It is none, and nobody said which other would do.
    """
    host, config = base.container_host, base.config
    if not host or host == config.worker_listen_host or is_any(config.worker_listen_host):
        return ()
    if is_of_this_machine(host):
        return (host,)
    if config.docker.server_host:
        # Somebody says that it leads here, through whatever is between.
        return ()
    raise ProviderUnavailableError(
        f"docker.server_host: the gateway {host} of the network {config.docker.network} is no address "
        "of this machine (the engine may be on another): say by which address containers reach this "
        "server, and listen there (--worker-listen)"
    )


def address_of(host: str, port: int) -> str:
    """As host:port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
