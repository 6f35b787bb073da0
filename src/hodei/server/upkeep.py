"""What must be done now and then: renewing certificates."""

import asyncio
from datetime import datetime

import structlog

from hodei.kernel.clock import Clock
from hodei.ports.pki import CertificateAuthority

log = structlog.get_logger()

_EVERY_S = 600.0


class Upkeep:
    """A loop that looks every ten minutes, and at the start."""

    def __init__(self, *, authority: CertificateAuthority, clock: Clock) -> None:
        self._authority = authority
        self._clock = clock

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await self._renew(self._clock.now())
            await asyncio.sleep(_EVERY_S)

    async def _renew(self, now: datetime) -> None:
        try:
            renewed = await asyncio.to_thread(self._authority.renew_if_due, now)
        except OSError as error:
            # A full disk, most likely. A third of the certificate's life is left to mend it.
            log.error("certificate_renewal_delayed", message=str(error))  # noqa: TRY400 - it says all
        else:
            if renewed:
                log.info("server_certificate_renewed")
