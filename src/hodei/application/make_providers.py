"""What makes providers of their records; the composition root has it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from hodei.application.pool import PoolRules
from hodei.domain.placement.kinds import WorkerKind
from hodei.domain.providers.record import ProviderRecord
from hodei.kernel.errors import FieldViolation
from hodei.ports.providers import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipped:
    """A provider with how it is kept."""

    provider: Provider
    rules: PoolRules
    ahead: tuple[WorkerKind, ...] = ()
    """What it is to get ready before any job asks for it."""
    make_way: Callable[[], Awaitable[None]]
    """Sees to it that its workers can reach this server. Idempotent; raises an `UnavailableError`
    that says what to do where they cannot."""


class ProviderMaker(Protocol):
    """Knows every type of provider that may be added while a server runs."""

    def check(self, record: ProviderRecord) -> list[FieldViolation]:
        """Everything in it that is not allowed; fields are `type` and `options.<name>`."""
        ...

    def make(self, record: ProviderRecord) -> Equipped:
        """The provider, not started yet. Nothing is asked of what it stands for.

        Raises:
            InvalidFieldsError: As `check` says.
        """
        ...

    def place(self, record: ProviderRecord) -> object:
        """Where its workers are, for comparison: of another place, this one's are never found."""
        ...
