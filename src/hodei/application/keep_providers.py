"""Keeps the providers that this server runs as the records say, while it runs.

Whoever changes a record hints at it; that hints may be lost is why it looks by itself, too.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import structlog

from hodei.application.journal import Journal
from hodei.application.make_providers import Equipped, ProviderMaker
from hodei.application.pool_condition import Terms
from hodei.application.prepare_kinds import PrepareKinds
from hodei.application.roster import Roster
from hodei.application.watch_workers import WatchWorkers
from hodei.domain.providers.record import ProviderMode, ProviderRecord
from hodei.kernel.errors import HodeiError, UnavailableError
from hodei.kernel.ids import ProviderName
from hodei.lifecycle.service import BackgroundLoop
from hodei.lifecycle.wake import Wake
from hodei.ports.stores import ProviderStore

log = structlog.get_logger()

_LOOK_EVERY_S: Final = 5.0
"""The safety net under hints; providers that could not be started are tried again as often."""
_SOON_S: Final = 0.2
"""While workers end, or come up, that something waits for."""
_START_WITHIN_S: Final = 10.0
"""A provider that does not start within it is not there; it is tried again."""
_CHANGING: Final = "is being changed: workers that are on their way come first"


@dataclass(slots=True)
class _Running:
    """A provider of a record, on this server."""

    record: ProviderRecord
    """As it was made."""
    equipped: Equipped
    loops: list[BackgroundLoop] = field(default_factory=list[BackgroundLoop])
    """Set once it is started."""
    problem: str = ""
    """Why it is not started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderParts:
    """What providers are joined to."""

    store: ProviderStore
    journal: Journal
    roster: Roster
    watch: WatchWorkers


