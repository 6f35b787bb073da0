"""What this server is among those that share the store: who it is, who else lives, what is its duty."""

from collections.abc import Callable, Mapping, Sequence

from hodei.domain.cluster.duties import Duty, duty_of, host_duty, provider_duty
from hodei.domain.workers.worker import Worker
from hodei.kernel.errors import UnavailableError
from hodei.kernel.ids import ServerId
from hodei.ports.cluster import ClusterView, ServerEntry
from hodei.ports.providers import Provider


class NoPlaceError(UnavailableError):
    """This server has lost its place among the others for now: go to another, or come back."""

    code = "SERVER_HAS_NO_PLACE"


class Standing:
    """Written by whoever holds the membership; everybody else asks.

    A server that is alone has every duty and no place to lose.
    """

    def __init__(self, *, home: str, is_alone: bool) -> None:
        self.home = home
        """The name of this server, under which it makes instances that live on its host; empty for
        one that is alone, whose name may change."""
        self.is_alone = is_alone
        self._me: ServerId | None = None
        self._others: Mapping[ServerId, ServerEntry] = {}
        self._duties: frozenset[Duty] = frozenset()
        self.view: ClusterView | None = None
        """All servers as they were seen last; None where there are no others."""
        self._on_gain: list[Callable[[frozenset[Duty]], None]] = []
        self._on_others: list[Callable[[], None]] = []

    @property
    def me(self) -> ServerId | None:
        """This life of this server, as which it commits; None while it is no member."""
        return self._me

    @property
    def others(self) -> Mapping[ServerId, ServerEntry]:
        """The other servers that live."""
        return self._others

    @property
    def duties(self) -> frozenset[Duty]:
        """What it has to do for all; a server that is alone does not count them."""
        return self._duties

    def require_place(self) -> None:
        """Sees to it that this server may take what is of one server only, such as a stream.

        Raises:
            NoPlaceError: It may not now.
        """
        if not self.is_alone and self._me is None:
            raise NoPlaceError("this server has no place among the others just now")

    def has(self, duty: Duty) -> bool:
        """Whether the duty is this server's."""
        return self.is_alone or duty in self._duties

    def judges(self, worker: Worker) -> bool:
        """Whether it is for this server to look after the worker, and to end it."""
        return self.has(duty_of(worker))

    def reaches(self, worker: Worker) -> bool:
        """Whether this server's providers can see the worker's instance."""
        return self.is_alone or worker.home in {"", self.home}

    def duty_at(self, provider: Provider) -> Duty:
        """The duty to keep what the provider makes for this server."""
        on_this_host = self.home and provider.capabilities().is_on_this_host
        return host_duty(self.home) if on_this_host else provider_duty(provider.name)

    def keeps(self, provider: Provider) -> bool:
        """Whether that is this server's."""
        return self.has(self.duty_at(provider))

    def home_of(self, provider: Provider) -> str:
        """Whose host its instances live on; empty where every server can see them."""
        return self.home if provider.capabilities().is_on_this_host else ""

    def on_gain(self, listener: Callable[[frozenset[Duty]], None]) -> None:
        """Calls `listener` with duties that were gained."""
        self._on_gain.append(listener)

    def on_others(self, listener: Callable[[], None]) -> None:
        """Calls `listener` when other servers have come or gone."""
        self._on_others.append(listener)

    def join(self, me: ServerId) -> None:
        """It is a member from now on."""
        self._me = me

    def lose(self) -> None:
        """It is no member any more, and has no duty."""
        self._me = None
        self._duties = frozenset()

    def assign(self, duties: frozenset[Duty]) -> None:
        """These are its duties from now on."""
        gained, self._duties = duties - self._duties, duties
        if gained:
            for listener in self._on_gain:
                listener(gained)

    def meet(self, others: Sequence[ServerEntry]) -> None:
        """These other servers live."""
        before, self._others = self._others, {each.id: each for each in others}
        if before != self._others:
            for listener in self._on_others:
                listener()
