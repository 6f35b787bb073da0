"""What an operator may decide about a provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderChange:
    """What an operator may decide about a provider."""

    options: Mapping[str, str] = field(default_factory=dict[str, str])
    priority: int = 0
    cost_per_hour: float | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def fields(self) -> dict[str, Any]:
        """By the names that they have in a record."""
        return {
            "options": dict(self.options),
            "priority": self.priority,
            "cost_per_hour": self.cost_per_hour,
            "tags": self.tags,
            "metadata": dict(self.metadata),
        }
