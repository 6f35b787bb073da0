"""Adds, changes, switches and removes providers, for operators."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from hodei.application.keep_providers import KeepProviders
from hodei.application.make_providers import ProviderMaker
from hodei.application.roster import Roster
from hodei.domain.providers.change import ProviderChange
from hodei.domain.providers.names import name_violations
from hodei.domain.providers.record import ProviderMode, ProviderRecord, ProviderType
from hodei.kernel.clock import Clock
from hodei.kernel.errors import (
    AlreadyExistsError,
    FieldViolation,
    InvalidFieldsError,
    NotFoundError,
    UnavailableError,
    WrongStateError,
)
from hodei.kernel.ids import ProviderName
from hodei.ports.providers import Provider, ProviderUnavailableError
from hodei.ports.signals import Signals, Topic
from hodei.ports.stores import ProviderStore

log = structlog.get_logger()

_ANSWERS_WITHIN_S: Final = 15.0
"""An engine that takes longer to say what it is, is not there."""


class ManageProviders:
    """The use cases behind `ProviderManagementService`. Every server follows each change."""

    def __init__(
        self,
        *,
        store: ProviderStore,
        roster: Roster,
        keeper: KeepProviders,
        maker: ProviderMaker,
        clock: Clock,
        signals: Signals | None,
    ) -> None:
        self._store = store
        self._roster = roster
        self._keeper = keeper
        self._maker = maker
        self._clock = clock
        self._signals = signals

    async def add(
        self, name: str, type_: ProviderType, change: ProviderChange, *, is_enabled: bool
    ) -> None:
        """A provider of whose name there is none. One that is enabled has to be usable here.

        Raises:
            InvalidFieldsError: Something in it is not allowed.
            AlreadyExistsError: The name is taken.
            WrongStateError: It cannot be used; the message says what to do.
        """
        now = self._clock.now()
        record = ProviderRecord(
            name=ProviderName(name),
            type=type_,
            mode=ProviderMode.ENABLED if is_enabled else ProviderMode.DISABLED,
            created_at=now,
            updated_at=now,
            **change.fields,
        )
        self._require_allowed(record, name_violations(name))
        if self._is_taken(name):
            raise _taken(name)
        if is_enabled:
            await self._require_usable(record, "mend that, or add it disabled for now")
        if not await self._store.put_provider(record):
            raise _taken(name)
        await self._tell("provider_added", record)

    async def update(self, name: ProviderName, change: ProviderChange, *, version: int) -> None:
        """Decides anew about everything that may be decided.

        Args:
            name: Of the provider.
            change: What it is to be from now on.
            version: As it was read; 0 means whatever it is now.

        Raises:
            NotFoundError: There is none of the name.
            InvalidFieldsError: Something in it is not allowed.
            WrongStateError: Somebody else has changed it meanwhile, or it cannot be used like that.
        """
        before = await self._record(name)
        if version not in {0, before.version}:
            raise _changed(name)
        after = before.changed(self._clock.now(), **change.fields)
        if before.is_builtin:
            self._require_settings_stay(before, after)
        else:
            self._require_allowed(after, [])
            if after.options != before.options:
                self._require_place_stays(before, after)
                if after.mode is ProviderMode.ENABLED:
                    await self._require_usable(
                        after, "it stays as it was; disable it first to change it all the same"
                    )
        await self._put(after)
        await self._tell("provider_updated", after)

    async def enable(self, name: ProviderName) -> None:
        """Has it make workers again. Idempotent.

        Raises:
            NotFoundError: There is none of the name.
            WrongStateError: It is being removed, or cannot be used.
        """
        before = await self._record(name)
        if before.mode is ProviderMode.LEAVING:
            raise WrongStateError(f"provider {name} is being removed: add it again once it is gone")
        if before.mode is ProviderMode.DISABLED:
            if not before.is_builtin:
                await self._require_usable(before, "it stays disabled")
            await self._switch(before, ProviderMode.ENABLED)

    async def disable(self, name: ProviderName) -> None:
        """Has it make no more workers; those that it has end with their jobs. Idempotent.

        Raises:
            NotFoundError: There is none of the name.
        """
        before = await self._record(name)
        if before.mode is ProviderMode.ENABLED:
            await self._switch(before, ProviderMode.DISABLED)

    async def remove(self, name: ProviderName, *, force: bool) -> int:
        """Forgets a provider once its last worker has ended; returns how many it still has.

        Raises:
            NotFoundError: There is none of the name.
            WrongStateError: The settings have it; or it has workers, and nobody said `force`.
        """
        before = await self._record(name)
        if before.is_builtin:
            raise WrongStateError(
                f"provider {name} comes from the server's settings ({name}.enabled): disable it, or "
                "start the server without it"
            )
        workers = self._roster.workers_of(name)
        if workers and not force and before.mode is not ProviderMode.LEAVING:
            busy = sum(bool(each.jobs) for each in workers)
            raise WrongStateError(
                f"provider {name} has {len(workers)} workers, {busy} of them with jobs: disable it "
                "and remove it once they have ended, or have it removed after them (--force)"
            )
        if before.mode is not ProviderMode.LEAVING:
            await self._switch(before, ProviderMode.LEAVING)
        return len(self._roster.workers_of(name))

    async def test(self, name: ProviderName) -> Mapping[str, str]:
        """Asks what the provider stands for what it is.

        Raises:
            NotFoundError: There is none of the name.
            ProviderUnavailableError: It does not answer, or cannot be used.
        """
        provider = self._roster.providers.get(name)
        if provider is not None:
            return await _examined(provider)
        record = await self._record(name)
        return await _examined(self._maker.make(record).provider)

    async def _record(self, name: ProviderName) -> ProviderRecord:
        """As it is stored; of a provider of the settings that nobody ever changed, a new one."""
        await self._keeper.look()
        if (record := self._keeper.records.get(name)) is not None:
            return record
        provider = self._roster.providers.get(name)
        if provider is None or name not in self._keeper.builtins:
            raise NotFoundError("provider", name, "see `hodei providers list`")
        now = self._clock.now()
        # Its first change makes version 1 of it.
        return ProviderRecord(
            name=name,
            type=provider.capabilities().type,
            is_builtin=True,
            version=0,
            created_at=now,
            updated_at=now,
        )

    async def _switch(self, before: ProviderRecord, mode: ProviderMode) -> None:
        after = before.changed(self._clock.now(), mode=mode)
        await self._put(after)
        await self._tell(f"provider_{mode.lower()}", after)

    async def _put(self, record: ProviderRecord) -> None:
        if not await self._store.put_provider(record):
            raise _changed(record.name)

    async def _tell(self, what: str, record: ProviderRecord) -> None:
        log.info(what, provider=record.name, type=record.type, version=record.version)
        if self._signals is not None:
            self._signals.send(Topic.PROVIDERS, [record.name])
        await self._keeper.look()
        self._keeper.notify()

    def _is_taken(self, name: str) -> bool:
        known = {*self._keeper.records, *self._roster.providers}
        return name in known

    def _require_allowed(self, record: ProviderRecord, found: list[FieldViolation]) -> None:
        if violations := [*found, *self._maker.check(record)]:
            raise InvalidFieldsError(violations)

    def _require_settings_stay(self, before: ProviderRecord, after: ProviderRecord) -> None:
        wrong = [
            FieldViolation(
                field=field_name,
                description=f"provider {before.name} comes from the server's settings: only "
                "priority and cost_per_hour are decided here; change the settings for the rest",
            )
            for field_name in ("options", "tags", "metadata")
            if getattr(before, field_name) != getattr(after, field_name)
        ]
        if wrong:
            raise InvalidFieldsError(wrong)

    def _require_place_stays(self, before: ProviderRecord, after: ProviderRecord) -> None:
        workers = len(self._roster.workers_of(before.name))
        if workers and self._maker.place(before) != self._maker.place(after):
            raise WrongStateError(
                f"provider {before.name} has {workers} workers where it is now, and would not find "
                "them from elsewhere: disable it and wait until they have ended, or add another"
            )

    async def _require_usable(self, record: ProviderRecord, otherwise: str) -> None:
        equipped = self._maker.make(record)
        try:
            await _examined(equipped.provider)
            await equipped.make_way()
        except UnavailableError as error:
            # Not for the client to try again by itself: somebody has to do something first.
            raise WrongStateError(f"{error} ({otherwise})") from error


async def _examined(provider: Provider) -> Mapping[str, str]:
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN_S):
            return await provider.examine()
    except TimeoutError as error:
        raise ProviderUnavailableError(
            f"provider {provider.name} has not answered within {_ANSWERS_WITHIN_S:g} s"
        ) from error


def _taken(name: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"there is a provider {name!r} already: choose another name, or change that one (hodei "
        f"providers update {name})"
    )


def _changed(name: str) -> WrongStateError:
    return WrongStateError(
        f"provider {name} was changed by somebody else at this moment: look at it (hodei providers "
        f"show {name}) and try again"
    )
