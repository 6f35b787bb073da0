"""Has providers get ready what workers will need, before any job waits for it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from hodei.domain.placement.kinds import WorkerKind
from hodei.kernel.errors import HodeiError
from hodei.kernel.ids import ProviderName
from hodei.ports.providers import Provider

log = structlog.get_logger()

_EVERY_S: Final = 3600.0
"""Somebody may remove an image meanwhile; one that is there costs a question."""
_RETRY_AFTER_S: Final = 60.0


class PrepareKinds:
    """The one task that looks after images on this server."""

    def __init__(
        self, *, providers: Sequence[Provider], kinds: Mapping[ProviderName, Sequence[WorkerKind]]
    ) -> None:
        self._wanted = [
            (provider, kind) for provider in providers for kind in kinds.get(provider.name, ())
        ]

    async def run(self) -> None:
        """Looks after them until it is cancelled. What fails is told, and tried again."""
        while True:
            failures = [not await self._prepare(provider, kind) for provider, kind in self._wanted]
            await asyncio.sleep(_RETRY_AFTER_S if any(failures) else _EVERY_S)

    async def _prepare(self, provider: Provider, kind: WorkerKind) -> bool:
        try:
            await provider.prepare(kind)
        except HodeiError as error:
            log.warning(
                "kind_not_prepared", provider=provider.name, kind=str(kind), message=str(error)
            )
            return False
        return True
