"""What is stored of a provider."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from hodei.kernel.ids import ProviderName


class ProviderType(StrEnum):
    """What makes the workers."""

    LOCAL = "LOCAL"
    """Processes on the machine of the server."""
    DOCKER = "DOCKER"
    TEST = "TEST"


class ProviderMode(StrEnum):
    """What an operator wants of a provider."""

    ENABLED = "ENABLED"
    """It makes workers."""
    DISABLED = "DISABLED"
    """It makes none, and those that it has end with the jobs that they run. May be enabled again."""
    LEAVING = "LEAVING"
    """As above; with the last of its workers the provider itself is forgotten. Left by nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRecord:
    """A provider that an operator added, or what one decided about a provider of the settings.

    Everything but the times comes from people, so it is stored as it is and not as events.
    """

    name: ProviderName
    """Of no other provider; workers are stored with it, so that it never changes."""
    type: ProviderType
    is_builtin: bool = False
    """Whether the servers' settings say what it is: of the rest only `mode` and `priority` count."""
    mode: ProviderMode = ProviderMode.ENABLED
    priority: int = 0
    """Those with more are asked first."""
    cost_per_hour: float | None = None
    """Of one worker, in whatever currency is used for all of them; None where it is not known."""
    options: dict[str, str] = field(default_factory=dict[str, str])
    """By the names that the settings of its type have, as text as in the environment."""
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    version: int = 1
    """Grows by one with each change."""
    created_at: datetime
    updated_at: datetime

    def changed(self, now: datetime, **changes: object) -> "ProviderRecord":
        """The record after a change, as it is to be stored next."""
        return replace(self, version=self.version + 1, updated_at=now, **changes)