class KeepProviders:
    """The one task that starts and stops providers of records."""

    def __init__(
        self,
        *,
        parts: ProviderParts,
        maker: ProviderMaker,
        builtins: Sequence[ProviderName],
        on_failure: Callable[[str, BaseException], None],
    ) -> None:
        self._store = parts.store
        self._journal = parts.journal
        self._roster = parts.roster
        self._watch = parts.watch
        self._maker = maker
        self._builtins = frozenset(builtins)
        self._on_failure = on_failure
        self._running: dict[ProviderName, _Running] = {}
        self._records: dict[ProviderName, ProviderRecord] = {}
        self._unusable: dict[ProviderName, str] = {}
        self._one_at_a_time = asyncio.Lock()
        self._wake = Wake()

    @property
    def records(self) -> Mapping[ProviderName, ProviderRecord]:
        """All that were there at the last look."""
        return self._records

    @property
    def unusable(self) -> Mapping[ProviderName, str]:
        """Those of them that this server cannot make at all, and why."""
        return self._unusable

    @property
    def builtins(self) -> frozenset[ProviderName]:
        """The providers of this server's settings."""
        return self._builtins

    def notify(self) -> None:
        """Says that a record may have changed."""
        self._wake.notify()

    async def run(self) -> None:
        """Keeps them until it is cancelled."""
        while True:
            await self._wake.wait_up_to(_SOON_S if self._is_waiting() else _LOOK_EVERY_S)
            try:
                await self.look()
            except UnavailableError as error:
                log.warning("providers_not_looked_at", message=str(error))

    async def look(self) -> None:
        """Reads the records and does what follows from them.

        Raises:
            StoreUnavailableError: They cannot be read.
        """
        async with self._one_at_a_time:
            records = {each.name: each for each in await self._store.provider_records()}
            self._records = records
            self._unusable = {name: why for name, why in self._unusable.items() if name in records}
            for name in self._builtins & records.keys():
                self._roster.set_terms(name, _terms(records[name]))
            for name in self._builtins - records.keys():
                self._roster.set_terms(name, Terms())
            for record in list(records.values()):
                if not record.is_builtin and record.name not in self._builtins:
                    await self._follow(record)
            for name in self._running.keys() - records.keys():
                await self._drop(name)
            async with asyncio.TaskGroup() as starting:
                for each in self._running.values():
                    if not each.loops:
                        starting.create_task(self._start(each))

    async def close(self) -> None:
        """Lets go of every provider; their workers live on."""
        async with self._one_at_a_time:
            for each in self._running.values():
                await self._stop(each)
            self._running.clear()

    def _is_waiting(self) -> bool:
        """Whether something is to be done as soon as workers have come or gone."""
        leaving = (each.mode is ProviderMode.LEAVING for each in self._records.values())
        changing = (
            record.options != self._running[name].record.options
            for name, record in self._records.items()
            if name in self._running
        )
        return any(leaving) or any(changing) or bool(self._running.keys() - self._records.keys())

    async def _follow(self, record: ProviderRecord) -> None:
        running = self._running.get(record.name)
        if running is None:
            self._take_in(record)
        elif running.record.options != record.options:
            await self._replace(running, record)
        else:
            self._set_terms(running, record)
        if record.mode is ProviderMode.LEAVING and await self._has_none(record.name):
            log.info("provider_removed", provider=record.name)
            if await self._store.remove_provider(record.name, version=record.version):
                self._records.pop(record.name, None)
                await self._drop(record.name)

    def _take_in(self, record: ProviderRecord) -> None:
        try:
            equipped = self._maker.make(record)
        except HodeiError as error:
            # Of another server's release or host, where it was right.
            if self._unusable.get(record.name) != str(error):
                log.warning("provider_unusable", provider=record.name, message=str(error))
            self._unusable[record.name] = str(error)
            return
        self._unusable.pop(record.name, None)
        running = _Running(record, equipped, problem="it is being started")
        self._running[record.name] = running
        self._roster.put(equipped.provider, equipped.rules, _terms(record, running.problem))

    async def _replace(self, running: _Running, record: ProviderRecord) -> None:
        """Makes it anew with other options, once no worker is on its way with the former ones."""
        pool = self._roster.pool(record.name)
        if pool is not None and pool.begun:
            self._roster.set_terms(record.name, Terms(priority=record.priority, closed=_CHANGING))
            return
        await self._stop(running)
        del self._running[record.name]
        self._take_in(record)

    def _set_terms(self, running: _Running, record: ProviderRecord) -> None:
        running.record = record
        self._roster.set_terms(record.name, _terms(record, running.problem))

    async def _start(self, running: _Running) -> None:
        provider = running.equipped.provider
        try:
            async with asyncio.timeout(_START_WITHIN_S):
                await running.equipped.make_way()
                await provider.start()
        except TimeoutError:
            problem = f"it has not started within {_START_WITHIN_S:g} s"
        except HodeiError as error:
            problem = str(error)
        else:
            problem = ""
            running.loops = await self._loops(running.equipped)
            log.info("provider_started", provider=provider.name)
        if problem and problem != running.problem:
            log.warning("provider_not_started", provider=provider.name, message=problem)
        running.problem = problem
        self._set_terms(running, running.record)
        # What it may make is known now.
        self._roster.changed()

    async def _loops(self, equipped: Equipped) -> list[BackgroundLoop]:
        provider = equipped.provider
        runs: list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]]
        runs = [(f"watch of {provider.name}", partial(self._watch.watch, provider))]
        if equipped.ahead:
            prepare = PrepareKinds(providers=[provider], kinds={provider.name: equipped.ahead})
            runs.append((f"images of {provider.name}", prepare.run))
        loops = [BackgroundLoop(name, run, on_failure=self._on_failure) for name, run in runs]
        for loop in loops:
            await loop.start()
        return loops

    async def _stop(self, running: _Running) -> None:
        for loop in running.loops:
            await loop.stop()
        running.loops = []
        await running.equipped.provider.stop()

    async def _drop(self, name: ProviderName) -> None:
        """Lets go of one that is gone from the records, once nothing of it is left here."""
        running = self._running.get(name)
        if running is None:
            return
        self._roster.set_terms(name, Terms(closed="is removed", drains=True))
        pool = self._roster.pool(name)
        if pool is not None and (pool.begun or pool.members()):
            return
        await self._stop(running)
        del self._running[name]
        self._roster.drop(name)

    async def _has_none(self, name: ProviderName) -> bool:
        """Whether no worker of the provider lives, on whichever server's account."""
        pool = self._roster.pool(name)
        if pool is not None and pool.begun:
            return False
        await self._journal.feed.refresh()
        return not self._roster.workers_of(name)


def _terms(record: ProviderRecord, problem: str = "") -> Terms:
    match record.mode:
        case ProviderMode.ENABLED:
            closed = f"cannot be used here: {problem}" if problem else ""
        case ProviderMode.DISABLED:
            closed = f"is disabled; hodei providers enable {record.name} has it make workers again"
        case ProviderMode.LEAVING:
            closed = "is being removed"
    return Terms(
        priority=record.priority,
        cost_per_hour=record.cost_per_hour,
        closed=closed,
        drains=record.mode is not ProviderMode.ENABLED,
    )
