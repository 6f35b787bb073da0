"""The store as a server in trouble sees it."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hodei.kernel.ids import ServerId
from hodei.ports.durable import Batch, Committed, DurableStore, Refusal
from hodei.ports.stores import StoreUnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """How often things go wrong, per commit unless said otherwise."""

    crash_before: float = 0.0
    crash_after: float = 0.0
    unknown: float = 0.0
    """The answer is lost, whether it was written or not."""
    repeated: float = 0.0
    """The network delivers it a second time, later."""
    pause: float = 0.0
    """The server stands still for longer than its lease, and then goes on."""
    pause_read: float = 0.0
    """The same, per read."""
    unavailable_read: float = 0.0
    """Per read."""


CALM = Odds()
STORMY = Odds(
    crash_before=0.015,
    crash_after=0.015,
    unknown=0.03,
    repeated=0.05,
    pause=0.01,
    pause_read=0.001,
    unavailable_read=0.01,
)


class Life:
    """One life of one server's process."""

    def __init__(self, server: ServerId, died: Callable[[], None]) -> None:
        self.server = server
        self.is_alive = True
        self.paused_until = 0.0
        self._died = died
        # What waits for ever is kept: the garbage collector would end it, `finally` and all.
        self._hanging: list[asyncio.Future[None]] = []

    def kill(self) -> None:
        """kill -9: from now on it has no effect on anything."""
        if self.is_alive:
            self.is_alive = False
            self._died()

    def stand_still(self, for_s: float) -> None:
        """SIGSTOP, or a machine that is moved: nothing of it happens until then."""
        self.paused_until = asyncio.get_running_loop().time() + for_s

    async def pass_through(self) -> None:
        """Where the process touches the world: a dead one never does, a paused one does late."""
        loop = asyncio.get_running_loop()
        while self.paused_until > loop.time():
            await asyncio.sleep(self.paused_until - loop.time())
        if not self.is_alive:
            self._hanging.append(loop.create_future())
            await self._hanging[-1]


class Weather:
    """What goes wrong, drawn from one seed. Ends when the simulation lets things settle."""

    def __init__(self, rng: random.Random, odds: Odds) -> None:
        self.rng = rng
        self.odds = odds
        self.stray: set[asyncio.Task[Any]] = set()

    def strikes(self, odds: float) -> bool:
        return odds > 0 and self.rng.random() < odds

    async def delay(self) -> None:
        # Mostly quick, sometimes slow: the order in which things arrive is drawn here.
        slowest = 2.0 if self.odds is not CALM and self.rng.random() < 0.03 else 0.02
        await asyncio.sleep(self.rng.random() * slowest)


class FaultyStore:
    """Passes calls on to the real store, after a while, or not, or twice.

    Args:
        inner: The store that all share.
        life: Whose view it is.
        weather: What goes wrong.
        saw: Called, within the commit, with what was committed by whom.
    """

    def __init__(
        self,
        inner: DurableStore,
        life: Life,
        weather: Weather,
        saw: Callable[[Life, Batch, Committed | Refusal], None],
    ) -> None:
        self._inner = inner
        self._life = life
        self._weather = weather
        self._saw = saw

    async def commit(self, batch: Batch) -> Committed | Refusal:
        weather, odds, life = self._weather, self._weather.odds, self._life
        await life.pass_through()
        await weather.delay()
        if weather.strikes(odds.pause):
            life.stand_still(5 + weather.rng.random() * 30)
        if weather.strikes(odds.crash_before):
            life.kill()
        if weather.strikes(odds.unknown) and weather.rng.random() < 0.5:
            raise StoreUnavailableError("simulated: not written")
        await life.pass_through()
        outcome = await self._inner.commit(batch)
        self._saw(life, batch, outcome)
        if weather.strikes(odds.repeated):
            task = asyncio.get_running_loop().create_task(self._again(batch))
            weather.stray.add(task)
            task.add_done_callback(weather.stray.discard)
        if weather.strikes(odds.crash_after):
            life.kill()
        if weather.strikes(odds.unknown):
            raise StoreUnavailableError("simulated: written, but who knows")
        await weather.delay()
        await life.pass_through()
        return outcome

    async def _again(self, batch: Batch) -> None:
        await asyncio.sleep(self._weather.rng.random() * 40)
        outcome = await self._inner.commit(batch)
        self._saw(self._life, batch, outcome)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        async def call(*args: Any, **options: Any) -> Any:
            await self._life.pass_through()
            if self._weather.rng.random() < 0.3:
                await self._weather.delay()
            if self._weather.strikes(self._weather.odds.pause_read):
                self._life.stand_still(2 + self._weather.rng.random() * 20)
            if self._weather.strikes(self._weather.odds.unavailable_read):
                raise StoreUnavailableError(f"simulated: {name}")
            answer = await method(*args, **options)
            await self._life.pass_through()
            return answer

        return call
