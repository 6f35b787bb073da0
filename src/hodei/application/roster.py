"""The providers that this server has just now; they come and go while it runs."""

from collections.abc import Callable, Mapping, Sequence

from hodei.application.fleet import Fleet, Member
from hodei.application.pool import Pool, PoolRules
from hodei.application.pool_condition import Terms
from hodei.kernel.clock import Clock
from hodei.kernel.ids import ProviderName
from hodei.ports.providers import Provider


class Roster:
    """Each provider with its pool, in the order in which they are asked.

    Those who ask for `providers` once see what comes and goes later, too.
    """

    def __init__(self, *, fleet: Fleet, clock: Clock) -> None:
        self._fleet = fleet
        self._clock = clock
        self._pools: dict[ProviderName, Pool] = {}
        self._providers: dict[ProviderName, Provider] = {}
        self._on_change: list[Callable[[], None]] = []
        self.known: tuple[str, ...] = ()
        """What a job may prefer: their names, and what they are."""
        self.known_for_images: tuple[str, ...] = ()
        """As above, of those that run images."""

    @property
    def providers(self) -> Mapping[ProviderName, Provider]:
        """All of them."""
        return self._providers

    def pools(self) -> list[Pool]:
        """All pools: by priority, and among equals those that are here for longer first."""
        return sorted(self._pools.values(), key=lambda pool: -pool.terms.priority)

    def pool(self, name: ProviderName) -> Pool | None:
        """One of them."""
        return self._pools.get(name)

    def put(self, provider: Provider, rules: PoolRules, terms: Terms) -> None:
        """Takes a provider in, or another in the place of the one of its name.

        What is known of its workers stays; what failed with the one before is forgotten.
        """
        before = self._pools.get(provider.name)
        pool = Pool(
            provider=provider, rules=rules, terms=terms, fleet=self._fleet, clock=self._clock
        )
        if before is not None:
            # They count as its own until they have a row, whoever is asked to make them.
            pool.begun, pool.turn = before.begun, before.turn
        self._pools[provider.name] = pool
        self._providers[provider.name] = provider
        self._fleet.capabilities[provider.name] = provider.capabilities()
        self.changed()

    def set_terms(self, name: ProviderName, terms: Terms) -> None:
        """Changes how a provider stands among the others."""
        pool = self._pools[name]
        if pool.terms != terms:
            pool.terms = terms
            self.changed()

    def drop(self, name: ProviderName) -> None:
        """Lets go of a provider, which has no workers any more."""
        del self._pools[name], self._providers[name]
        self.changed()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls `listener` whenever a provider has come, gone or changed."""
        self._on_change.append(listener)

    def changed(self) -> None:
        """Tells all listeners."""
        pools = self.pools()
        self.known = _names(pools)
        self.known_for_images = _names([each for each in pools if each.offer.containers])
        for listener in self._on_change:
            listener()

    def workers_of(self, name: ProviderName) -> list[Member]:
        """Its living workers, on whichever server's account."""
        return [each for each in self._fleet.members() if each.worker.provider == name]

    def enroll_timeout_s(self, name: ProviderName) -> float | None:
        """How long its workers may take to enrol; None of one that is not here."""
        pool = self._pools.get(name)
        return None if pool is None else pool.rules.enroll_timeout_s


def _names(pools: Sequence[Pool]) -> tuple[str, ...]:
    names = (pool.name for pool in pools)
    types = (pool.offer.provider_type.lower() for pool in pools)
    return tuple(dict.fromkeys([*names, *types]))
