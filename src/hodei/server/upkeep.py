"""What must be done now and then: renewing certificates, letting old logs go."""

import asyncio
from datetime import datetime, timedelta

import structlog

from hodei.kernel.clock import Clock
from hodei.kernel.errors import UnavailableError
from hodei.ports.logs import LogKeeping
from hodei.ports.pki import CertificateAuthority

log = structlog.get_logger()

_EVERY_S = 600.0


class Upkeep:
    """A loop that looks every ten minutes, and at the start."""

    def __init__(
        self,
        *,
        authority: CertificateAuthority,
        logs: LogKeeping,
        clock: Clock,
        log_retention_s: float,
    ) -> None:
        self._authority = authority
        self._logs = logs
        self._clock = clock
        self._log_retention = timedelta(seconds=log_retention_s)

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            now = self._clock.now()
            await self._renew(now)
            try:
                dropped = await self._logs.delete_before(now - self._log_retention)
            except UnavailableError as error:
                log.warning("log_retention_delayed", message=str(error))
            else:
                if dropped:
                    log.info("old_logs_dropped", segments=dropped)
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
