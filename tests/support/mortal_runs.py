"""The saga engine's store, in which each run's server can die at a commit of its own."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from hodei.ports.durable import Batch, Committed, DurableStore, Refusal
from hodei.ports.durable_rows import RunId
from hodei.ports.stores import StoreUnavailableError


class Death(StrEnum):
    """When the server of a run dies, as the run sees it."""

    AFTER = "AFTER"
    """The commit is written, and nobody hears of it."""
    BEFORE = "BEFORE"
    """Whatever led to the next commit was done, and it is not written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """Of one run."""

    commits: int
    """That it lives for."""
    death: Death


class MortalRuns:
    """Passes calls on to the real store, until the server of a run has died.

    To all others that server lives, so that one test can kill many, each at its own point.
    """

    def __init__(self, inner: DurableStore) -> None:
        self._inner = inner
        self._names: dict[RunId, str] = {}
        self.fates: dict[str, Fate] = {}
        """By workflow id; others live for ever."""
        self.commits: Counter[str] = Counter()
        self.dead: set[str] = set()

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def commit(self, batch: Batch) -> Committed | Refusal:
        names = {self._names[each] for each in self._runs_of(batch) if each in self._names}
        if names & self.dead:
            raise StoreUnavailableError("as the test says, its server is dead")
        dying = {name for name in names if self._has_used_up(name)}
        is_before = any(self.fates[name].death is Death.BEFORE for name in dying)
        if is_before:
            self.dead |= dying
            raise StoreUnavailableError("its server has died")
        outcome = await self._inner.commit(batch)
        if isinstance(outcome, Committed):
            self.commits.update(names)
        if gone := {name for name in names if self._dies_after(name)}:
            self.dead |= gone
            raise StoreUnavailableError("its server has died")
        return outcome

    def _has_used_up(self, name: str) -> bool:
        fate = self.fates.get(name)
        return fate is not None and self.commits[name] >= fate.commits

    def _dies_after(self, name: str) -> bool:
        return self._has_used_up(name) and self.fates[name].death is Death.AFTER

    def _runs_of(self, batch: Batch) -> set[RunId]:
        self._names |= {each.run_id: each.workflow_id for each in batch.new_runs}
        return {
            *(each.run_id for each in (*batch.runs, *batch.new_runs, *batch.tasks_new)),
            *(each.run_id for each in batch.deliveries),
            *(each.before.run_id for each in batch.tasks),
            *(each.timer.run_id for each in batch.timers_fired),
        }
