"""Runs a control plane: `running_server` inside an event loop, `serve` as a process."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import structlog
import uvloop

from hodei.adapters.pki.credentials import dynamic_server_credentials
from hodei.api.grpc.jobs import JobExecutionService
from hodei.api.grpc.listeners import Listener
from hodei.api.grpc.logs import LogStreamService
from hodei.api.grpc.worker_agent import EnrolmentService, WorkerStreamService
from hodei.api.grpc.workers import ServerService, WorkerService
from hodei.api.http.health import Health, health_app
from hodei.application.provision_worker import Doors
from hodei.kernel.errors import HodeiError, InvalidFieldsError
from hodei.lifecycle.logs import set_up_logs
from hodei.lifecycle.service import BackgroundLoop
from hodei.ports.stores import SchemaError
from hodei.server.bootstrap import ControlPlane, Foundations, build, lay_foundations
from hodei.server.config import ServerConfig
from hodei.server.data_dir import DataDir
from hodei.server.http_server import HttpServer
from hodei.server.stop_workers import stop_local_workers
from hodei.server.trust_file import TrustFile
from hodei.server.upkeep import Upkeep
from hodei.wire import hodei_all_in_one_pb2_grpc as pb_grpc

log = structlog.get_logger()

_CLIENT_SERVICES = (
    "hodei.JobExecutionService",
    "hodei.LogStreamService",
    "hodei.WorkerService",
    "hodei.ServerService",
)
_CALLS_GRACE_S = 1.0
"""What open calls of clients get to end by themselves at a stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where a running server is."""

    grpc: str
    worker: str
    enroll: str
    http: str
    data_dir: Path
    pid: int

    def to_json(self) -> str:
        """As `--ready-file` has it."""
        facts = {
            "grpc": self.grpc,
            "worker": self.worker,
            "enroll": self.enroll,
            "http": self.http,
            "data_dir": str(self.data_dir),
            "pid": self.pid,
        }
        return json.dumps(facts)


@asynccontextmanager
async def running_server(
    config: ServerConfig, *, on_failure: Callable[[str, BaseException], None] | None = None
) -> AsyncGenerator[Addresses]:
    """A control plane that serves while the block runs and stops cleanly after it.

    Args:
        config: Its configuration.
        on_failure: Called when a part of it fails, which is a defect; by default the process
            ends at once, and a new start recovers.

    Raises:
        HodeiError: It cannot start; the message says what to do.
        SchemaError: The store is of another release.
    """
    _refuse_open_doors(config)
    fail = on_failure or _die
    async with AsyncExitStack() as stack:
        data_dir = DataDir(config.data_dir)
        stack.callback(data_dir.release)
        base = await lay_foundations(config, data_dir)
        stack.push_async_callback(base.store.close)
        stack.push_async_callback(base.logs.close)
        addresses = await _start(base, stack, fail)
        if config.ready_file is not None:
            _write_ready_file(config.ready_file, addresses)
            stack.callback(config.ready_file.unlink, missing_ok=True)
        log.info("server_ready", grpc=addresses.grpc, data_dir=str(addresses.data_dir))
        yield addresses


def serve(config: ServerConfig, *, on_ready: Callable[[Addresses], None] | None = None) -> int:
    """Runs a control plane until SIGTERM or SIGINT; returns the exit code.

    The first signal drains; a second one ends the process at once, as a crash would. `on_ready` is
    called once it serves.
    """
    set_up_logs(readable=sys.stderr.isatty())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(config, on_ready))


async def _serve(config: ServerConfig, on_ready: Callable[[Addresses], None] | None) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set():
            log.warning("stopping_at_once", signal=signal.Signals(number).name)
            os._exit(128 + number)
        log.info("stopping", signal=signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        async with running_server(config) as addresses:
            if on_ready is not None:
                on_ready(addresses)
            await stop.wait()
    except (HodeiError, SchemaError) as error:
        print(f"hodei: {error}", file=sys.stderr)  # noqa: T201 - the one line for the operator
        return 2
    return 0


async def _start(
    base: Foundations, stack: AsyncExitStack, fail: Callable[[str, BaseException], None]
) -> Addresses:
    config, data_dir = base.config, base.data_dir
    shown = dynamic_server_credentials(base.authority, require_client_certificate=False)
    mutual = dynamic_server_credentials(base.authority, require_client_certificate=True)
    clients = Listener(
        host=config.listen_host,
        port=data_dir.port("grpc", config.grpc_port),
        what="clients (--grpc-port)",
        credentials=None if config.dev_mode else shown,
    )
    streams = Listener(
        host=config.worker_listen_host,
        port=data_dir.port("worker", config.worker_port),
        what="workers (--worker-port)",
        credentials=mutual,
    )
    enrolment = Listener(
        host=config.worker_listen_host,
        port=data_dir.port("enroll", config.enroll_port),
        what="enrolment (--enroll-port)",
        credentials=shown,
    )
    advertised = config.advertise_host or config.worker_listen_host
    doors = Doors(
        cluster_id=base.cluster_id,
        enroll_address=_address(advertised, enrolment.port),
        worker_address=_address(advertised, streams.port),
    )
    plane = build(base, doors)
    health = Health()
    http = HttpServer(
        health_app(health, allowed_hosts=["localhost", "127.0.0.1", "[::1]", config.listen_host]),
        host=config.listen_host,
        port=data_dir.port("http", config.http_port),
    )
    data_dir.keep_ports(
        {
            "grpc": clients.port,
            "worker": streams.port,
            "enroll": enrolment.port,
            "http": http.port,
        }
    )
    _serve_all(plane, clients, streams, enrolment, doors)
    await _run_parts(base, plane, stack, fail)
    for listener in (enrolment, streams, clients):
        await listener.start()
        stack.push_async_callback(listener.stop, _CALLS_GRACE_S)
    await http.start()
    stack.push_async_callback(http.stop)
    _publish_trust(base, clients.port, stack)
    plane.dispatcher.notify()
    await clients.set_serving(serving=True)
    health.has_started = True

    async def drain() -> None:
        health.is_draining = True
        await clients.set_serving(serving=False)
        if config.stop_workers_on_exit:
            await stop_local_workers(base, plane)

    stack.push_async_callback(drain)
    return Addresses(
        grpc=_address(config.listen_host, clients.port),
        worker=doors.worker_address,
        enroll=doors.enroll_address,
        http=_address(config.listen_host, http.port),
        data_dir=data_dir.path,
        pid=os.getpid(),
    )


def _serve_all(
    plane: ControlPlane, clients: Listener, streams: Listener, enrolment: Listener, doors: Doors
) -> None:
    clients.add(pb_grpc.add_JobExecutionServiceServicer_to_server, JobExecutionService(plane.jobs))
    clients.add(pb_grpc.add_LogStreamServiceServicer_to_server, LogStreamService(plane.tail))
    clients.add(pb_grpc.add_WorkerServiceServicer_to_server, WorkerService(plane.operators))
    clients.add(pb_grpc.add_ServerServiceServicer_to_server, ServerService(plane.operators))
    clients.describe(_CLIENT_SERVICES)
    streams.add(
        pb_grpc.add_WorkerAgentServiceServicer_to_server, WorkerStreamService(plane.workers)
    )
    enrolment.add(
        pb_grpc.add_WorkerAgentServiceServicer_to_server,
        EnrolmentService(plane.workers, doors.worker_address),
    )


async def _run_parts(
    base: Foundations,
    plane: ControlPlane,
    stack: AsyncExitStack,
    fail: Callable[[str, BaseException], None],
) -> None:
    await plane.journal.start()
    plane.fleet.load(await base.store.living_workers(), list(plane.journal.held.values()))
    for provider in base.providers:
        await provider.start()
        stack.push_async_callback(provider.stop)
    upkeep = Upkeep(
        authority=base.authority,
        logs=base.logs,
        clock=base.clock,
        log_retention_s=base.config.log_retention_s,
    )
    runs = [
        ("dispatcher", plane.dispatcher.run),
        ("due jobs", plane.due.run),
        ("leases", plane.watch.run),
        ("pool", plane.pool.run),
        ("upkeep", upkeep.run),
    ]
    stack.push_async_callback(plane.watch.close)
    for name, run in runs:
        part = BackgroundLoop(name, run, on_failure=fail)
        await part.start()
        stack.push_async_callback(part.stop)
    for provider in base.providers:

        async def watch(provider: object = provider) -> None:
            await plane.watch.watch(provider)  # pyright: ignore[reportArgumentType] - bound early

        part = BackgroundLoop(f"watch of {provider.name}", watch, on_failure=fail)
        await part.start()
        stack.push_async_callback(part.stop)
    stack.push_async_callback(plane.pool.close)


def _publish_trust(base: Foundations, port: int, stack: AsyncExitStack) -> None:
    trust = TrustFile(port)
    if base.config.dev_mode:
        trust.withdraw()
        return
    trust.publish(base.authority.bundle_pem)
    stack.callback(trust.withdraw)


def _refuse_open_doors(config: ServerConfig) -> None:
    """Until users can log in, whoever reaches the clients' port may do everything."""
    if not _is_loopback(config.listen_host):
        raise InvalidFieldsError.of(
            "listen_host",
            f"{config.listen_host!r} is not a loopback address; clients cannot log in yet, so "
            "only 127.0.0.1, ::1 and localhost are allowed",
        )
    if config.lease_s < 2 * config.heartbeat_interval_s:
        raise InvalidFieldsError.of(
            "lease_s",
            f"{config.lease_s:g} is less than two heartbeats of {config.heartbeat_interval_s:g} s",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _write_ready_file(path: Path, addresses: Addresses) -> None:
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_text(addresses.to_json() + "\n")
    scratch.replace(path)


def _die(part: str, error: BaseException) -> None:
    """A defect: stop rather than go on with a part missing; the next start recovers."""
    log.critical("server_failed", part=part, error=repr(error))
    os._exit(70)
