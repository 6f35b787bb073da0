"""Doors for workers at addresses that nobody knew of when the server started.

gRPC's servers take no more addresses once they run; so each such address gets listeners of its own,
at the ports that the server has everywhere.
"""

import asyncio
from collections.abc import Callable

from hodei.adapters.pki.credentials import dynamic_server_credentials
from hodei.api.grpc.listeners import Listener
from hodei.application.doors import Doors
from hodei.kernel.ids import ProviderName
from hodei.ports.providers import ProviderUnavailableError
from hodei.server.bootstrap import Foundations
from hodei.server.doors import MOST_ENROLMENT_BYTES, Listeners, address_of
from hodei.server.free_ports import is_any, is_of_this_machine

_GRACE_S = 1.0


class MoreDoors:
    """Opened one by one as providers need them; closed together.

    Args:
        base: Of the server.
        listeners: Those that it has already.
        doors: What workers are told.
        by_provider: The part of `doors` that is written here.
        add_services: Puts the services of workers and of enrolment behind two listeners.
    """

    def __init__(
        self,
        *,
        base: Foundations,
        listeners: Listeners,
        doors: Doors,
        by_provider: dict[ProviderName, Doors],
        add_services: Callable[[Listener, Listener], None],
    ) -> None:
        self._base = base
        self._listeners = listeners
        self._doors = doors
        self._by_provider = by_provider
        self._add_services = add_services
        self._own = base.config.worker_listen_host
        self._open: dict[str, tuple[Listener, Listener]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def lead(self, provider: ProviderName, host: str, *, is_given: bool) -> None:
        """Has the provider's workers come to `host`, which is this server by their address of it.

        Args:
            provider: Whose workers they are.
            host: An address of this machine; where somebody gave it, perhaps of another before it.
            is_given: Whether somebody did.

        Raises:
            ProviderUnavailableError: It does not lead here.
            PortTakenError: Somebody else is there.
        """
        async with self._one_at_a_time:
            if not self._is_open(host):
                if is_of_this_machine(host):
                    await self._open_at(host)
                elif not is_given:
                    raise ProviderUnavailableError(
                        f"server_host: the gateway {host} is no address of this machine (the engine "
                        "may be on another): say by which address containers reach this server, and "
                        "listen there (--worker-listen)"
                    )
            self._by_provider[provider] = Doors(
                cluster_id=self._doors.cluster_id,
                enroll_address=address_of(host, self._listeners.enrolment.port),
                worker_address=address_of(host, self._listeners.streams.port),
                standing=self._doors.standing,
            )

    async def close(self) -> None:
        """Takes no more calls there."""
        for pair in self._open.values():
            for listener in pair:
                await listener.stop(_GRACE_S)
        self._open.clear()

    def _is_open(self, host: str) -> bool:
        known = {self._own, self._base.container_host, *self._open}
        return is_any(self._own) or host in known

    async def _open_at(self, host: str) -> None:
        authority, handshakes = self._base.authority, self._listeners.handshakes
        streams = Listener(
            host=host,
            port=self._listeners.streams.port,
            what="workers (--worker-port)",
            credentials=dynamic_server_credentials(
                authority, require_client_certificate=True, on_handshake=handshakes.begun
            ),
        )
        enrolment = Listener(
            host=host,
            port=self._listeners.enrolment.port,
            what="enrolment (--enroll-port)",
            credentials=dynamic_server_credentials(authority, require_client_certificate=False),
            most_message_bytes=MOST_ENROLMENT_BYTES,
        )
        self._add_services(streams, enrolment)
        for listener in (enrolment, streams):
            await listener.start()
        self._open[host] = (streams, enrolment)
