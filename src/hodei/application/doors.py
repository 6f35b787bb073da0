"""Where workers enrol and connect: at this server first, then at the others."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hodei.application.standing import Standing
from hodei.kernel.ids import ClusterId, ProviderName
from hodei.ports.providers import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """What workers are told. Addresses are host:port."""

    cluster_id: ClusterId
    enroll_address: str
    """Of this server; so is the next."""
    worker_address: str
    standing: Standing
    by_provider: "Mapping[ProviderName, Doors]" = field(default_factory=dict[ProviderName, "Doors"])
    """Of those whose workers are elsewhere and reach this server by other addresses."""

    def of(self, provider: ProviderName) -> "Doors":
        """The doors of a provider's workers."""
        return self.by_provider.get(provider, self)

    def enroll_addresses(self) -> str:
        """Where workers enrol: addresses with commas between, tried in this order."""
        others = (each.enroll_address for each in self.standing.others.values())
        return ",".join([self.enroll_address, *others])

    def worker_addresses(self) -> str:
        """Where their streams go, in the same way."""
        others = (each.worker_address for each in self.standing.others.values())
        return ",".join([self.worker_address, *others])

    def home_of(self, provider: Provider) -> str:
        """See `Standing.home_of`."""
        return self.standing.home_of(provider)
