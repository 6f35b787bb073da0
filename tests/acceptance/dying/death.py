"""Kills a server at a commit of the saga engine.

`before:N` or `after:N`: the server's Nth commit of runs is not made, or made and never answered.
"""

import os
import signal

from hodei.adapters.postgres.runs.store import PostgresDurableStore
from hodei.adapters.sqlite.run_store import SqliteDurableStore
from hodei.ports.durable import Batch, Committed, DurableWriter, Refusal


def plan(at: str) -> None:
    """Makes this process die there."""
    when, _, number = at.partition(":")
    countdown = _Countdown(when, int(number))
    for store in (SqliteDurableStore, PostgresDurableStore):
        _watch(store, countdown)


class _Countdown:
    def __init__(self, when: str, left: int) -> None:
        self._when = when
        self._left = left

    def step(self) -> None:
        self._left -= 1
        self.strike("before")

    def strike(self, when: str) -> None:
        if self._left == 0 and self._when == when:
            os.kill(os.getpid(), signal.SIGKILL)


def _watch(store: type[DurableWriter], countdown: _Countdown) -> None:
    commit = store.commit

    async def dying(self: DurableWriter, batch: Batch) -> Committed | Refusal:
        countdown.step()
        outcome = await commit(self, batch)
        countdown.strike("after")
        return outcome

    store.commit = dying
