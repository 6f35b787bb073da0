"""The agent's way to its server: one connection at a time, and the certificate for it."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hodei.agent.certificates import lifetime_s
from hodei.agent.channel import Keepalive, mutual_tls
from hodei.agent.connection import Connection, End
from hodei.agent.enrolment import EnrolmentUnavailableError, renew
from hodei.agent.identity import Identity, KeySource
from hodei.agent.json_log import log
from hodei.agent.reactor.events import (
    CertificateRenewed,
    Event,
    RenewalFailed,
    StreamLost,
    StreamRefused,
)
from hodei.agent.reactor.messages import Hello, Message
from hodei.agent.wire_messages import Vitals, encode_hello
from hodei.kernel.errors import BrokenError, RefusedError
from hodei.wire import hodei_all_in_one_pb2 as pb

FINISH_WITHIN_S: Final = 3.0

StartTask = Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkParts:
    """What the uplink needs of the shell."""

    slots: int
    info: pb.WorkerInfo
    key_source: KeySource
    keepalive: Keepalive
    renew_share: float
    """Of a certificate's life, after which it is renewed; give or take a tenth."""
    emit: Callable[[Event], None]
    vitals: Callable[[], Vitals]
    chance: Callable[[], float]
    start_task: StartTask


class Uplink:
    """Opens connections and renews the certificate; says what became of both by events."""

    def __init__(self, parts: UplinkParts) -> None:
        self._parts = parts
        self._addresses: list[str] = []
        """The first is the one to go to."""
        self._identity: Identity | None = None
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None

    def use(self, identity: Identity, addresses: Sequence[str]) -> float:
        """Takes the first certificate; returns the seconds after which to renew it."""
        self._identity, self._addresses = identity, list(addresses)
        return self._renew_after_s(identity)

    def know(self, addresses: Sequence[str]) -> None:
        """Takes the addresses of all servers. Where it goes next stays, as long as it is one."""
        if addresses:
            current = [each for each in self._addresses[:1] if each in addresses]
            others = [each for each in addresses if each not in current]
            self._addresses = [*current, *others]

    def connect(self, hello: Hello, *, elsewhere: bool) -> None:
        """Opens a new connection, once the one before it is closed."""
        if elsewhere:
            self._turn_away_from(self._addresses[0])
        before, self._connection = self._task, None
        if before is not None:
            before.cancel()
        self._task = self._parts.start_task(self._serve(hello, before), "connection")

    def send(self, message: Message) -> None:
        """Sends on the open connection. Without one it is lost, and sent again later."""
        if self._connection is not None:
            self._connection.send(message)

    async def finish(self) -> None:
        """Sends what waits, and closes the connection; a server that does not take it is left."""
        if self._connection is not None and self._task is not None:
            self._connection.finish()
            await asyncio.wait([self._task], timeout=FINISH_WITHIN_S)

    def renew(self) -> None:
        """Gets a new certificate: `CertificateRenewed` or `RenewalFailed`."""
        self._parts.start_task(self._renew(), "renewal")

    async def _serve(self, hello: Hello, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        assert self._identity is not None
        address = self._addresses[0]
        connection = Connection(
            mutual_tls(address, self._identity, self._parts.keepalive),
            emit=self._parts.emit,
            vitals=self._parts.vitals,
            wall_ns=time.time_ns,
        )
        self._connection = connection
        first = encode_hello(
            hello, slots=self._parts.slots, version=self._parts.info.version, info=self._parts.info
        )
        end = await connection.run(first)
        self._connection = None
        if connection.unknown_payloads:
            log.warning("unknown_payloads_ignored", count=connection.unknown_payloads)
        if end.kind is End.REFUSED:
            self._parts.emit(StreamRefused(detail=end.detail))
        else:
            self._turn_away_from(address)
            self._parts.emit(StreamLost(detail=end.detail, chance=self._parts.chance()))

    def _turn_away_from(self, address: str) -> None:
        """Goes on to the next server, unless that has been done."""
        if self._addresses[0] == address:
            self._addresses.append(self._addresses.pop(0))

    async def _renew(self) -> None:
        try:
            identity = await self._renewed()
            renew_after_s = self._renew_after_s(identity)
        except (EnrolmentUnavailableError, RefusedError, BrokenError, TimeoutError) as error:
            self._parts.emit(RenewalFailed(detail=str(error), chance=self._parts.chance()))
            return
        self._identity = identity
        self._parts.emit(CertificateRenewed(renew_after_s=renew_after_s))

    async def _renewed(self) -> Identity:
        key_pem, csr_der = await self._parts.key_source.new_key()
        if self._connection is None:
            raise EnrolmentUnavailableError("there is no connection")
        return await renew(self._connection.channel, csr_der, key_pem)

    def _renew_after_s(self, identity: Identity) -> float:
        share = self._parts.renew_share * (0.9 + 0.2 * self._parts.chance())
        return lifetime_s(identity.chain_pem.decode()) * share
