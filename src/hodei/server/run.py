"""Runs a control plane: `running_server` inside an event loop, `serve` as a process."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
import uvloop

from hodei.application.doors import Doors
from hodei.application.hold_duties import HoldDuties
from hodei.kernel.errors import HodeiError, InvalidFieldsError
from hodei.kernel.ids import ProviderName
from hodei.lifecycle.logs import set_up_logs
from hodei.ports.stores import SchemaError
from hodei.server.addresses import Addresses, write_ready_file
from hodei.server.bootstrap import ControlPlane, Foundations, build, lay_foundations
from hodei.server.config import ServerConfig
from hodei.server.config_limits import check_config
from hodei.server.data_dir import DataDir
from hodei.server.doors import (
    add_services,
    addresses_of,
    doors_of,
    entry_of,
    take_ports,
    worker_services,
)
from hodei.server.managed_providers import manage_providers
from hodei.server.more_doors import MoreDoors
from hodei.server.parts import run_parts
from hodei.server.trust_file import TrustFile
from hodei.server.workflows import NOTHING, Registry

__all__ = ["Addresses", "running_server", "serve"]

log = structlog.get_logger()

_SWITCH_INTERVAL_S = 0.0005
_HAND_OVER_S = 5.0
"""What the other servers, and then the workers, get to take over at a stop."""
_CALLS_GRACE_S = 1.0
"""What open calls of clients get to end by themselves at a stop."""


@asynccontextmanager
async def running_server(
    config: ServerConfig,
    *,
    on_failure: Callable[[str, BaseException], None] | None = None,
    registry: Registry = NOTHING,
) -> AsyncGenerator[Addresses]:
    """A control plane that serves while the block runs and stops cleanly after it.

    Args:
        config: Its configuration.
        on_failure: Called when a part of it fails, which is a defect; by default the process
            ends at once, and a new start recovers.
        registry: The workflows that it has.

    Raises:
        HodeiError: It cannot start; the message says what to do.
        SchemaError: The store is of another release.
    """
    if violations := check_config(config):
        raise InvalidFieldsError(violations)
    fail = on_failure or _die
    async with AsyncExitStack() as stack:
        data_dir = DataDir(config.data_dir)
        stack.callback(data_dir.release)
        base = await lay_foundations(config, data_dir)
        stack.push_async_callback(base.store.close)
        stack.push_async_callback(base.durable.close)
        stack.push_async_callback(base.logs.close)
        addresses = await _start(base, stack, fail, registry)
        if config.ready_file is not None:
            write_ready_file(config.ready_file, addresses)
            stack.callback(config.ready_file.unlink, missing_ok=True)
        log.info("server_ready", grpc=addresses.grpc, data_dir=str(addresses.data_dir))
        yield addresses


def serve(config: ServerConfig, *, on_ready: Callable[[Addresses], None] | None = None) -> int:
    """Runs a control plane until SIGTERM or SIGINT; returns the exit code.

    The first signal drains; a second one ends the process at once, as a crash would. `on_ready` is
    called once it serves.
    """
    set_up_logs(readable=sys.stderr.isatty())
    # The stores' writer threads hand every commit back to the event loop. With Python's 5 ms a
    # busy loop keeps them waiting: 64 rows written beside one took 44 ms, and 5.6 ms with this.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
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
    base: Foundations,
    stack: AsyncExitStack,
    fail: Callable[[str, BaseException], None],
    registry: Registry,
) -> Addresses:
    listeners = take_ports(base)
    by_provider: dict[ProviderName, Doors] = {}
    doors = doors_of(base, listeners, by_provider)
    plane = build(base, doors, entry_of(base, listeners), registry, on_failure=fail)
    more_doors = MoreDoors(
        base=base,
        listeners=listeners,
        doors=doors,
        by_provider=by_provider,
        add_services=worker_services(plane, listeners, doors),
    )
    stack.push_async_callback(more_doors.close)
    managed = manage_providers(base, plane, more_doors, fail)
    add_services(plane, managed.service, listeners, doors)
    await run_parts(base, plane, managed.keeper, stack, fail)
    for listener in (listeners.enrolment, listeners.streams, listeners.clients):
        await listener.start()
        stack.push_async_callback(listener.stop, _CALLS_GRACE_S)
    await listeners.http.start()
    stack.push_async_callback(listeners.http.stop)
    _publish_trust(base, listeners.clients.port, stack)
    await listeners.clients.set_serving(serving=True)
    listeners.health.has_started = True

    async def drain() -> None:
        listeners.health.is_draining = True
        await listeners.clients.set_serving(serving=False)
        if plane.hold is not None and base.neighbours.standing.others:
            await _hand_over(plane, plane.hold)
        elif base.config.stop_workers_on_exit:
            await plane.stopper.stop(grace_s=base.config.stop_grace_s)

    stack.push_async_callback(drain)
    return addresses_of(base, listeners)


async def _hand_over(plane: ControlPlane, hold: HoldDuties) -> None:
    """Gives duties and workers to the other servers, which go on with them."""
    try:
        async with asyncio.timeout(_HAND_OVER_S):
            await hold.drain()
    except TimeoutError:
        log.warning("duties_not_handed_over", waited_s=_HAND_OVER_S)
    await plane.mover.move(within_s=_HAND_OVER_S)


def _publish_trust(base: Foundations, port: int, stack: AsyncExitStack) -> None:
    trust = TrustFile(port)
    if base.config.dev_mode:
        trust.withdraw()
        return
    trust.publish(base.authority.bundle_pem)
    stack.callback(trust.withdraw)


def _die(part: str, error: BaseException) -> None:
    """A defect: stop rather than go on with a part missing; the next start recovers."""
    log.critical("server_failed", part=part, error=repr(error))
    os._exit(70)
